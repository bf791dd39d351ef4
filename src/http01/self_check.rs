//! A look through the real front door, as the CA will take it, before the CA is told to.
//!
//! As a CA does, it follows redirects to ports 80 and 443 alone and takes any certificate: RFC 8555 section 8.3 asks for
//! plain HTTP, so there is nothing that a certificate could prove yet. What somebody answers is compared and never
//! repeated: a tenant chooses who is asked, and must learn nothing of it by us.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use certwright_core::http01::{Challenge, Outcome};
use http::uri::{Authority, Scheme, Uri};
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::any_certificate::AnyCertificate;

/// How long a look may take, all redirects included.
pub const LOOK: Duration = Duration::from_secs(10);
/// As Let's Encrypt.
const MAX_REDIRECTS: usize = 10;
/// A key authorization is a token and a thumbprint: 172 characters at most.
const MAX_BODY: usize = 1 << 10;
/// A response's head may not be larger than this, in bytes. Hyper takes no less than 8 KiB.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Who reaches a host. It also says who may be reached: hosts are what tenants named, or where that redirected to.
pub trait Dial: Send + Sync {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Connects to a host, a name or an address without brackets.
    fn dial(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = anyhow::Result<Self::Stream>> + Send;
}

/// Looks whether `expected` is what a CA would see.
pub async fn look(dial: &impl Dial, challenge: &Challenge, expected: &str) -> Outcome {
    match tokio::time::timeout(LOOK, follow(dial, challenge, expected)).await {
        Ok(Ok(())) => Outcome::Served,
        Ok(Err(outcome)) => outcome,
        Err(_) => unreachable(format!("no answer within {} s", LOOK.as_secs())),
    }
}

async fn follow(dial: &impl Dial, challenge: &Challenge, expected: &str) -> Result<(), Outcome> {
    let first = format!("http://{}{}", challenge.host(), challenge.path());
    let mut target: Uri = first
        .parse()
        .map_err(|_| unreachable(format!("{} can't be asked at", challenge.host())))?;
    for _ in 0..=MAX_REDIRECTS {
        let place = Place::of(&target)?;
        match ask(dial, &place, &target).await? {
            Answer::Redirect(location) => {
                target = resolve(&place, &location).ok_or_else(|| {
                    not_yet(format!("{place} redirects to what is no URL to follow"))
                })?;
            }
            Answer::Body(body) if body == expected.as_bytes() => return Ok(()),
            Answer::Body(body) => {
                return Err(not_yet(format!(
                    "{place} answers 200 with something else, {} bytes long",
                    body.len()
                )));
            }
            Answer::Status(status) => {
                return Err(not_yet(format!("{place} answers {}", status.as_u16())));
            }
        }
    }
    Err(not_yet(format!("more than {MAX_REDIRECTS} redirects")))
}

enum Answer {
    Body(Vec<u8>),
    Redirect(HeaderValue),
    Status(StatusCode),
}

/// Where a URL leads.
struct Place {
    scheme: Scheme,
    authority: Authority,
    port: u16,
}

impl Place {
    fn of(target: &Uri) -> Result<Self, Outcome> {
        let (Some(scheme), Some(authority)) = (target.scheme(), target.authority()) else {
            return Err(not_yet("a redirect leads to no host".to_owned()));
        };
        let default = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => {
                return Err(not_yet(
                    "a redirect leads to another scheme than http and https".to_owned(),
                ));
            }
        };
        if authority.as_str().contains('@') {
            return Err(not_yet("a redirect carries a user's name".to_owned()));
        }
        let port = authority.port_u16().unwrap_or(default);
        if ![80, 443].contains(&port) {
            return Err(not_yet(format!(
                "a redirect leads to port {port}: CAs follow to 80 and 443 only"
            )));
        }
        Ok(Self {
            scheme: scheme.clone(),
            authority: authority.clone(),
            port,
        })
    }

    fn host(&self) -> &str {
        self.authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

async fn ask(dial: &impl Dial, place: &Place, target: &Uri) -> Result<Answer, Outcome> {
    let failed = |problem: anyhow::Error| unreachable(format!("{place}: {problem:#}"));
    let stream = dial.dial(place.host(), place.port).await.map_err(failed)?;
    let request = Request::get(target.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, place.authority.as_str())
        .header(
            header::USER_AGENT,
            concat!("certwright/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(String::new())
        .map_err(|problem| failed(problem.into()))?;
    let answered = if place.scheme == Scheme::HTTPS {
        let name = ServerName::try_from(place.host().to_owned())
            .map_err(|problem| failed(problem.into()))?;
        let stream = connector().connect(name, stream).await;
        exchange(stream.map_err(|problem| failed(problem.into()))?, request).await
    } else {
        exchange(stream, request).await
    };
    answered.map_err(|problem| failed(problem.into()))
}

async fn exchange<S>(stream: S, request: Request<String>) -> hyper::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await?;
    let mut connection = pin!(connection);
    let asking = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let location = head.headers.get(header::LOCATION);
        Ok(match (head.status, location) {
            (StatusCode::OK, _) => Answer::Body(read(body).await?),
            (status, Some(location)) if is_redirect(status) => Answer::Redirect(location.clone()),
            (status, _) => Answer::Status(status),
        })
    };
    let mut asking = pin!(asking);
    // The connection moves on only while it is looked at. Its end says nothing: the answer may have come whole before a
    // server that hung up, and what did not come is missed where it is waited for.
    tokio::select! {
        biased;
        answer = asking.as_mut() => return answer,
        _ = connection.as_mut() => {}
    }
    asking.await
}

/// The body, or as much of it as shows that it is too long.
async fn read(mut body: Incoming) -> hyper::Result<Vec<u8>> {
    let mut read = Vec::new();
    while read.len() <= MAX_BODY {
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let Some(frame) = frame else { break };
        if let Ok(data) = frame?.into_data() {
            let room = (MAX_BODY + 1).saturating_sub(read.len());
            read.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(read)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads: to a URL, or to a path at the same place.
fn resolve(place: &Place, location: &HeaderValue) -> Option<Uri> {
    let location = location.to_str().ok()?;
    let location = location.split('#').next()?;
    if location.starts_with("//") {
        return format!("{}:{location}", place.scheme).parse().ok();
    }
    if location.starts_with('/') {
        return format!("{place}{location}").parse().ok();
    }
    location.parse().ok()
}

fn connector() -> TlsConnector {
    let config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate::default()))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

fn not_yet(saw: String) -> Outcome {
    Outcome::NotYet { saw }
}

fn unreachable(why: String) -> Outcome {
    Outcome::Unreachable { why }
}

#[cfg(test)]
#[path = "self_check_tests.rs"]
mod tests;
