//! Sends a workload's Pods the request that makes them read their certificate again.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use certwright_core::api::certificate::RolloutCall;
use certwright_core::rollout::Callee;
use futures::{StreamExt as _, TryStreamExt as _};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::outside::Allowed;

/// How long a Pod may take, from the connection to the status.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many Pods are called at a time.
const AT_ONCE: usize = 8;
const AGENT: &str = concat!("certwright/", env!("CARGO_PKG_VERSION"));

/// Calls all of `callees`, each at its own address and as long as that may be asked. No redirect is followed, and nothing of
/// what they answer is read but the status.
///
/// # Errors
/// With the first that can't be called, or answers with another status than 200 to 299.
pub(super) async fn call_all(
    allowed: &Allowed,
    call: &RolloutCall,
    callees: Vec<Callee>,
) -> anyhow::Result<()> {
    ensure!(!callees.is_empty(), "none of its Pods is ready");
    futures::stream::iter(callees)
        .map(|callee: Callee| async move {
            let answer = tokio::time::timeout(PATIENCE, call_one(allowed, call, &callee)).await;
            let answer = answer.unwrap_or_else(|_| Err(anyhow!("no answer within {PATIENCE:?}")));
            let status = answer.with_context(|| format!("Pod {} can't be called", callee.pod))?;
            ensure!(
                status.is_success(),
                "Pod {} answered with status {}",
                callee.pod,
                status.as_u16()
            );
            Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn call_one(
    allowed: &Allowed,
    call: &RolloutCall,
    callee: &Callee,
) -> anyhow::Result<StatusCode> {
    let Some(address) = callee.address else {
        bail!("it has no address of its own (hostNetwork)");
    };
    let Some(port) = callee.port(&call.port) else {
        bail!(
            "none of its containers names a port {:?}",
            call.port.to_string()
        );
    };
    let address = SocketAddr::new(address, port);
    allowed.admit_pod(address).await?;
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("{address} takes no connection"))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(16 << 10)
        .handshake(TokioIo::new(stream))
        .await?;
    let request = Request::builder()
        .method(call.method.unwrap_or_default().as_str())
        .uri(&call.path)
        .header(HOST, address.to_string())
        .header(USER_AGENT, AGENT)
        .header(CONTENT_LENGTH, 0)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    // The connection is driven only while the status is waited for, and goes with it, whatever the body.
    let mut answer = std::pin::pin!(sender.send_request(request));
    let mut connection = std::pin::pin!(connection);
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // Once the connection has ended, what came is all that comes.
        _ = &mut connection => answer.await,
    };
    Ok(answer?.status())
}

#[cfg(test)]
mod tests;
