//! Helm and kubectl on a real control plane.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use certwright_test_cluster::{ControlPlane, Options, SharedControlPlane};
use serde::Deserialize as _;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The control plane of all tests that only look what it would make of something.
pub(crate) static CLUSTER: SharedControlPlane = SharedControlPlane::new(|| Options::new().nodes(2));

/// The chart's folder.
pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/certwright");

/// Runs Helm; its arguments are separated by spaces, and `CHART` stands for the chart.
pub(crate) async fn helm(cluster: &ControlPlane, arguments: &str) -> Result<String, String> {
    let mut command = cluster.helm().unwrap();
    command.args(
        arguments
            .split(' ')
            .map(|word| if word == "CHART" { CHART } else { word }),
    );
    run(command, None).await
}

/// Runs kubectl; its arguments are separated by spaces.
pub(crate) async fn kubectl(cluster: &ControlPlane, arguments: &str) -> Result<String, String> {
    kubectl_with(cluster, arguments, None).await
}

/// The same with this as its standard input.
pub(crate) async fn kubectl_with(
    cluster: &ControlPlane,
    arguments: &str,
    input: Option<&str>,
) -> Result<String, String> {
    let mut command = cluster.kubectl().unwrap();
    command.args(arguments.split(' '));
    run(command, input).await
}

async fn run(mut command: Command, input: Option<&str>) -> Result<String, String> {
    let mut child = command
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if let Some(input) = input {
        let mut stdin = child.stdin.take().unwrap();
        // A program that fails early doesn't read to the end; its own words say more.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if status.success() {
        Ok(text(stdout))
    } else {
        Err(format!("{}{}", text(stdout), text(stderr)))
    }
}

/// The documents of a YAML stream.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|document| !document.is_null())
        .collect()
}

/// Asks until the answer is `Ok`, and fails with the last `Err`.
pub(crate) async fn eventually<T>(
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        match probe().await {
            Ok(found) => return found,
            Err(stands) if start.elapsed() > Duration::from_secs(60) => {
                panic!("waited in vain for this: {what}\n{stands}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}
