//! The composition root: starts, joins and stops every task.

mod wiring;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cli::RunSettings;
use crate::clock::{Clock, SystemClock};
use crate::server;
use wiring::Parts;

/// How long tasks may take to end once they were told to.
const GRACE: Duration = Duration::from_secs(20);

/// Runs the operator against the cluster that the kubeconfig or the Pod's ServiceAccount names, until SIGTERM or Ctrl-C.
///
/// # Errors
/// When the cluster is not configured, the port is taken, or a task ends that never should.
pub async fn run(settings: RunSettings) -> anyhow::Result<()> {
    let mut config = Config::infer()
        .await
        .context("found neither a kubeconfig nor a ServiceAccount")?;
    // When to try again is decided by what failed, not by the client.
    config.default_retry = false;
    let client = Client::try_from(config).context("failed to set up the API client")?;
    let listener = server::listen(settings.listen)
        .await
        .with_context(|| format!("failed to listen at {}", settings.listen))?;
    let stop = CancellationToken::new();
    let operator = operate(
        client,
        &settings,
        Arc::new(SystemClock),
        listener,
        stop.clone(),
    );
    let signals = async move {
        let signal = signalled().await;
        info!(signal, "Stopping");
        stop.cancel();
        signalled().await;
        warn!("Stopping at once");
    };
    tokio::pin!(operator);
    tokio::select! {
        ended = &mut operator => ended,
        () = signals => Ok(()),
    }
}

/// Runs the operator with this client and clock until `stop`.
///
/// # Errors
/// When a task ends that never should.
pub async fn operate(
    client: Client,
    settings: &RunSettings,
    clock: Arc<dyn Clock>,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    info!(version = env!("CARGO_PKG_VERSION"), settings = ?settings, "Certwright starts");
    let mut tasks = Tasks {
        running: JoinSet::new(),
        stop: stop.clone(),
    };
    let parts = Parts::new(client, settings, clock);
    tasks.serving(
        "server",
        server::serve(listener, parts.report(), tasks.stop.clone()),
    );
    parts.start(&mut tasks);
    tasks.join().await
}

/// The tasks of the process. Each ends only when it is told to.
struct Tasks {
    running: JoinSet<&'static str>,
    stop: CancellationToken,
}

impl Tasks {
    /// Starts a task that sees to its own end at `stop`.
    fn serving(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(async move {
            task.await;
            name
        });
    }

    /// Starts a task that has nothing to finish: it is dropped at `stop`.
    fn following(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.serving(name, async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Waits for all tasks. One that ends early ends them all.
    async fn join(mut self) -> anyhow::Result<()> {
        let first = self.running.join_next().await;
        let failure = match first {
            _ if self.stop.is_cancelled() => None,
            Some(Ok(name)) => Some(format!("the {name} ended")),
            Some(Err(problem)) => Some(format!("a task failed: {problem}")),
            None => None,
        };
        self.stop.cancel();
        let rest = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, rest).await.is_err() {
            warn!("Some work did not end in time and is given up");
        }
        match failure {
            Some(failure) => bail!(failure),
            None => Ok(()),
        }
    }
}

async fn signalled() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            // Without a handler the signal's own effect, to end the process, stays.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => "SIGTERM",
        () = wait(SignalKind::interrupt()) => "SIGINT",
    }
}
