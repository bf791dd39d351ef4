//! The chart by Helm itself, and the same as plain YAML: installed, at work, upgraded, and gone again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use certwright_core::api::Group;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::application::Application;
use crate::harness::{cluster, eventually};
use crate::installed::{CHART, Installed, NAMESPACE};

/// There is room for one operator.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn what_the_first_version_left_is_kept_through_upgrade_rollback_and_a_new_installation() {
    let _turn = TURN.lock().await;
    let operator = &Installed::on(cluster().await);
    operator.make_namespace().await;
    let first = first_version();
    let first = first.path().display();
    let install = format!("install certwright {first} --namespace {NAMESPACE} --wait --timeout 3m");
    operator.helm(&install).await;
    assert_eq!(
        rollout_is_known(operator).await,
        "",
        "not in the first version"
    );
    let golden = golden(operator).await;

    // A server is restarted for a new certificate, and shows it.
    let namespace = operator.namespace_with_issuers("shop").await;
    operator.certificate(&namespace, "web").await;
    operator.ready(&namespace, "web").await;
    let application = Application::start(operator, &namespace).await;
    application.serves_what_is_held().await;
    operator.says(&namespace, "web", "RolledOut").await;
    let before = application.standing().await;
    renew(operator, &namespace, "web").await;
    eventually("the server is restarted", async || {
        let now = application.standing().await;
        if now.0 > before.0 {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await;
    application.has_rolled().await;
    application.serves_what_is_held().await;
    operator.says(&namespace, "web", "RolledOut").await;

    // From here on, nothing is issued again, and nothing restarted.
    let kept = secrets(operator).await;
    for (name, certificate) in &golden {
        let (_, held) = &kept[name];
        assert_eq!(held, certificate, "{name}");
    }
    let standing = application.standing().await;
    let unchanged = async |number: u8| {
        looked_at_all(operator, &namespace, number).await;
        let mut now = secrets(operator).await;
        now.retain(|name, _| kept.contains_key(name));
        assert_eq!(now, kept);
        assert_eq!(application.standing().await, standing);
    };
    let upgrade = format!(
        "upgrade certwright {CHART} --namespace {NAMESPACE} --set podAnnotations.example\\.com/release=second --wait --timeout 3m"
    );
    operator.helm(&upgrade).await;
    assert_eq!(rollout_is_known(operator).await, "object", "upgraded");
    unchanged(1).await;

    let rollback = format!("rollback certwright --namespace {NAMESPACE} --wait --timeout 3m");
    operator.helm(&rollback).await;
    assert_eq!(rollout_is_known(operator).await, "", "rolled back");
    unchanged(2).await;

    let uninstall = format!("uninstall certwright --namespace {NAMESPACE} --wait --timeout 3m");
    operator.helm(&uninstall).await;
    assert_eq!(operator.pods().await.len(), 0);
    let mut left = secrets(operator).await;
    left.retain(|name, _| kept.contains_key(name));
    assert_eq!(left, kept);
    application.serves_what_is_held().await;

    let again = format!("install certwright {CHART} --namespace {NAMESPACE} --wait --timeout 3m");
    operator.helm(&again).await;
    unchanged(3).await;
    operator.helm(&uninstall).await;
}

#[tokio::test]
async fn the_plain_manifests_and_the_base_for_kustomize_issue() {
    let _turn = TURN.lock().await;
    let operator = &Installed::on(cluster().await);
    let root = env!("CARGO_MANIFEST_DIR");
    for (number, manifests) in [
        format!("-f {root}/deploy/install.yaml"),
        format!("-k {root}/deploy/kustomize/base"),
    ]
    .iter()
    .enumerate()
    {
        operator.make_namespace().await;
        // Another owner's definitions may be there: those that a chart has left.
        let apply = format!("apply --server-side --force-conflicts {manifests}");
        operator.kubectl(&apply, "").await;
        let rolled =
            format!("rollout status deployment certwright --namespace {NAMESPACE} --timeout=3m");
        operator.kubectl(&rolled, "").await;
        operator.is_whole().await;

        let namespace = operator.namespace_with_issuers("plain").await;
        let name = format!("web-{number}");
        operator.certificate(&namespace, &name).await;
        let certificate = operator.ready(&namespace, &name).await;
        assert_eq!(certificate.status.unwrap().revision, Some(1));
        let delete = format!("delete {manifests} --timeout=2m");
        operator.kubectl(&delete, "").await;
        // With the definitions go the Certificates; what they have made stays.
        let secrets = operator.api::<Secret>(&namespace);
        assert!(
            secrets
                .get_opt(&format!("{name}-tls"))
                .await
                .unwrap()
                .is_some()
        );
        let gone = format!("delete namespace {NAMESPACE} --ignore-not-found --timeout=2m");
        operator.kubectl(&gone, "").await;
    }
}

/// The chart with the definitions of the first version, which lack a field, so that there is something to upgrade.
fn first_version() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new(CHART), folder.path());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in children(&root.join("tests/releases/v0.1.0/crds")) {
        let mut definition = documents(&file).remove(0);
        let properties = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        if let Some(properties) = definition
            .pointer_mut(properties)
            .and_then(Value::as_object_mut)
        {
            properties.remove("rollout");
        }
        let to = folder
            .path()
            .join("files/crds")
            .join(file.file_name().unwrap());
        fs::write(to, definition.to_string()).unwrap();
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    for child in children(from) {
        let to = to.join(child.file_name().unwrap());
        if child.is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&child, &to);
        } else {
            fs::copy(&child, &to).unwrap();
        }
    }
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn documents(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// The type of a field of the Certificates' schema that the first version lacks; empty where it is not there.
async fn rollout_is_known(operator: &Installed<'_>) -> String {
    let path = "{.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.rollout.type}";
    let get = format!("get crd certificates.certwright.dev -o jsonpath={path}");
    operator.kubectl(&get, "").await
}

/// Puts what the first version has left behind into the cluster, each Certificate in a namespace of its own, and waits until
/// they are ready; the certificate in each Secret. They live until 2036.
async fn golden(operator: &Installed<'_>) -> BTreeMap<String, String> {
    let mut certificates = BTreeMap::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in children(&root.join("core/tests/golden/v0.1.0")) {
        let mut documents = documents(&file);
        let name = documents[0]["metadata"]["name"]
            .as_str()
            .unwrap()
            .to_owned();
        let namespace = operator
            .cluster
            .control_plane()
            .namespace(&name)
            .await
            .unwrap();
        let issuer = if documents.len() == 3 {
            json!({ "ca": { "secretName": "ca" } })
        } else {
            json!({ "selfSigned": {} })
        };
        documents.push(json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Issuer",
            "metadata": { "name": "ca" }, "spec": issuer,
        }));
        let held = &documents[1]["data"]["tls.crt"];
        certificates.insert(
            format!("{namespace}/{name}"),
            held.as_str().unwrap().to_owned(),
        );
        // The Certificate comes last: its Secret is there by then.
        documents.rotate_left(1);
        for mut document in documents {
            let metadata = document["metadata"].as_object_mut().unwrap();
            metadata.insert("namespace".to_owned(), json!(namespace));
            for key in [
                "uid",
                "resourceVersion",
                "generation",
                "managedFields",
                "ownerReferences",
            ] {
                metadata.remove(key);
            }
            let managed = metadata.contains_key("labels");
            // An IPv4 address in the clothes of IPv6, which the request takes for what it is and the schema refuses.
            if let Some(addresses) = document
                .pointer_mut("/spec/ipAddresses")
                .and_then(Value::as_array_mut)
            {
                addresses.retain(|address| address != "::ffff:192.0.2.1");
            }
            let manager = if managed { "certwright" } else { "user" };
            let apply = format!("apply --server-side --field-manager={manager} -f -");
            operator.kubectl(&apply, &document.to_string()).await;
        }
        let certificate = operator.ready(&namespace, &name).await;
        assert_eq!(certificate.status.unwrap().revision, Some(1), "{name}");
    }
    assert!(certificates.len() >= 13, "{certificates:?}");
    certificates
}

/// Each Secret that Certwright keeps, by namespace and name: its version, and its certificate.
async fn secrets(operator: &Installed<'_>) -> BTreeMap<String, (String, String)> {
    let managed = ListParams::default().labels("certwright.dev/managed=true");
    let secrets = Api::<Secret>::all(operator.client.clone());
    let secrets = secrets.list(&managed).await.unwrap();
    secrets
        .iter()
        .map(|secret| {
            let name = format!("{}/{}", secret.namespace().unwrap(), secret.name_any());
            let data = serde_json::to_value(&secret.data).unwrap();
            let certificate = data["tls.crt"].as_str().unwrap().to_owned();
            (name, (secret.resource_version().unwrap(), certificate))
        })
        .collect()
}

/// Waits until the leader has looked at every Certificate since it started, and issues another one.
async fn looked_at_all(operator: &Installed<'_>, namespace: &str, number: u8) {
    operator.is_whole().await;
    let certificates = operator
        .kubectl("get certificates --all-namespaces --output name", "")
        .await;
    let count = f64::from(u32::try_from(certificates.lines().count()).unwrap());
    let leader = operator.leader().await;
    eventually("the leader has looked at all", async || {
        let series = "certwright_reconciles_total{controller=\"certificate\"";
        match operator.metric(&leader, series).await {
            Some(looks) if looks >= count => Ok(()),
            looks => Err(format!("{looks:?} of {count}")),
        }
    })
    .await;
    let name = format!("another-{number}");
    operator.certificate(namespace, &name).await;
    operator.ready(namespace, &name).await;
}

async fn renew(operator: &Installed<'_>, namespace: &str, name: &str) {
    let resource = ApiResource::erase::<certwright_core::api::Certificate>(&Group::default());
    let certificates =
        Api::<DynamicObject>::namespaced_with(operator.client.clone(), namespace, &resource);
    let patch = json!({ "metadata": { "annotations": { "certwright.dev/renew": "now" } } });
    let parameters = PatchParams::default();
    certificates
        .patch(name, &parameters, &Patch::Merge(&patch))
        .await
        .unwrap();
    eventually("it is renewed", async || {
        let certificate = operator.ready(namespace, name).await;
        match certificate.status.and_then(|status| status.revision) {
            Some(2) => Ok(()),
            revision => Err(format!("{revision:?}")),
        }
    })
    .await;
}
