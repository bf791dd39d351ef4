//! Health and metrics over HTTP, on one port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::health::{Heartbeats, Readiness};

/// What the server tells.
#[derive(Clone, Debug)]
pub struct Report {
    /// Told at `/healthz`.
    pub heartbeats: Heartbeats,
    /// Told at `/readyz`.
    pub readiness: Readiness,
    /// Told at `/metrics`.
    pub registry: Arc<Registry>,
}

/// Listens at `address`; if that is every IPv6 address and the machine has no IPv6, at every IPv4 address.
///
/// # Errors
/// When the address can't be listened at, for example because it is taken.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && lacks_ipv6(&error) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        other => other,
    }
}

/// Answers until `stop`, then finishes the answers under way within [`GRACE`].
pub async fn serve(listener: TcpListener, report: Report, stop: CancellationToken) {
    let router = router(report);
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Without a free place nobody is let in: whoever comes waits in the kernel's queue, which is bounded too.
        let arrival = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            arrival = arrival => arrival,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    converse(stream, router, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "Failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// How many connections are served at once.
pub const MAX_CONNECTIONS: usize = 128;
/// How long a client may take to send a request's head, and a connection may be idle.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection older than this is closed after the answer under way, so that a slow reader can't keep its place.
pub const MAX_AGE: Duration = Duration::from_secs(60);
/// How long an answer under way may take once its connection is to be closed.
pub const GRACE: Duration = Duration::from_secs(5);
/// A request's head may not be larger than this, in bytes. Hyper takes no less than 8 KiB.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Accepting fails when file descriptors run out; trying again at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Source: OpenMetrics 1.0, "Overall structure".
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn router(report: Report) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(report)
}

async fn healthz(State(report): State<Report>) -> Response {
    let stuck: Vec<String> = report
        .heartbeats
        .stuck()
        .iter()
        .map(ToString::to_string)
        .collect();
    verdict("stuck", &stuck)
}

async fn readyz(State(report): State<Report>) -> Response {
    let missing: Vec<String> = report
        .readiness
        .missing()
        .into_iter()
        .map(str::to_owned)
        .collect();
    verdict("waiting for", &missing)
}

async fn metrics(State(report): State<Report>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &report.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn verdict(problem: &str, with: &[String]) -> Response {
    if with.is_empty() {
        return "ok\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("{problem}: {}\n", with.join("; ")),
    )
        .into_response()
}

async fn converse(stream: TcpStream, router: Router, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                debug!(%error, "A connection broke");
            }
            return;
        }
        () = stop.cancelled() => {}
        () = tokio::time::sleep(MAX_AGE) => {}
    }
    connection.as_mut().graceful_shutdown();
    if tokio::time::timeout(GRACE, connection).await.is_err() {
        debug!("Cut a connection whose answer was not read in time");
    }
}

fn lacks_ipv6(error: &io::Error) -> bool {
    /// `EAFNOSUPPORT` of Linux: the kernel was built or started without IPv6. The standard library has no name for it.
    const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(ADDRESS_FAMILY_NOT_SUPPORTED)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
