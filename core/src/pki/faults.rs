//! What a client would have against a chain of certificates, with cause and remedy in plain words.
//!
//! Whether a chain is trusted is rustls-webpki's judgement; here it is only told apart what was wrong. Each certificate is
//! called by its place in the chain as it was shown, from 1. Nothing is asked of anybody: whom to trust, the moment and
//! the revocation lists are arguments.

mod judge;
mod ocsp;
mod revocation;

use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::{ServerName, TrustAnchor};

use super::Facts;

pub use judge::{judge, leaf};
pub use ocsp::{by_ocsp, ocsp_request};
pub use revocation::{Standing, Undecided, by_crl};

/// A chain as it was shown, and what is asked about it.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The certificates in the order in which they were shown.
    pub chain: &'a [Facts],
    /// The name that the leaf shall be for; `None` if any will do.
    pub name: Option<&'a ServerName<'a>>,
    /// Whether whoever showed it has the leaf's private key; `None` if that isn't known.
    pub holds_key: Option<bool>,
    /// Whom to trust.
    pub trusted: &'a [TrustAnchor<'a>],
    /// Whether CAs of the asker's own are among them: then the chain is meant to lead to one of these.
    pub own_cas: bool,
    /// How much must be left until the chain ends.
    pub least_left: SignedDuration,
    /// The moment in question.
    pub now: Timestamp,
}

/// What is to be said of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What is wrong, in the order of [`Fault`].
    pub faults: Vec<Fault>,
    /// When the first certificate ends of those that a client needs.
    pub ends: Timestamp,
}

/// Something that a client would not put up with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Its time is over.
    Expired {
        /// Which certificate.
        position: usize,
        /// Its last second.
        not_after: Timestamp,
    },
    /// Its time has not begun.
    NotYetValid {
        /// Which certificate.
        position: usize,
        /// Its first second.
        not_before: Timestamp,
    },
    /// Less time is left than was asked for.
    EndsSoon {
        /// Which certificate.
        position: usize,
        /// Its last second.
        not_after: Timestamp,
    },
    /// The leaf is for other names.
    WrongName {
        /// The name that was asked for.
        name: String,
        /// What it is for, as far as it is for servers.
        names: Vec<String>,
    },
    /// The private key is not the leaf's.
    KeyMismatch,
    /// A key is too short for today's clients.
    WeakKey {
        /// Whose key.
        position: usize,
        /// Its length in bits.
        bits: u16,
    },
    /// A signature is of a kind that clients do not believe any more.
    WeakSignature {
        /// Which certificate is signed so.
        position: usize,
        /// How, such as `sha1WithRSAEncryption`.
        algorithm: String,
    },
    /// The chain is there, and not in its order.
    WrongOrder {
        /// The order that would be right, each by its place now.
        right: Vec<usize>,
    },
    /// The leaf signs itself, and is not trusted for its own sake.
    SelfSigned,
    /// Whoever signed the last certificate is not shown, and likely a CA below the trusted ones.
    MissingIntermediate {
        /// The last certificate that the leaf leads to.
        position: usize,
        /// Who signed it.
        issuer: String,
        /// Where the missing certificate is found, if it is told.
        found_at: Option<String>,
    },
    /// The chain ends at a CA that is not trusted.
    UnknownAuthority {
        /// What the CA is called.
        authority: String,
        /// Whether one of the trusted ones has that name, but another key.
        namesake: bool,
    },
    /// The leaf may not be used by servers.
    NotForServers,
    /// A CA of the chain may not sign for the leaf's names.
    NameNotPermitted,
    /// Its CA has revoked the leaf.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why, if it is told, in the words of RFC 5280 section 5.3.1.
        reason: Option<&'static str>,
    },
    /// Something rarer.
    Refused {
        /// What it is, in the words of who found it.
        problem: String,
    },
}

impl Fault {
    /// A short name that stays, for scripts and docs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::EndsSoon { .. } => "ends-soon",
            Self::WrongName { .. } => "wrong-name",
            Self::KeyMismatch => "key-mismatch",
            Self::WeakKey { .. } => "weak-key",
            Self::WeakSignature { .. } => "weak-signature",
            Self::WrongOrder { .. } => "wrong-order",
            Self::SelfSigned => "self-signed",
            Self::MissingIntermediate { .. } => "missing-intermediate",
            Self::UnknownAuthority { .. } => "unknown-ca",
            Self::NotForServers => "not-for-servers",
            Self::NameNotPermitted => "name-not-permitted",
            Self::Revoked { .. } => "revoked",
            Self::Refused { .. } => "refused",
        }
    }

    /// What is wrong, as a sentence without its full stop. Names in it are the certificate's own, and may be hostile.
    pub fn cause(&self) -> String {
        match self {
            Self::Expired {
                position,
                not_after,
            } => format!("certificate {position} expired at {not_after}"),
            Self::NotYetValid {
                position,
                not_before,
            } => format!("certificate {position} is not valid before {not_before}"),
            Self::EndsSoon {
                position,
                not_after,
            } => format!(
                "certificate {position} ends at {not_after}, which is sooner than was asked for"
            ),
            Self::WrongName { name, names } if names.is_empty() => {
                format!("the certificate is not for {name}, nor for any other server")
            }
            Self::WrongName { name, names } => {
                format!("the certificate is not for {name}, but for {}", few(names))
            }
            Self::KeyMismatch => "the private key is not the certificate's".to_owned(),
            Self::WeakKey { position, bits } => format!(
                "the RSA key of certificate {position} has {bits} bits; clients want 2048 or more"
            ),
            Self::WeakSignature {
                position,
                algorithm,
            } => format!(
                "certificate {position} is signed with {algorithm}, which clients do not believe any more"
            ),
            Self::WrongOrder { .. } => {
                "the certificates are not shown in the order in which each is signed by the next"
                    .to_owned()
            }
            Self::SelfSigned => {
                "the certificate is signed by its own key, and not trusted for its own sake"
                    .to_owned()
            }
            Self::MissingIntermediate {
                position, issuer, ..
            } => format!(
                "{issuer}, which signed certificate {position}, is not shown, and no trusted CA is called so"
            ),
            Self::UnknownAuthority {
                authority,
                namesake: false,
            } => format!("no CA that is trusted here signed it: it leads to {authority}"),
            Self::UnknownAuthority {
                authority,
                namesake: true,
            } => format!(
                "no CA that is trusted here signed it: a trusted one is called {authority} too, but has another key"
            ),
            Self::NotForServers => {
                "the extended key usages of a certificate do not let it serve TLS".to_owned()
            }
            Self::NameNotPermitted => {
                "the name constraints of a CA in the chain exclude a name of the certificate"
                    .to_owned()
            }
            Self::Revoked { at, reason } => {
                let reason = reason.map_or_else(String::new, |reason| format!(", for {reason}"));
                format!("its CA revoked the certificate at {at}{reason}")
            }
            Self::Refused { problem } => format!("it would be refused: {problem}"),
        }
    }

    /// What to do about it, as a sentence without its full stop.
    pub fn remedy(&self) -> String {
        match self {
            Self::Expired { position: 1, .. } | Self::EndsSoon { position: 1, .. } => {
                "renew it; if that was done, have the server load the new one".to_owned()
            }
            Self::Expired { .. } | Self::EndsSoon { .. } => {
                "have the server show the CA's newer certificate; where there is none, a newer CA has to sign".to_owned()
            }
            Self::NotYetValid { .. } => {
                "set the clocks of this machine and of the CA right, or wait".to_owned()
            }
            Self::WrongName { name, .. } => format!(
                "ask for a certificate with {name} in it, or have the server show another one for this name"
            ),
            Self::KeyMismatch => {
                "store certificate and key together as they were issued, or issue anew".to_owned()
            }
            Self::WeakKey { .. } => "issue anew with a key of RSA 2048 bits, or ECDSA P-256".to_owned(),
            Self::WeakSignature { .. } => "have the CA sign anew with SHA-256".to_owned(),
            Self::WrongOrder { right } => {
                let right: Vec<_> = right.iter().map(usize::to_string).collect();
                format!(
                    "put the leaf first and each CA after what it signed, which is now {}",
                    right.join(", ")
                )
            }
            Self::SelfSigned => {
                "have a CA sign it; or trust it, if you know that it is the server's own".to_owned()
            }
            Self::MissingIntermediate {
                found_at, issuer, ..
            } => {
                let found_at = found_at
                    .as_ref()
                    .map_or_else(String::new, |url| format!(" ({url})"));
                format!(
                    "have the server show the whole chain, with the certificate of {issuer}{found_at} after its own; \
                     or trust {issuer}, if it is a root"
                )
            }
            Self::UnknownAuthority {
                namesake: false, ..
            } => {
                "trust the CA, if it is yours (--ca-file, or caBundle of a ServedCheck); if it is not a root, have the server show its certificate too; \
                 else have another CA sign"
                    .to_owned()
            }
            Self::UnknownAuthority { namesake: true, .. } => {
                "trust the CA's present certificate in place of a former one, or issue anew from the trusted one".to_owned()
            }
            Self::NotForServers => "issue anew with the usage server auth".to_owned(),
            Self::NameNotPermitted => {
                "ask a CA that may sign for it, or leave the excluded name out".to_owned()
            }
            Self::Revoked { .. } => {
                "issue anew, with another key, and have the server load it".to_owned()
            }
            Self::Refused { .. } => "issue anew from a CA that follows RFC 5280".to_owned(),
        }
    }
}

/// The first few of many names.
fn few(names: &[String]) -> String {
    const FEW: usize = 5;
    match names.len().saturating_sub(FEW) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..FEW].join(", ")),
    }
}

#[cfg(test)]
mod tests;
