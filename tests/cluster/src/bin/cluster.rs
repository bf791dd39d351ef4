//! Runs a control plane with a real node until Ctrl-C: `make cluster`.

use std::time::Instant;

use certwright_test_cluster::{Cluster, Options};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // From the first moment, so that an interrupted start cleans up as well.
    let mut terminate = signal(SignalKind::terminate())?;
    let start = Instant::now();
    let cluster = tokio::select! {
        started = Cluster::start(Options::new()) => started?,
        _ = tokio::signal::ctrl_c() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    let control_plane = cluster.control_plane();
    eprintln!(
        "A Kubernetes with one node runs at {} (started in {:.1?}).",
        control_plane.url(),
        start.elapsed()
    );
    eprintln!("Logs are in {}.", control_plane.folder().display());
    eprintln!("Ctrl-C ends it, and nothing of it stays. To use it, in another terminal:");
    println!(
        "export KUBECONFIG={}",
        control_plane.kubeconfig("admin")?.display()
    );
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
