//! Whom a check trusts.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certwright_core::api::ServedCheck;
use certwright_core::api::served_check::DEFAULT_CA_ENTRY;
use certwright_core::pki::chain::{self, BundleError};
use rustls::RootCertStore;

use crate::cluster::secrets::{Named, Secrets};
use crate::error::Error;
use crate::outside::Outside;

/// The public CAs and the check's own; or what is wrong with these, in a sentence. Nothing of what else a Secret may hold is told.
///
/// # Errors
/// When the API server fails that holds the Secret.
pub(super) async fn roots(
    check: &ServedCheck,
    outside: &Outside,
    secrets: &Secrets,
) -> Result<Result<RootCertStore, String>, Error> {
    let mut roots = outside.roots().clone();
    let spec = &check.spec;
    let inline = spec.ca_bundle.as_deref().filter(|text| !text.is_empty());
    let (place, pem) = match (inline, &spec.ca_bundle_secret_ref) {
        (Some(text), _) => {
            let place = "spec.caBundle".to_owned();
            match BASE64_STANDARD.decode(text) {
                Ok(pem) => (place, pem),
                Err(_) => return Ok(Err(format!("{place} is not base64."))),
            }
        }
        (None, Some(reference)) => {
            let entry = reference.key_or(DEFAULT_CA_ENTRY);
            let namespace = check.metadata.namespace.as_deref().unwrap_or_default();
            let named = Named::new(namespace, &reference.name);
            let name = &reference.name;
            let Some(secret) = secrets.read(&named).await? else {
                return Ok(Err(format!(
                    "spec.caBundleSecretRef: there is no Secret {name}. Create it, or name another."
                )));
            };
            let data = secret.data.unwrap_or_default();
            match data.get(entry) {
                Some(pem) => (format!("{entry} of the Secret {name}"), pem.0.clone()),
                None => {
                    return Ok(Err(format!(
                        "spec.caBundleSecretRef: the Secret {name} has no entry {entry}. Add it, or name another as key."
                    )));
                }
            }
        }
        (None, None) => return Ok(Ok(roots)),
    };
    Ok(add(&mut roots, &pem)
        .map(|()| roots)
        .map_err(|problem| format!("{place}: {problem}. Write CAs there as PEM.")))
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), String> {
    let certificates = chain::read_pem(pem).map_err(|problem: BundleError| problem.to_string())?;
    for (index, facts) in certificates.into_iter().enumerate() {
        roots
            .add(facts.der)
            .map_err(|problem| format!("certificate {} can't be trusted: {problem}", index + 1))?;
    }
    Ok(())
}
