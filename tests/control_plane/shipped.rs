//! What is shipped, as it is shipped: `deploy/install.yaml` under the real API group, and the program.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use certwright_core::api::Group;
use certwright_test_cluster::{ControlPlane, free_ports};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use crate::harness::{CLUSTER, Keys, Operator, Scene, Told, eventually, get};

/// Applies `deploy/install.yaml` with kubectl, once for all tests: it is the same for each.
async fn installed() -> &'static ControlPlane {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let cluster = CLUSTER.start().await.unwrap();
    INSTALLED
        .get_or_init(async || {
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/install.yaml");
            let output = cluster
                .kubectl()
                .unwrap()
                .args(["apply", "-f", file])
                .output()
                .await
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        })
        .await;
    cluster
}

/// A scene under the real group, with the shipped account.
async fn shipped(name: &str) -> Scene<'static> {
    let scene = Scene::bare(installed().await, Group::default(), name).await;
    let scene = Scene {
        system: "certwright".to_owned(),
        account: "certwright".to_owned(),
        ..scene
    };
    scene.definitions_are_served().await;
    scene
}

#[tokio::test]
async fn users_may_do_in_their_namespaces_what_the_roles_say() {
    let scene = shipped("roles").await;
    for role in ["view", "edit", "admin"] {
        scene
            .apply(&json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": { "name": role },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
                "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": role }],
            }))
            .await;
    }
    // The roles are put together by a controller.
    eventually("the roles are there", async || {
        let found = [
            may(&scene, "view", "list", "certificates").await,
            may(&scene, "edit", "create", "issuers").await,
            may(&scene, "admin", "create", "issuers").await,
        ];
        if found == [true; 3] {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
    let (look, change) = (
        ["get", "list", "watch"],
        ["create", "update", "patch", "delete", "deletecollection"],
    );
    for kind in ["certificates", "issuers", "servedchecks"] {
        for user in ["view", "edit", "admin", "nobody"] {
            for verb in look {
                assert_eq!(
                    may(&scene, user, verb, kind).await,
                    user != "nobody",
                    "{user} {verb} {kind}"
                );
            }
            let changes = ["edit", "admin"].contains(&user);
            for verb in change {
                assert_eq!(
                    may(&scene, user, verb, kind).await,
                    changes,
                    "{user} {verb} {kind}"
                );
            }
            for verb in ["update", "patch"] {
                let status = format!("{kind}/status");
                assert!(
                    !may(&scene, user, verb, &status).await,
                    "{user} {verb} {status}"
                );
            }
        }
    }
    for user in ["view", "edit", "admin"] {
        for verb in look.iter().chain(&change) {
            assert!(
                !may(&scene, user, verb, "clusterissuers").await,
                "{user} {verb}"
            );
        }
    }
}

/// What `kubectl auth can-i` says of this user in the scene's namespace.
async fn may(scene: &Scene<'_>, user: &str, verb: &str, resource: &str) -> bool {
    let (kind, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let mut kubectl = scene.cluster.kubectl().unwrap();
    kubectl.args([
        "auth",
        "can-i",
        verb,
        &format!("{kind}.{}", scene.group.name()),
    ]);
    kubectl.args(["--namespace", &scene.namespace, "--as", user]);
    if !subresource.is_empty() {
        kubectl.args(["--subresource", subresource]);
    }
    let output = kubectl.output().await.unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match (said(&output.stdout).as_str(), output.status.code()) {
        ("yes", Some(0)) => true,
        ("no", Some(1)) => false,
        _ => panic!("{user} {verb} {resource}: {output:?}"),
    }
}

/// Two operators of one group are in each other's way, so this is one test: first in this process, then as the program.
#[tokio::test]
async fn what_is_shipped_issues_and_survives_being_killed() {
    const COUNT: usize = 50;
    let scene = shipped("shipped").await;
    let operator = Operator::start(&scene).await;
    scene.web().await;
    let leaf = scene.held("web-tls").await;
    assert_eq!(leaf.label("certwright.dev/managed"), Some("true"));
    operator.stop().await;

    let kubeconfig = kubeconfig(&scene).await;
    let program = Program::start(kubeconfig.path()).await;
    for number in 0..COUNT {
        let spec = json!({ "dnsNames": [format!("{number}.example.com")] });
        scene.certificate(&format!("many-{number}"), spec).await;
    }
    let stored = async || {
        let label = ListParams::default().labels("certwright.dev/managed");
        scene
            .api::<Secret>()
            .list(&label)
            .await
            .unwrap()
            .items
            .len()
            - 2
    };
    eventually("some are issued", async || match stored().await {
        0 => Err("none yet".to_owned()),
        _ => Ok(()),
    })
    .await;
    let first_log = program.kill().await;

    let program = Program::start(kubeconfig.path()).await;
    let mut serials = std::collections::BTreeSet::new();
    for number in 0..COUNT {
        let name = format!("many-{number}");
        let status = scene.ready(&name).await.status.unwrap();
        let held = scene.held(&format!("{name}-tls")).await;
        assert_eq!(status.revision, Some(1), "{name}");
        assert_eq!(status.serial_number, Some(held.serial()), "{name}");
        assert_eq!(
            held.annotation("certwright.dev/revision"),
            Some("1"),
            "{name}"
        );
        serials.insert(held.serial());
    }
    assert_eq!(serials.len(), COUNT);
    assert_eq!(stored().await, COUNT, "and no Secret more");
    let writes = scene.writes();
    for number in 0..COUNT {
        let written = format!("secrets many-{number}-tls");
        let done = writes.iter().filter(|write| **write == written).count();
        // The API server reports a write under way when its program was killed as timed out, whether it landed or not.
        let cut_off = writes.contains(&format!("{written} 504"));
        assert!(done == 1 || done == 0 && cut_off, "{written}: {writes:?}");
    }

    let (code, metrics) = get(program.address, "/metrics").await;
    assert_eq!(code, 200);
    assert!(metrics.contains("ssl_certificate_expiry{"), "{metrics}");
    assert_eq!(get(program.address, "/healthz").await.0, 200);
    let log = program.terminate().await;
    assert!(log.contains("SIGTERM"), "{log}");
    // At its most talkative, it keeps the keys to itself.
    let mut keys = Keys::default();
    for secret in scene
        .api::<Secret>()
        .list(&ListParams::default())
        .await
        .unwrap()
    {
        keys.add(&secret.data.unwrap()["tls.key"].0);
    }
    let mut told = Told::of(&first_log);
    told.add(&log);
    told.add(&metrics);
    assert!(!keys.are_in(&told));
    assert!(!log.contains("PRIVATE KEY"));
}

/// A kubeconfig of the shipped account.
async fn kubeconfig(scene: &Scene<'_>) -> tempfile::NamedTempFile {
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(3600),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let token = Api::<ServiceAccount>::namespaced(scene.client.clone(), &scene.system)
        .create_token_request(&scene.account, &PostParams::default(), &request)
        .await
        .unwrap();
    let admin = std::fs::read_to_string(scene.cluster.kubeconfig("admin").unwrap()).unwrap();
    let mut content: Value = serde_yaml::from_str(&admin).unwrap();
    content["users"][0]["user"]["token"] = token.status.unwrap().token.into();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_yaml::to_string(&content).unwrap()).unwrap();
    file
}

/// `certwright run` as a process.
struct Program {
    child: Child,
    address: SocketAddr,
    log: tempfile::NamedTempFile,
}

impl Program {
    async fn start(kubeconfig: &std::path::Path) -> Self {
        let [port] = free_ports().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_certwright"))
            .args([
                "run",
                "--listen",
                &address.to_string(),
                "--log",
                "info,certwright=trace",
            ])
            .env("KUBECONFIG", kubeconfig)
            .env("POD_NAMESPACE", "certwright")
            .stdout(log.reopen().unwrap())
            .stderr(log.reopen().unwrap())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let program = Self {
            child,
            address,
            log,
        };
        eventually("the program is ready", async || {
            match get(address, "/readyz").await {
                (200, _) => Ok(()),
                (code, text) => Err(format!("{code} {text}\n{}", program.log())),
            }
        })
        .await;
        program
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    /// SIGKILL.
    async fn kill(mut self) -> String {
        self.child.kill().await.unwrap();
        self.log()
    }

    /// SIGTERM, after which it ends well.
    async fn terminate(mut self) -> String {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
        let ended =
            tokio::time::timeout(std::time::Duration::from_secs(10), self.child.wait()).await;
        let ended = ended
            .unwrap_or_else(|_| panic!("it does not end: {}", self.log()))
            .unwrap();
        assert!(ended.success(), "{ended}: {}", self.log());
        self.log()
    }
}
