//! Runs a control plane until Ctrl-C, for a look around and for the demo.

use std::time::Instant;

use certwright_test_cluster::{ControlPlane, Options};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // From the first moment, so that an interrupted start cleans up as well.
    let mut terminate = signal(SignalKind::terminate())?;
    let start = Instant::now();
    let cluster = tokio::select! {
        started = ControlPlane::start(Options::new()) => started?,
        _ = tokio::signal::ctrl_c() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    eprintln!(
        "A Kubernetes control plane runs at {} (started in {:.1?}).",
        cluster.url(),
        start.elapsed()
    );
    eprintln!(
        "Logs are in {}. Ctrl-C ends it. To use it:",
        cluster.folder().display()
    );
    println!(
        "export KUBECONFIG={}",
        cluster.kubeconfig("admin")?.display()
    );
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
