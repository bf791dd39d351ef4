//! HTTPS to a CA: one request, one bounded answer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certwright_core::pki::chain;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::AcmeError;
use super::answer::Answer;
use crate::outside::{Allowed, Outside, unverified};

/// How long a request may take, from the look-up of the name to the last byte, unless it is said otherwise.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than this, in bytes, no CA has to say.
const MAX_BODY: usize = 256 << 10;

/// How a CA's own server is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// By the public CAs, those of the administrator, and these: PEM in base64, or none.
    Roots(Option<String>),
    /// Not at all: anybody may pose as it.
    None,
}

/// Where requests go.
pub struct Transport {
    outside: Arc<Outside>,
    allowed: Allowed,
    tls: TlsConnector,
    patience: Duration,
}

impl Transport {
    /// Requests over these ways out, to addresses that are allowed.
    ///
    /// # Errors
    /// When the roots can't be read; the text says why.
    pub fn new(
        outside: Arc<Outside>,
        allowed: Allowed,
        verification: &Verification,
    ) -> anyhow::Result<Self> {
        let config = match verification {
            Verification::Roots(bundle) => {
                let mut roots = RootCertStore::clone(outside.roots());
                if let Some(bundle) = bundle {
                    add(&mut roots, bundle)?;
                }
                ClientConfig::builder()
                    .with_root_certificates(roots)
                    .with_no_client_auth()
            }
            Verification::None => unverified(),
        };
        Ok(Self {
            outside,
            allowed,
            tls: TlsConnector::from(Arc::new(config)),
            patience: PATIENCE,
        })
    }

    /// The same, with so much time for a request, from the look-up of the name to the last byte.
    #[must_use]
    pub const fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How long a request may take.
    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Sends a request, and reads the whole answer. Redirects are not followed.
    ///
    /// # Errors
    /// When there is no answer, or one that is too long.
    pub(super) async fn send(
        &self,
        method: Method,
        uri: &Uri,
        accept: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, AcmeError> {
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let asked = self.ask(method, uri, accept, body);
        match tokio::time::timeout(self.patience, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(AcmeError::TimedOut {
                host,
                within: self.patience,
            }),
        }
    }

    async fn ask(
        &self,
        method: Method,
        uri: &Uri,
        accept: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, AcmeError> {
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let unreachable = |why: String| AcmeError::Unreachable {
            host: authority.clone(),
            why,
        };
        let nonsense = |why: String| AcmeError::Nonsense {
            host: authority.clone(),
            why,
        };
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let port = uri.port_u16().unwrap_or(443);
        let stream = self
            .outside
            .reach(&host, port, &self.allowed)
            .await
            .map_err(|problem| unreachable(format!("{problem:#}")))?;
        let name = ServerName::try_from(host)
            .map_err(|_| unreachable("it is neither a DNS name nor an IP address".to_owned()))?;
        let stream = self
            .tls
            .connect(name, stream)
            .await
            .map_err(|problem| unreachable(format!("TLS failed: {problem}")))?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(64 << 10)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|problem| unreachable(problem.to_string()))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &authority)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, accept)
            .header(http::header::CONNECTION, "close");
        if let Some(body) = &body {
            request = request
                .header(CONTENT_TYPE, "application/jose+json")
                .header(CONTENT_LENGTH, body.len());
        }
        let request = request
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|problem| unreachable(problem.to_string()))?;
        // The connection is driven only while its answer is waited for, and goes with it.
        let exchange = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|problem| unreachable(cause(&problem)))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_BODY).collect().await;
            let body = body.map_err(|problem| {
                if problem.is::<LengthLimitError>() {
                    nonsense(format!("it is longer than {MAX_BODY} bytes"))
                } else {
                    unreachable(format!("the answer breaks off: {problem}"))
                }
            })?;
            Ok(Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            })
        };
        let mut exchange = std::pin::pin!(exchange);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            answer = &mut exchange => answer,
            // Once the connection has ended, what came is all that comes.
            _ = &mut connection => exchange.await,
        }
    }
}

const AGENT: &str = concat!("certwright/", env!("CARGO_PKG_VERSION"));

/// hyper's own words say little; what is behind them says more.
fn cause(problem: &hyper::Error) -> String {
    match std::error::Error::source(problem) {
        Some(source) => format!("{problem}: {source}"),
        None => problem.to_string(),
    }
}

fn add(roots: &mut RootCertStore, bundle: &str) -> anyhow::Result<()> {
    let pem = BASE64_STANDARD
        .decode(bundle.trim())
        .context("spec.acme.caBundle is not base64")?;
    let certificates =
        chain::read_pem(&pem).context("spec.acme.caBundle is no list of certificates")?;
    for (index, facts) in certificates.into_iter().enumerate() {
        roots.add(facts.der).with_context(|| {
            format!(
                "certificate {} of spec.acme.caBundle can't be trusted",
                index + 1
            )
        })?;
    }
    Ok(())
}
