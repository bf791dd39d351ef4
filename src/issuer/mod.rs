//! Who signs.

pub mod acme;
mod authorities;
mod ca;
mod found;
mod registry;
mod self_signed;

use certwright_core::pki::csr::Csr;
use certwright_core::pki::{CertificateDer, PrivateKey, Profile};
use certwright_core::plan::ReadyIssuer;
use jiff::Timestamp;

pub use acme::{Accounts, AcmeIssuer};
pub use ca::CaIssuer;
pub use registry::{Issuers, NotReady, State};
pub use self_signed::SelfSignedIssuer;

/// What an issuer is asked for. It carries the public half of the key; only what signs itself needs the key too.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What the certificate shall say.
    pub profile: &'a Profile,
    /// The same, signed by the key the certificate is for.
    pub csr: &'a Csr,
    /// That key, to sign with and for nothing else.
    pub key: &'a PrivateKey,
    /// From when it shall be valid.
    pub now: Timestamp,
}

/// What an issuer gives: a certificate and what is known of the chain above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, then what goes with it into `tls.crt`.
    pub chain: Vec<CertificateDer>,
    /// What a client trusts to verify it, where the issuer knows.
    pub ca: Option<CertificateDer>,
}

/// Why an issuer gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct IssueError {
    /// One word to search for.
    pub reason: &'static str,
    /// What went wrong and what to do.
    pub message: String,
}

/// Somebody inside the cluster, who signs at once.
pub trait Issuer {
    /// Takes the next step towards the certificate.
    ///
    /// # Errors
    /// When it will not be given.
    fn advance(
        &self,
        request: Request<'_>,
    ) -> impl Future<Output = Result<Issued, IssueError>> + Send;
}

/// An issuer that can sign, of any kind.
pub enum AnyIssuer {
    /// Each certificate by its own key.
    SelfSigned(SelfSignedIssuer),
    /// By a CA from a Secret.
    Ca(CaIssuer),
    /// By an ACME CA, which takes several steps.
    Acme(AcmeIssuer),
}

/// An issuer that can sign, and what planning needs to know of it.
pub struct Usable {
    /// For planning.
    pub facts: ReadyIssuer,
    /// For acting.
    pub issuer: AnyIssuer,
}
