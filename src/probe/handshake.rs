//! The handshake, as far as the certificates need it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use certwright_core::pki::CertificateDer;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{self, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Presented, Unreached};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Shakes hands as far as it goes, and sends nothing. What ends it after the certificates were shown, such as a wish for a
/// client's, takes nothing from what was seen.
pub(super) async fn present(
    stream: TcpStream,
    at: String,
    name: ServerName<'static>,
) -> Result<Presented, Unreached> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let recorder = Arc::new(Recorder {
        provider: Arc::clone(&provider),
        seen: Mutex::default(),
    });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|problem| Unreached::NoTls {
            at: at.clone(),
            problem: problem.to_string(),
        })?;
    let config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Recorder>::clone(&recorder))
        .with_no_client_auth();
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let shaken = tokio::time::timeout(HANDSHAKE, handshake).await;
    let protocol = shaken.as_ref().ok().and_then(|shaken| {
        let (_, session) = shaken.as_ref().ok()?.get_ref();
        Some(format!("{:?}", session.protocol_version()?))
    });
    let Seen { chain, holds_key } = recorder.seen().clone();
    if !chain.is_empty() {
        return Ok(Presented {
            at,
            protocol,
            chain,
            holds_key,
        });
    }
    Err(match shaken {
        Ok(Ok(_)) => Unreached::NoTls {
            at,
            problem: "it shows no certificate".to_owned(),
        },
        Ok(Err(problem)) => Unreached::NoTls {
            at,
            problem: problem.to_string(),
        },
        Err(_) => Unreached::Slow {
            at,
            step: "shake hands",
            patience: HANDSHAKE,
        },
    })
}

/// Takes note of what the server shows, and lets it pass: what was sent is looked at, and nothing is sent in return.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Seen>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    /// Leaf first.
    chain: Vec<CertificateDer>,
    holds_key: Option<bool>,
}

impl Recorder {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the signature over the handshake holds, and so whether whoever made it has the key.
    fn signed(
        &self,
        verified: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.seen().holds_key = Some(verified.is_ok());
        verified
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &pki_types::CertificateDer<'_>,
        intermediates: &[pki_types::CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.seen().chain = std::iter::once(end_entity)
            .chain(intermediates)
            .map(|der| CertificateDer::from(der.to_vec()))
            .collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &pki_types::CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.signed(verify_tls12_signature(
            message,
            certificate,
            signed,
            algorithms,
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &pki_types::CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.signed(verify_tls13_signature(
            message,
            certificate,
            signed,
            algorithms,
        ))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
