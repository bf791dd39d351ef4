//! What a CA publishes, fetched by http: it is signed, so the way it comes need not be safe.

use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use http::request::Builder;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::outside::{Allowed, Outside};

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may be, in bytes.
const MAX_BODY: usize = 10 << 20;
/// How long the head of the answer may be, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// How those are reached whom a certificate names.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    /// As everything outside, at any address: a person's own command asks for that person.
    Any(&'a Outside),
    /// Only at addresses that may be asked, and never by a proxy, which would look up names itself: strangers wrote the URLs.
    Guarded(&'a Outside, &'a Allowed),
}

impl Way<'_> {
    async fn connect(self, host: &str, port: u16) -> anyhow::Result<TcpStream> {
        match self {
            Self::Any(outside) => Ok(outside.connect(host, port, None).await?.stream),
            Self::Guarded(outside, allowed) => outside.reach_directly(host, port, allowed).await,
        }
    }
}

/// Fetches a file. Redirects are not followed.
///
/// # Errors
/// When it is not there, too long, or comes too slowly.
pub(super) async fn fetch(way: Way<'_>, url: &str) -> anyhow::Result<Bytes> {
    send(way, url, Request::get("/"), Bytes::new()).await
}

/// Asks an OCSP responder (RFC 6960 appendix A.1).
///
/// # Errors
/// When it doesn't answer, or too much, or too slowly.
pub(super) async fn ask(way: Way<'_>, url: &str, question: Vec<u8>) -> anyhow::Result<Bytes> {
    let post = Request::post("/").header(header::CONTENT_TYPE, "application/ocsp-request");
    send(way, url, post, question.into()).await
}

async fn send(way: Way<'_>, url: &str, request: Builder, body: Bytes) -> anyhow::Result<Bytes> {
    tokio::time::timeout(PATIENCE, exchange(way, url, request, body))
        .await
        .with_context(|| format!("no answer within {PATIENCE:?}"))?
}

async fn exchange(way: Way<'_>, url: &str, request: Builder, body: Bytes) -> anyhow::Result<Bytes> {
    let url = Url::parse(url).context("it is no URL")?;
    ensure!(url.scheme() == "http", "only http:// is asked");
    let host = url.host_str().context("it names no host")?;
    let port = url.port_or_known_default().unwrap_or(80);
    let bare = host.trim_matches(['[', ']']);
    let stream = way.connect(bare, port).await?;
    let (mut sender, driver) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await?;
    let _driver = AbortOnDropHandle::new(tokio::spawn(driver));
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let request = request
        .uri(path)
        .header(
            header::HOST,
            &url[url::Position::BeforeHost..url::Position::AfterPort],
        )
        .header(
            header::USER_AGENT,
            concat!("certwright/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::CONNECTION, "close")
        .body(Full::new(body))
        .context("it makes no request")?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    ensure!(status == StatusCode::OK, "the answer is {status}");
    let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
    Ok(body
        .map_err(|problem| anyhow!("the answer breaks off: {problem}"))?
        .to_bytes())
}
