//! The composition root: starts, joins and stops every task.

mod tasks;
mod wiring;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use anyhow::Context as _;
use http::Uri;
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cli::RunSettings;
use crate::clock::{Clock, SystemClock};
use crate::cluster::api_server::ApiServer;
use crate::cluster::leadership::{self, Candidacy, Leadership};
use crate::{cluster, server};
use tasks::Tasks;
use wiring::Parts;

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
    let url = config.cluster_url.clone();
    let client = cluster::client(config).context("failed to set up the API client")?;
    let listener = server::listen(settings.listen)
        .await
        .with_context(|| format!("failed to listen at {}", settings.listen))?;
    let stop = CancellationToken::new();
    let operator = operate(
        (client, &url),
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

/// Runs the operator with this client, which reaches the API server at this URL, and clock until `stop`.
///
/// # Errors
/// When a task ends that never should.
pub async fn operate(
    (client, url): (Client, &Uri),
    settings: &RunSettings,
    clock: Arc<dyn Clock>,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    info!(version = env!("CARGO_PKG_VERSION"), settings = ?settings, "Certwright starts");
    let mut tasks = Tasks::new(stop);
    let leadership = match settings.leader_election {
        Some(_) => Leadership::candidate(),
        None => Leadership::undisputed(),
    };
    let gated = leadership::gated(client.clone(), leadership.clone());
    let questions = match &settings.http01 {
        Some(http01) => Some(
            server::listen(http01.listen)
                .await
                .with_context(|| format!("failed to listen at {}", http01.listen))?,
        ),
        None => None,
    };
    let api_server = ApiServer::new(client.clone(), url);
    let parts = Parts::new(
        gated,
        api_server,
        settings,
        Arc::clone(&clock),
        leadership.clone(),
    )?;
    tasks.serving(
        "server",
        server::serve(listener, parts.report(), tasks.stop.clone()),
    );
    parts.start(&mut tasks, questions);
    let Some(candidacy) = candidacy(settings) else {
        return tasks.join().await;
    };
    // The Lease is let go last: until then, what is under way may still write.
    let ended = CancellationToken::new();
    let election = leadership::run(client, &candidacy, &leadership, clock.as_ref(), &ended);
    let working = async {
        let outcome = tasks.join().await;
        ended.cancel();
        outcome
    };
    let ((), outcome) = tokio::join!(election, working);
    outcome
}

/// For which Lease this process stands, and as who. A process that starts again is another one: what its predecessor
/// still had under way is not known to it.
fn candidacy(settings: &RunSettings) -> Option<Candidacy> {
    let election = settings.leader_election.as_ref()?;
    let unique = RandomState::new().hash_one(std::process::id());
    Some(Candidacy {
        namespace: settings.namespace.clone(),
        name: settings.group.manager().to_owned(),
        identity: format!("{}_{unique:016x}", election.identity),
        duration: election.lease_duration,
    })
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
