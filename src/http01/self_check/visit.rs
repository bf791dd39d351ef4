//! One request of a look through the front door.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use url::{Host, Url};

use super::Dial;

/// A body may not be longer than this, in bytes. An answer has fewer than two hundred.
const MAX_BODY: usize = 1 << 10;
/// An answer's head may not be longer than this, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// What was answered.
pub(super) enum Answer {
    /// 200, with this text.
    Text(Vec<u8>),
    /// 200, with more text than is read.
    TooLong,
    /// To be asked again there.
    Elsewhere(String),
    /// Any other status.
    Other(StatusCode),
}

/// Why there is no answer.
pub(super) enum Failure {
    /// Nobody takes a connection.
    Away(anyhow::Error),
    /// Whoever does speaks no HTTP, or no TLS where it is due.
    Broken(anyhow::Error),
}

/// Asks for one URL.
pub(super) async fn visit(dial: &dyn Dial, url: &Url) -> Result<Answer, Failure> {
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err(Failure::Broken(anyhow!("it names no host"))),
    };
    let port = url.port_or_known_default().unwrap_or(80);
    let stream = dial.dial(&host, port).await.map_err(Failure::Away)?;
    let answer = if url.scheme() == "https" {
        match shake_hands(&host, stream).await {
            Ok(stream) => ask(stream, url).await,
            Err(problem) => Err(problem),
        }
    } else {
        ask(stream, url).await
    };
    answer.map_err(Failure::Broken)
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &Url,
) -> anyhow::Result<Answer> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let host = url.host_str().unwrap_or_default();
    let host = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let path = url.query().map_or_else(
        || url.path().to_owned(),
        |query| format!("{}?{query}", url.path()),
    );
    let request = Request::get(path)
        .header(header::HOST, HeaderValue::from_str(&host)?)
        .header(
            header::USER_AGENT,
            concat!("certwright/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .context("it makes no request")?;
    read(sender.send_request(request).await?).await
}

async fn read(response: http::Response<Incoming>) -> anyhow::Result<Answer> {
    let status = response.status();
    // Those that a CA follows; 300 and 304, for example, are none.
    if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
        && let Some(location) = response.headers().get(header::LOCATION)
    {
        let location = location.to_str().context("its Location is no text")?;
        return Ok(Answer::Elsewhere(location.to_owned()));
    }
    if status != StatusCode::OK {
        return Ok(Answer::Other(status));
    }
    match Limited::new(response.into_body(), MAX_BODY).collect().await {
        Ok(body) => Ok(Answer::Text(body.to_bytes().into())),
        Err(problem) if problem.is::<http_body_util::LengthLimitError>() => Ok(Answer::TooLong),
        Err(problem) => Err(anyhow!("{problem}").context("its answer breaks off")),
    }
}

/// TLS with whoever is there: a certificate that is missing, expired or another's is why we are here.
async fn shake_hands(
    host: &str,
    stream: tokio::net::TcpStream,
) -> anyhow::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).context("it makes no name for TLS")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .context("failed to set up TLS")?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .context("it speaks no TLS with us")
}

/// Takes every certificate. Nothing secret is sent, and nothing that comes back is believed.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
