//! One cluster with a real node for all tests, which knows the image.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use certwright_test_cluster::{AuditLevel, Cluster, Options, SharedCluster};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{LogParams, PostParams};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::sleep;

/// The image's name, as the chart and `deploy/install.yaml` have it.
pub(crate) const IMAGE: &str = concat!("certwright:", env!("CARGO_PKG_VERSION"));

static CLUSTER: SharedCluster = SharedCluster::new(|| Options::new().audit(AuditLevel::Metadata));

/// The cluster of all tests. The image is there.
pub(crate) async fn cluster() -> &'static Cluster {
    static IMPORTED: OnceCell<()> = OnceCell::const_new();
    let cluster = CLUSTER.start().await.unwrap();
    IMPORTED
        .get_or_init(async || cluster.import_archive(&archive()).await.unwrap())
        .await;
    cluster
}

/// Where `deploy/image` puts things; Cargo's target folder is the same for both.
pub(crate) fn image_folder() -> PathBuf {
    let mut folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    folder.set_file_name("image");
    folder
}

/// The image that was built.
pub(crate) fn archive() -> PathBuf {
    let archive = image_folder().join(concat!("certwright-", env!("CARGO_PKG_VERSION"), ".tar"));
    assert!(
        archive.exists(),
        "there is no image at {}; build it with: make image",
        archive.display()
    );
    archive
}

/// A Pod of the image, under the restricted Pod Security Standard and with nothing that it could write to.
pub(crate) fn pod(name: &str, arguments: &[&str]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "certwright",
                "image": IMAGE,
                "args": arguments,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
        },
    })
}

/// Runs a Pod to its end; its phase then, and what it printed.
pub(crate) async fn run(pods: &Api<Pod>, pod: Value) -> (String, String) {
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let created = pods.create(&PostParams::default(), &pod).await.unwrap();
    let name = created.metadata.name.unwrap();
    let phase = eventually("the Pod ends", async || {
        let pod = pods.get(&name).await.unwrap();
        let phase = pod
            .status
            .and_then(|status| status.phase)
            .unwrap_or_default();
        match phase.as_str() {
            "Succeeded" | "Failed" => Ok(phase),
            _ => Err(phase),
        }
    })
    .await;
    let logs = pods.logs(&name, &LogParams::default()).await.unwrap();
    (phase, logs)
}

/// Runs `kubectl` as the admin, with something to read, and returns what it printed.
pub(crate) async fn kubectl(arguments: &[&str], input: &str) -> String {
    let command = cluster().await.control_plane().kubectl().unwrap();
    ran(command, arguments, input).await
}

/// Runs a program to its end, with something to read; what it printed. It must succeed.
pub(crate) async fn ran(mut command: Command, arguments: &[&str], input: &str) -> String {
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // A program that fails before it has read everything says more about it itself.
    let _ = pipe.write_all(input.as_bytes()).await;
    drop(pipe);
    let output = child.wait_with_output().await.unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// What `look` finds, once it finds it.
pub(crate) async fn eventually<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(stands) if start.elapsed() > PATIENCE => {
                panic!("waited {PATIENCE:?} in vain for this: {what}\n{stands}")
            }
            Err(_) => sleep(POLL).await,
        }
    }
}

const POLL: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(120);
