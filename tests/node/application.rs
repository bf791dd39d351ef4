//! A user's server: it reads a mounted Secret once, when it starts.

use std::process::{Command as Program, Stdio};
use std::time::Duration;

use certwright_test_cluster::Image;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

use crate::harness::eventually;
use crate::installed::{Installed, text};
use crate::servers::with_libraries;

/// OpenSSL's TLS server in a Deployment behind a Service, both called `web`, with the Secret `web-tls`.
pub(crate) struct Application<'o> {
    operator: &'o Installed<'o>,
    namespace: String,
    address: String,
}

impl<'o> Application<'o> {
    /// Starts it and waits until it answers.
    pub(crate) async fn start(operator: &'o Installed<'o>, namespace: &str) -> Self {
        let image = image();
        operator.cluster.import(&image).await.unwrap();
        let probe = json!({ "tcpSocket": { "port": 8443 }, "periodSeconds": 1 });
        // Without tickets: `openssl s_client` doesn't end on a connection on which they came.
        let container = json!({
            "name": "web",
            "image": image.name(),
            "args": ["s_server", "-accept", "8443", "-rev", "-quiet", "-num_tickets", "0", "-cert", "/tls/tls.crt", "-key", "/tls/tls.key"],
            "readinessProbe": probe,
            "volumeMounts": [{ "name": "tls", "mountPath": "/tls", "readOnly": true }],
        });
        let labels = json!({ "app": "web" });
        let template = json!({
            "metadata": { "labels": labels },
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "securityContext": { "runAsUser": 1000, "runAsNonRoot": true },
                "containers": [container],
                "volumes": [{ "name": "tls", "secret": { "secretName": "web-tls" } }],
            },
        });
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
            "spec": { "selector": { "matchLabels": labels }, "template": template },
        });
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
            "spec": { "selector": labels, "ports": [{ "port": 443, "targetPort": 8443 }] },
        });
        let apply = format!("apply --namespace {namespace} -f -");
        let manifests = format!("{deployment}\n---\n{service}");
        operator.kubectl(&apply, &manifests).await;
        let status = format!("rollout status deployment web --namespace {namespace} --timeout=2m");
        operator.kubectl(&status, "").await;
        let service = operator.api::<Service>(namespace).get("web").await;
        Self {
            operator,
            namespace: namespace.to_owned(),
            address: service.unwrap().spec.unwrap().cluster_ip.unwrap(),
        }
    }

    /// Waits until a client that trusts the Secret's `ca.crt` is shown the certificate that the Secret holds.
    pub(crate) async fn serves_what_is_held(&self) {
        let secrets = self.operator.api::<Secret>(&self.namespace);
        let secret = secrets.get("web-tls").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let roots = folder.path().join("ca.crt");
        std::fs::write(&roots, text(&secret, "ca.crt")).unwrap();
        let address = format!("{}:443", self.address);
        let arguments = [
            "s_client",
            "-connect",
            &address,
            "-servername",
            "web.example.com",
            "-verify_hostname",
            "web.example.com",
            "-verify_return_error",
            "-CAfile",
            roots.to_str().unwrap(),
        ];
        let held = text(&secret, "tls.crt");
        eventually("the server shows what is held", async || {
            let mut client = Command::new("openssl");
            let client = client
                .args(arguments)
                .stdin(Stdio::null())
                .kill_on_drop(true);
            let Ok(output) = timeout(Duration::from_secs(10), client.output()).await else {
                return Err("no answer".to_owned());
            };
            let output = output.unwrap();
            let shown = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() && shown.contains(held.trim()) {
                Ok(())
            } else {
                Err(format!(
                    "{shown}{}",
                    String::from_utf8_lossy(&output.stderr)
                ))
            }
        })
        .await;
    }

    /// Its generation, which each change of its Pods counts up, and its Pods.
    pub(crate) async fn standing(&self) -> (Option<i64>, Vec<String>) {
        let deployments = self.operator.api::<Deployment>(&self.namespace);
        let deployment = deployments.get("web").await.unwrap();
        let named = ListParams::default().labels("app=web");
        let pods = self.operator.api::<Pod>(&self.namespace).list(&named).await;
        let mut pods = pods.unwrap().items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        let pods = pods.iter().map(|pod| pod.uid().unwrap()).collect();
        (deployment.metadata.generation, pods)
    }

    /// Waits until the Deployment's Pods are all as its template says, and no others are left.
    pub(crate) async fn has_rolled(&self) {
        let namespace = &self.namespace;
        let status = format!("rollout status deployment web --namespace {namespace} --timeout=2m");
        self.operator.kubectl(&status, "").await;
    }
}

/// This machine's OpenSSL.
fn image() -> Image {
    let which = Program::new("sh")
        .args(["-c", "command -v openssl"])
        .output()
        .unwrap();
    let program = String::from_utf8(which.stdout).unwrap();
    with_libraries("certwright.test/openssl:1", "/openssl", program.trim(), "")
}
