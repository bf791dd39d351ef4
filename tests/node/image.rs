//! What is in the image, and that it needs nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use certwright_core::api::{Certificate, Group};
use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use serde_json::{Value, json};

use crate::harness::{archive, cluster, eventually, image_folder, kubectl, pod, run};

#[tokio::test]
async fn runs_without_privileges_and_without_a_place_to_write() {
    let cluster = cluster().await;
    let namespace = cluster.control_plane().namespace("image").await.unwrap();
    let level = "pod-security.kubernetes.io/enforce=restricted";
    kubectl(&["label", "namespace", &namespace, level], "").await;
    let pods = Api::<Pod>::namespaced(cluster.control_plane().client().unwrap(), &namespace);

    let outcome = run(&pods, pod("version", &["version"])).await;
    let version = concat!("certwright ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(outcome, ("Succeeded".to_owned(), version.to_owned()));
}

#[tokio::test]
async fn holds_one_program_and_no_shell() {
    let folder = tempfile::tempdir().unwrap();
    let unpack = |archive: &str| {
        let output = Command::new("tar")
            .args(["--extract", "--file", archive])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    unpack(archive().to_str().unwrap());
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.path().join(name)).unwrap()).unwrap()
    };
    let manifest = read("manifest.json");
    let config = read(manifest[0]["Config"].as_str().unwrap());
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], json!(["/certwright"]));

    let layers = manifest[0]["Layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    let output = Command::new("tar")
        .args([
            "--list",
            "--verbose",
            "--numeric-owner",
            "--file",
            layers[0].as_str().unwrap(),
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let listing = String::from_utf8(output.stdout).unwrap();
    let mut files: Vec<_> = listing
        .lines()
        .map(|line| {
            let columns: Vec<_> = line.split_whitespace().collect();
            (columns[0], columns[1], columns[5])
        })
        .collect();
    files.sort_unstable_by_key(|(_, _, name)| *name);
    assert_eq!(
        files,
        [
            ("-rw-r--r--", "0/0", "LICENSE"),
            ("-rwxr-xr-x", "0/0", "certwright"),
            ("-rw-r--r--", "0/0", "certwright.cdx.json"),
        ]
    );
}

#[test]
fn the_bill_of_materials_names_each_crate_of_the_program() {
    archive();
    let file = fs::read(image_folder().join("context/certwright.cdx.json")).unwrap();
    let materials: Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(materials["bomFormat"], "CycloneDX");
    assert_eq!(materials["metadata"]["component"]["name"], "certwright");
    let components = materials["components"].as_array().unwrap();

    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    let text = |component: &Value, field: &str| component[field].as_str().unwrap().to_owned();
    let mut shipped = BTreeSet::new();
    for component in components {
        let (name, version) = (text(component, "name"), text(component, "version"));
        assert!(
            component["licenses"][0]["expression"].is_string(),
            "{component}"
        );
        if name != "certwright-core" {
            let checksum = text(&component["hashes"][0], "content");
            let source = "registry+https://github.com/rust-lang/crates.io-index";
            let entry = format!(
                "name = \"{name}\"\nversion = \"{version}\"\nsource = \"{source}\"\nchecksum = \"{checksum}\""
            );
            assert!(lock.contains(&entry), "{entry}");
        }
        if component["scope"] == "required" {
            shipped.insert(format!("{name}-{version}"));
        }
    }
    assert!(
        !shipped.iter().any(|krate| krate.starts_with("ring-")),
        "{shipped:?}"
    );

    // The words that a panic would say where it happened.
    let program = fs::read(image_folder().join("context/certwright")).unwrap();
    let program = String::from_utf8_lossy(&program);
    let found: BTreeSet<_> = program
        .split("/cargo/registry/src/")
        .skip(1)
        .filter_map(|path| path.split('/').nth(1).map(str::to_owned))
        .collect();
    assert!(found.len() > 30, "{found:?}");
    let unnamed: Vec<_> = found.difference(&shipped).collect();
    assert_eq!(unnamed, [""; 0]);
}

/// The operator in a Pod of the image, under an API group of its own; what the chart grants is tested elsewhere.
#[tokio::test]
async fn finds_the_time_zones_of_renewal_windows() {
    let control_plane = cluster().await.control_plane();
    let namespace = control_plane.namespace("zones").await.unwrap();
    let client = control_plane.client().unwrap();
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    let group = ["--api-group=zones.example.org", "--field-manager=zones"];
    let (_, definitions) = run(&pods, pod("crds", &["crds", group[0], group[1]])).await;
    kubectl(&["apply", "-f", "-"], &definitions).await;
    let account = format!("--serviceaccount={namespace}:default");
    let binding = [
        "create",
        "clusterrolebinding",
        &namespace,
        "--clusterrole=cluster-admin",
        &account,
    ];
    kubectl(&binding, "").await;
    let mut operator = pod("operator", &["run", group[0], group[1]]);
    operator["spec"]["containers"][0]["env"] =
        json!([{ "name": "POD_NAMESPACE", "value": namespace }]);
    operator["spec"]["containers"][0]["readinessProbe"] =
        json!({ "httpGet": { "path": "/readyz", "port": 9402 }, "periodSeconds": 1 });
    kubectl(
        &["apply", "--namespace", &namespace, "-f", "-"],
        &operator.to_string(),
    )
    .await;
    let ready = [
        "wait",
        "--namespace",
        &namespace,
        "--for=condition=Ready",
        "pod/operator",
        "--timeout=2m",
    ];
    kubectl(&ready, "").await;

    kubectl(&["apply", "--namespace", &namespace, "-f", "-"], ZONED).await;
    let certificates = Api::<Certificate>::namespaced_with(
        client,
        &namespace,
        &Group::new("zones.example.org", "zones"),
    );
    let renewal: Timestamp = eventually("the renewal is planned", async || {
        let certificate = certificates
            .get("web")
            .await
            .map_err(|error| error.to_string())?;
        let planned = certificate
            .status
            .as_ref()
            .and_then(|status| status.renewal_time.clone());
        match planned {
            Some(time) => Ok(time.0),
            None => Err(pods.logs("operator", &LogParams::default()).await.unwrap()),
        }
    })
    .await;
    // The image has no /usr/share/zoneinfo. In Chatham it is a quarter to an hour when it is full in Greenwich.
    let zone = TimeZoneDatabase::bundled().get("Pacific/Chatham").unwrap();
    let there = renewal.to_zoned(zone);
    assert_eq!(there.hour(), 3, "{there}");
}

const ZONED: &str = "
apiVersion: zones.example.org/v1alpha1
kind: Issuer
metadata:
  name: self-signed
spec:
  selfSigned: {}
---
apiVersion: zones.example.org/v1alpha1
kind: Certificate
metadata:
  name: web
spec:
  secretName: web-tls
  dnsNames: [web.example.com]
  duration: 2160h
  issuerRef:
    name: self-signed
  renewal:
    policy: RenewBefore
    windows:
      - cron: '0 3 * * *'
        windowDuration: 1h
        timezone: Pacific/Chatham
";
