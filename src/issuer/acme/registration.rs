//! Finding the account of a key, or making one where there is none.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certwright_core::acme::AccountKey;
use certwright_core::acme::wire;
use certwright_core::api::issuer::{Acme, AcmeStatus};
use certwright_core::pki::{Facts, chain};
use jiff::Timestamp;

use super::StepFailure;
use super::account::Account;
use super::budget::Budget;
use super::stored::{Binding, Stored};
use crate::acme::{AcmeError, Client, Found, Offer};
use crate::issuer::NotReady;

/// Looks for an account with a CA.
pub(super) struct Seeker<'a> {
    pub(super) now: Timestamp,
    pub(super) client: Client,
    pub(super) acme: &'a Acme,
    pub(super) stored: Stored,
}

/// By which key a CA knows an account.
pub(super) enum Held {
    /// By the stored one.
    ByKey(Found<wire::Account>),
    /// By the one that is to follow it.
    ByNext(Found<wire::Account>),
    /// By none: what the CA said.
    Nowhere(AcmeError),
}

impl Seeker<'_> {
    /// The account that is there already. Nothing is registered, and no binding needed: many CAs take one only once.
    ///
    /// # Errors
    /// When the CA doesn't say.
    pub(super) async fn find(&self) -> Result<Held, AcmeError> {
        let refused = match self.client.find_account(&self.stored.key).await {
            Ok(found) => return Ok(Held::ByKey(found)),
            Err(error @ AcmeError::Problem { .. }) => error,
            Err(error) => return Err(error),
        };
        // Whatever the CA has against the present key: it may have taken the next one.
        if let Some(next) = &self.stored.next {
            match self.client.find_account(next).await {
                Ok(found) => return Ok(Held::ByNext(found)),
                Err(error) if is_none(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if is_none(&refused) {
            Ok(Held::Nowhere(refused))
        } else {
            Err(refused)
        }
    }

    /// Makes an account for the stored key.
    ///
    /// # Errors
    /// When the CA makes none.
    pub(super) async fn register(
        &self,
        binding: Option<Binding>,
    ) -> Result<Found<wire::Account>, AcmeError> {
        let bound = binding.as_ref().map(|(id, key)| (id.as_str(), key));
        let (key, email) = (&self.stored.key, self.acme.email());
        let mut found = self.client.account(key, email, bound).await?;
        // It was just told, whether or not it shows it.
        found.object.contact = contacts(email);
        Ok(found)
    }

    /// The account, once the CA was told where to write to about it. That it could not be told is no failure: the account
    /// orders all the same.
    ///
    /// # Errors
    /// When the CA's directory can't be had.
    pub(super) async fn known_by(
        self,
        stored: &Stored,
        mut found: Found<wire::Account>,
        budget: Arc<Budget>,
    ) -> Result<Account, AcmeError> {
        let contact_problem = self.tell_contact(&stored.key, &mut found).await;
        let offer = self.client.offer().await?;
        let mut status = told(&offer, &stored.key, &found.url, self.acme);
        if contact_problem.is_some() {
            status.last_registered_email = contact(&found.object);
        }
        Ok(Account {
            client: self.client,
            key: stored.key.clone(),
            budget,
            directory: self.acme.server.clone(),
            url: found.url,
            status,
            roots: roots(self.acme),
            contact_problem,
            rollover: stored.rollover(),
        })
    }

    /// Has the CA know where to write to, where it knows otherwise; why it doesn't, if so.
    async fn tell_contact(
        &self,
        key: &AccountKey,
        found: &mut Found<wire::Account>,
    ) -> Option<NotReady> {
        let email = self.acme.email();
        if found.object.contact == contacts(email) {
            return None;
        }
        match self.client.set_contact(key, &found.url, email).await {
            Ok(account) => {
                found.object = account;
                None
            }
            Err(error) => {
                let failure = StepFailure::of_call(self.now, &error);
                Some(NotReady {
                    reason: failure.reason,
                    message: format!(
                        "The CA does not know yet that it is to write to {}. {}",
                        email.unwrap_or("nobody"),
                        failure.message
                    ),
                })
            }
        }
    }
}

/// Whether a CA that was asked for the account of a key says that there is none. Some want a binding even then, or don't
/// know how to look for one only; whoever registers there nevertheless is given the account that there is.
pub(super) fn is_none(error: &AcmeError) -> bool {
    [
        "accountDoesNotExist",
        "externalAccountRequired",
        "malformed",
    ]
    .iter()
    .any(|kind| error.is(&format!("urn:ietf:params:acme:error:{kind}")))
}

fn contacts(email: Option<&str>) -> Vec<String> {
    Vec::from_iter(email.map(|email| format!("mailto:{email}")))
}

/// The mail address that a CA has of an account.
fn contact(account: &wire::Account) -> Option<String> {
    let mut addresses = account.contact.iter();
    let address = addresses.find_map(|contact| contact.strip_prefix("mailto:"))?;
    is_plain(address, 320).then(|| address.to_owned())
}

/// The certificates of `caBundle`, which were read before when the server was asked.
fn roots(acme: &Acme) -> Vec<Facts> {
    let bundle = acme.ca_bundle.as_ref();
    let pem = bundle.and_then(|text| BASE64_STANDARD.decode(text.trim()).ok());
    pem.and_then(|pem| chain::read_pem(&pem).ok())
        .unwrap_or_default()
}

/// What of a CA's words fits into the status.
fn told(offer: &Offer, key: &AccountKey, url: &str, acme: &Acme) -> AcmeStatus {
    const MOST: usize = 20;
    const LONGEST_URL: usize = 2048;
    const LONGEST_NAME: usize = 253;
    const LONGEST_PROFILE: usize = 64;
    let meta = &offer.directory.meta;
    let terms = meta.terms_of_service.clone();
    AcmeStatus {
        uri: Some(url.to_owned()).filter(|url| is_plain(url, LONGEST_URL)),
        last_registered_email: acme.email().map(str::to_owned),
        last_private_key_hash: Some(key.thumbprint().to_owned()),
        last_roll_request: None,
        terms_of_service: terms.filter(|url| is_plain(url, LONGEST_URL)),
        external_account_required: meta.external_account_required.then_some(true),
        caa_identities: meta
            .caa_identities
            .iter()
            .filter(|name| is_plain(name, LONGEST_NAME))
            .take(MOST)
            .cloned()
            .collect(),
        profiles: meta
            .profiles
            .keys()
            .filter(|name| is_plain(name, LONGEST_PROFILE))
            .take(MOST)
            .cloned()
            .collect(),
    }
}

fn is_plain(text: &str, longest: usize) -> bool {
    text.len() <= longest && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use certwright_core::acme::origin::Origins;
    use serde_json::json;

    use super::*;

    #[test]
    fn of_what_a_ca_says_of_itself_only_what_fits_reaches_the_status() {
        let base = "https://ca.example";
        let [profile, name, long] = [64, 253, 3000].map(|length| "a".repeat(length));
        let directory: wire::Directory = serde_json::from_value(json!({
            "newNonce": base, "newAccount": base, "newOrder": base,
            "meta": {
                "termsOfService": format!("https://ca.example/{long}"),
                "caaIdentities": ["ca.example", format!("{name}a"), &name, "a\u{1b}[2J"],
                "profiles": { "short": "", &profile: "", format!("{profile}a"): "", "a\nb": "" },
            },
        }))
        .unwrap();
        let origins = Origins::of(base, &directory).unwrap();
        let offer = Offer { directory, origins };
        let key = AccountKey::generate().unwrap();
        let status = told(&offer, &key, "https://ca.example/1", &Acme::default());
        assert_eq!(status.caa_identities, ["ca.example", &name]);
        assert_eq!(status.profiles, [profile.as_str(), "short"]);
        assert_eq!(status.terms_of_service, None);
        assert_eq!(status.uri.as_deref(), Some("https://ca.example/1"));
    }
}
