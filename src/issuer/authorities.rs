//! The CAs in Secrets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::pki::{Authority, CaProblem};
use certwright_core::plan::observed::data;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use super::registry::NotReady;
use crate::cluster::secrets::{Named, Secrets};
use crate::cluster::version;
use crate::error::Error;

/// CAs as their Secrets hold them, read again whenever these change.
pub(super) struct Authorities {
    secrets: Arc<Secrets>,
    /// Those read so far, each with the resourceVersion of its Secret.
    read: Mutex<HashMap<Named, Read>>,
}

#[derive(Clone)]
struct Read {
    version: u64,
    authority: Result<Arc<Authority>, Unreadable>,
}

#[derive(Clone)]
enum Unreadable {
    NoSecret,
    Problem(CaProblem),
}

impl Authorities {
    /// Those in `secrets`, of which none was read yet.
    pub(super) fn new(secrets: Arc<Secrets>) -> Self {
        Self {
            secrets,
            read: Mutex::default(),
        }
    }

    /// The CA in a Secret, if it can sign now.
    ///
    /// # Errors
    /// When the Secret can't be read just now.
    pub(super) async fn of(
        &self,
        now: Timestamp,
        secret: &Named,
    ) -> Result<Result<Arc<Authority>, NotReady>, Error> {
        let read = self.read(secret).await?;
        let usable = read
            .authority
            .and_then(|authority| match authority.check(now) {
                Ok(()) => Ok(authority),
                Err(problem) => Err(Unreadable::Problem(problem)),
            });
        Ok(usable.map_err(|problem| not_ready(&problem, secret)))
    }

    /// Forgets the CAs in all other Secrets, and so their keys.
    pub(super) fn retain(&self, is_used: impl Fn(&Named) -> bool) {
        self.known().retain(|secret, _| is_used(secret));
    }

    /// What is in a Secret; read again whenever it has changed.
    async fn read(&self, secret: &Named) -> Result<Read, Error> {
        let seen = self.secrets.version(secret).unwrap_or_default();
        let mut found = None;
        if seen > 0 {
            let known = self.known().get(secret).cloned();
            if let Some(read) = known.filter(|read| read.version >= seen) {
                return Ok(read);
            }
            found = self.secrets.read(secret).await?;
        }
        let Some(found) = found else {
            self.known().remove(secret);
            return Ok(Read {
                version: 0,
                authority: Err(Unreadable::NoSecret),
            });
        };
        let read = Read {
            version: version(
                found
                    .metadata
                    .resource_version
                    .as_deref()
                    .unwrap_or_default(),
            ),
            authority: read(&found).map(Arc::new).map_err(Unreadable::Problem),
        };
        self.known().insert(secret.clone(), read.clone());
        Ok(read)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Named, Read>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(secret: &Secret) -> Result<Authority, CaProblem> {
    let field = |key: &str| {
        let data = secret.data.as_ref()?;
        data.get(key)
            .map(|bytes| bytes.0.as_slice())
            .filter(|bytes| !bytes.is_empty())
    };
    Authority::read(
        field(data::CERTIFICATE).unwrap_or_default(),
        field(data::KEY).unwrap_or_default(),
        field(data::CA),
    )
}

fn not_ready(problem: &Unreadable, secret: &Named) -> NotReady {
    let place = format!("{}/{}", secret.namespace, secret.name);
    let problem = match problem {
        Unreadable::NoSecret => {
            let message = format!(
                "Secret {place} does not exist. Create it with the CA's certificate as tls.crt and its key as tls.key, or correct \
                 spec.ca.secretName."
            );
            return NotReady {
                reason: "SecretNotFound",
                message,
            };
        }
        Unreadable::Problem(problem) => problem,
    };
    let (reason, remedy) = match problem {
        CaProblem::Certificate(_) => (
            "InvalidCertificate",
            "Put the CA's certificate there as PEM, then the chain above it.",
        ),
        CaProblem::Above(_) => (
            "InvalidCertificate",
            "Put the chain above the CA there as PEM, or remove ca.crt.",
        ),
        CaProblem::Key(_) => (
            "InvalidKey",
            "Put the CA's private key there as PEM, in PKCS#8, PKCS#1 or SEC1 form, without a password.",
        ),
        CaProblem::KeyDoesNotFit => (
            "KeyDoesNotFit",
            "Put certificate and key of one and the same CA there.",
        ),
        CaProblem::NotACa(_) => (
            "NotACA",
            "Use a certificate made to sign others; with a Certificate of ours, set isCA: true.",
        ),
        CaProblem::Expired(_) => (
            "Expired",
            "Renew the CA, and put its new certificate there.",
        ),
        CaProblem::NotYetValid(_) => ("NotYetValid", "Wait, or look whether a clock is wrong."),
    };
    NotReady {
        reason,
        message: format!("Secret {place}: {problem}. {remedy}"),
    }
}
