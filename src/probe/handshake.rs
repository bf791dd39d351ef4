//! What a TLS server shows, whether a client would trust it or not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use certwright_core::pki::CertificateDer;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{self, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_rustls::TlsConnector;

use super::Connection;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a TLS server showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Where it was reached.
    pub at: String,
    /// The version of TLS, such as `TLSv1_3`; `None` if the handshake did not come to its end.
    pub protocol: Option<String>,
    /// The certificates in the order in which it showed them.
    pub chain: Vec<CertificateDer>,
    /// Whether a client would trust them, or why not.
    pub verdict: Result<(), String>,
}

/// Shakes hands as `name`, and sends nothing.
pub(super) async fn ask(
    connection: Connection,
    name: &str,
    roots: &Arc<RootCertStore>,
) -> anyhow::Result<Served> {
    let server = ServerName::try_from(name.to_owned())
        .with_context(|| format!("{name} is neither a DNS name nor an IP address"))?;
    let judge = WebPkiServerVerifier::builder(Arc::clone(roots))
        .build()
        .context("failed to set up the judgement of certificates")?;
    let recorder = Arc::new(Recorder {
        judge,
        seen: Mutex::default(),
    });
    let mut config = ClientConfig::builder()
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    let verifier = Arc::<Recorder>::clone(&recorder);
    config.dangerous().set_certificate_verifier(verifier);
    let handshake = TlsConnector::from(Arc::new(config)).connect(server, connection.stream);
    let shaken = match tokio::time::timeout(HANDSHAKE, handshake).await {
        Ok(shaken) => shaken.map_err(|problem| anyhow!("{problem}")),
        Err(_) => Err(anyhow!("no answer within {HANDSHAKE:?}")),
    };
    let at = connection.to;
    let protocol = shaken.as_ref().ok().and_then(|stream| {
        let (_, session) = stream.get_ref();
        Some(format!("{:?}", session.protocol_version()?))
    });
    let seen = recorder
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    match (seen, shaken) {
        (Some((chain, verdict)), _) => Ok(Served {
            at,
            protocol,
            chain,
            verdict,
        }),
        (None, Err(problem)) => Err(problem).with_context(|| format!("{at} speaks no TLS")),
        (None, Ok(_)) => bail!("{at} showed no certificate"),
    }
}

/// Takes note of what the server shows, and lets it pass: what was sent is looked at, and nothing is sent in return.
#[derive(Debug)]
struct Recorder {
    judge: Arc<WebPkiServerVerifier>,
    seen: Mutex<Option<Seen>>,
}

/// The chain, leaf first, and why it would not be trusted.
type Seen = (Vec<CertificateDer>, Result<(), String>);

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &pki_types::CertificateDer<'_>,
        intermediates: &[pki_types::CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.judge.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let chain = std::iter::once(end_entity)
            .chain(intermediates)
            .map(|der| CertificateDer::from(der.to_vec()))
            .collect();
        let verdict = verdict.map(|_| ()).map_err(|problem| words(&problem));
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((chain, verdict));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &pki_types::CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &pki_types::CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

/// Why a client would not trust a server, with the way out.
fn words(problem: &Error) -> String {
    let Error::InvalidCertificate(problem) = problem else {
        return problem.to_string();
    };
    match problem {
        CertificateError::UnknownIssuer => {
            "no CA that is trusted here signed it; is an intermediate missing, or the CA a private one?"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired; renew it".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; is a clock wrong?".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is not for this name".to_owned()
        }
        other => other.to_string(),
    }
}
