//! Why something is done, or can't be: each with one word to search for and a sentence.

use jiff::Timestamp;

use super::observed::PairFlaw;
use super::request::InvalidSpec;
use crate::pki::KeySpec;

/// Two writers are at odds over the Secret.
pub const CONTESTED: &str = "Contested";

/// Why a certificate is issued, in the order of precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssueReason {
    /// There is no Secret.
    Missing,
    /// The Secret holds no readable pair.
    Broken(PairFlaw),
    /// The Secret's key is not the certificate's.
    KeyDoesNotFit,
    /// Something else is asked for than what was issued.
    RequestChanged(Vec<String>),
    /// The certificate is not what was asked for.
    Drift(Vec<String>),
    /// The issuer's CA was replaced.
    CaReplaced,
    /// The certificate has expired.
    Expired(Timestamp),
    /// The certificate was revoked.
    Revoked,
    /// The CA suggests to renew now.
    Suggested,
    /// The renewal is due.
    Due,
    /// Somebody asked for it by hand; the value of the annotation.
    AskedByHand(String),
}

impl IssueReason {
    /// One word to search for.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "DoesNotExist",
            Self::Broken(PairFlaw::Missing(_)) => "MissingData",
            Self::Broken(_) => "InvalidCertificate",
            Self::KeyDoesNotFit => "InvalidKeyPair",
            Self::RequestChanged(_) => "RequestChanged",
            Self::Drift(_) => "IncorrectCertificate",
            Self::CaReplaced => "CAReplaced",
            Self::Expired(_) => "Expired",
            Self::Revoked => "Revoked",
            Self::Suggested => "SuggestedByCA",
            Self::Due => "Renewing",
            Self::AskedByHand(_) => "ManuallyTriggered",
        }
    }

    /// The same as a clause that follows "because".
    pub fn clause(&self, secret: &str) -> String {
        match self {
            Self::Missing => format!("Secret {secret} does not exist"),
            Self::Broken(flaw) => format!("Secret {secret} is damaged: {flaw}"),
            Self::KeyDoesNotFit => {
                format!("the private key in Secret {secret} does not belong to its certificate")
            }
            Self::RequestChanged(differences) if differences.is_empty() => {
                "the spec asks for something else than what was issued".to_owned()
            }
            Self::RequestChanged(differences) => {
                format!(
                    "the spec asks for something else than what was issued: {}",
                    differences.join("; ")
                )
            }
            Self::Drift(differences) => {
                format!(
                    "the certificate in Secret {secret} is not what the spec asks for: {}",
                    differences.join("; ")
                )
            }
            Self::CaReplaced => {
                "the issuer's CA was replaced since the certificate was signed".to_owned()
            }
            Self::Expired(at) => format!("the certificate expired at {at}"),
            Self::Revoked => "the certificate was revoked".to_owned(),
            Self::Suggested => "the CA suggests to renew now".to_owned(),
            Self::Due => "its renewal is due".to_owned(),
            Self::AskedByHand(value) => format!("a renewal was asked for by hand ({value:?})"),
        }
    }
}

/// Why an issuance that is under way is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbandonReason {
    /// Something else is asked for now, or another issuer.
    RequestChanged,
    /// The Secret can't be written.
    SecretInTheWay,
    /// What is held is what is asked for.
    NothingToIssue,
    /// The issuer is gone.
    IssuerGone,
    /// The issuer doesn't serve its namespace any more.
    IssuerNotAllowed,
    /// Its issuer has failed for long, and another is asked.
    AnothersTurn,
}

impl AbandonReason {
    /// The same as a clause that follows "because".
    pub fn clause(self) -> &'static str {
        match self {
            Self::RequestChanged => "something else is asked for now",
            Self::SecretInTheWay => "its Secret can't be written",
            Self::NothingToIssue => "nothing needs to be issued any more",
            Self::IssuerGone => "its issuer is gone",
            Self::IssuerNotAllowed => "its issuer does not serve its namespace any more",
            Self::AnothersTurn => "its issuer has failed for long, and another is asked",
        }
    }
}

/// What is in the way, and only someone else can move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockReason {
    /// The spec can't be said in a certificate.
    InvalidSpec(InvalidSpec),
    /// The Secret belongs to another Certificate.
    SecretOwnedByOther(String),
    /// The Secret is not ours.
    ForeignSecret,
    /// The Secret is being deleted and still there.
    SecretBeingDeleted,
    /// The Secret can't be changed.
    ImmutableSecret,
    /// There is no such issuer; with what it is wanted for.
    IssuerNotFound(IssueReason),
    /// The issuer can't sign.
    IssuerNotReady {
        /// What it says of itself.
        message: String,
        /// What it is wanted for.
        wanted: IssueReason,
    },
    /// The issuer doesn't serve the Certificate's namespace.
    IssuerNotAllowed {
        /// Which that is.
        namespace: String,
        /// What it is wanted for.
        wanted: IssueReason,
    },
    /// The key must stay, and the spec asks for another kind.
    KeyCannotStay {
        /// What is there.
        held: KeySpec,
        /// What is asked for.
        asked: KeySpec,
    },
}

impl BlockReason {
    /// One word to search for.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidSpec(_) => "InvalidSpec",
            Self::SecretOwnedByOther(_) => "SecretOwnedByOther",
            Self::ForeignSecret => "ForeignSecret",
            Self::SecretBeingDeleted => "SecretBeingDeleted",
            Self::ImmutableSecret => "ImmutableSecret",
            Self::IssuerNotFound(_) => "IssuerNotFound",
            Self::IssuerNotReady { .. } => "IssuerNotReady",
            Self::IssuerNotAllowed { .. } => "IssuerNotAllowed",
            Self::KeyCannotStay { .. } => "KeyCannotStay",
        }
    }

    /// What is wrong and what to do. `annotation` is the full name of the certificate-name annotation.
    pub fn message(
        &self,
        certificate: &str,
        secret: &str,
        issuer: &str,
        annotation: &str,
    ) -> String {
        match self {
            Self::InvalidSpec(problem) => format!("{problem}."),
            Self::SecretOwnedByOther(owner) => format!(
                "Secret {secret} belongs to Certificate {owner}. Give spec.secretName another name, or delete Certificate {owner}."
            ),
            Self::ForeignSecret => format!(
                "Secret {secret} exists and was not made by Certwright. Delete it, choose another spec.secretName, or hand it \
                 over: kubectl annotate secret {secret} {annotation}={certificate}"
            ),
            Self::SecretBeingDeleted => format!(
                "Secret {secret} is being deleted, and something holds it back. Look at its metadata.finalizers; the \
                 certificate is issued once it is gone."
            ),
            Self::ImmutableSecret => format!(
                "Secret {secret} is immutable and would have to change. Delete it, and it is made anew without immutable: true."
            ),
            Self::IssuerNotFound(wanted) => format!(
                "{issuer} does not exist, and it is needed because {}. Create it, or correct spec.issuerRef.",
                wanted.clause(secret)
            ),
            Self::IssuerNotReady { message, wanted } => format!(
                "{issuer} cannot sign, and it is needed because {}. It says: {message}",
                wanted.clause(secret)
            ),
            Self::IssuerNotAllowed { namespace, wanted } => format!(
                "{issuer} does not serve namespace {namespace}, and it is needed because {}. Have the namespace added to its \
                 spec.allowedNamespaces, or name another issuer in spec.issuerRef.",
                wanted.clause(secret)
            ),
            Self::KeyCannotStay { held, asked } => format!(
                "Secret {secret} holds a key of kind {held}, the spec asks for {asked}, and spec.privateKey.rotationPolicy is \
                 Never. Set it to Always for one issuance, ask for a key of kind {held}, or delete the Secret."
            ),
        }
    }
}
