//! Whom we trust: the public CAs, and those that an administrator adds.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use certwright_core::pki::chain;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// More than this, in bytes, is no list of CAs that anybody needs.
const MAX_BYTES: u64 = 4 << 20;

/// The public CAs, and those in a file of PEM blocks.
///
/// # Errors
/// When the file can't be read, holds no certificate, or one that can't be a CA.
pub(super) fn roots(extra: Option<&Path>) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    ensure!(
        !roots.is_empty(),
        "the program was built without public CAs"
    );
    let Some(file) = extra else {
        return Ok(roots);
    };
    let name = file.display();
    let size = std::fs::metadata(file).with_context(|| format!("failed to read {name}"))?;
    if size.len() > MAX_BYTES {
        bail!("{name} is larger than {MAX_BYTES} bytes");
    }
    let pem = std::fs::read(file).with_context(|| format!("failed to read {name}"))?;
    let certificates =
        chain::read_pem(&pem).with_context(|| format!("{name} is no list of CAs"))?;
    for (index, facts) in certificates.into_iter().enumerate() {
        let der = CertificateDer::from(facts.der.as_ref().to_vec());
        roots
            .add(der)
            .with_context(|| format!("certificate {} of {name} can't be trusted", index + 1))?;
    }
    Ok(roots)
}

/// TLS to whoever answers, with any certificate at all.
pub fn unverified() -> ClientConfig {
    let mut config = ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let schemes = config
        .crypto_provider()
        .signature_verification_algorithms
        .supported_schemes();
    config
        .dangerous()
        .set_certificate_verifier(Arc::new(Anybody(schemes)));
    config
}

/// Takes every certificate.
#[derive(Debug)]
struct Anybody(Vec<SignatureScheme>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_public_cas_are_part_of_the_program_and_a_file_adds_to_them() {
        let public = roots(None).unwrap().len();
        assert!(public > 50, "{public}");
        let ca = rcgen::generate_simple_self_signed(["ca.example.com".to_owned()]).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "# ours\n{}", ca.cert.pem()).unwrap();
        assert_eq!(roots(Some(file.path())).unwrap().len(), public + 1);
    }

    #[test]
    fn a_file_that_is_no_list_of_cas_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let problem = roots(Some(file.path())).unwrap_err().to_string();
        assert!(problem.contains("is no list of CAs"), "{problem}");
        let problem = roots(Some(Path::new("/nonexistent"))).unwrap_err();
        assert_eq!(problem.to_string(), "failed to read /nonexistent");
    }
}
