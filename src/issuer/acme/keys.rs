//! Account keys as they were last read: whoever answers a CA can't wait for the API server at each question.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use certwright_core::acme::AccountKey;
use k8s_openapi::api::core::v1::Secret;

use crate::cluster::secrets::{IssuerKey, Named};
use crate::cluster::version;

/// The keys of the accounts that are in use, by issuer.
#[derive(Default)]
pub(super) struct Keys(Mutex<HashMap<IssuerKey, Read>>);

struct Read {
    /// From where: the Secret and its entry.
    secret: Named,
    entry: String,
    /// The resourceVersion of that Secret.
    version: u64,
    key: AccountKey,
}

impl Keys {
    /// The key in an entry of a Secret that was last seen at this version; `None` if it was not read since.
    pub(super) fn get(
        &self,
        issuer: &IssuerKey,
        secret: &Named,
        entry: &str,
        seen: u64,
    ) -> Option<AccountKey> {
        let keys = self.lock();
        let read = keys.get(issuer)?;
        let same = read.secret == *secret && read.entry == entry;
        (same && read.version >= seen).then(|| read.key.clone())
    }

    /// Keeps a key that was read from an entry of this Secret, or written there.
    pub(super) fn remember(
        &self,
        issuer: &IssuerKey,
        secret: &Secret,
        entry: &str,
        key: &AccountKey,
    ) {
        let read = Read {
            secret: Named::of(&secret.metadata),
            entry: entry.to_owned(),
            version: version(
                secret
                    .metadata
                    .resource_version
                    .as_deref()
                    .unwrap_or_default(),
            ),
            key: key.clone(),
        };
        self.lock().insert(issuer.clone(), read);
    }

    /// Forgets the keys of issuers that are gone.
    pub(super) fn retain(&self, exists: impl Fn(&IssuerKey) -> bool) {
        self.lock().retain(|issuer, _| exists(issuer));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IssuerKey, Read>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use certwright_core::pki::{KeySpec, PrivateKey};
    use kube::api::ObjectMeta;

    use super::*;
    use certwright_core::plan::request::IssuerName;

    fn secret(version: &str) -> Secret {
        Secret {
            metadata: ObjectMeta {
                namespace: Some("shop".to_owned()),
                name: Some("account".to_owned()),
                resource_version: Some(version.to_owned()),
                ..ObjectMeta::default()
            },
            ..Secret::default()
        }
    }

    #[test]
    fn a_key_is_known_until_its_secret_changes_or_its_issuer_goes() {
        let issuer = |name: &str| {
            let name = IssuerName {
                cluster: false,
                name: name.to_owned(),
            };
            (name, "shop".to_owned())
        };
        let key = PrivateKey::generate(KeySpec::Ecdsa(256)).unwrap();
        let key = AccountKey::new(key).unwrap();
        let keys = Keys::default();
        keys.remember(&issuer("ca"), &secret("7"), "tls.key", &key);
        let account = Named::new("shop", "account");
        let thumbprint = |name: &str, secret: &Named, entry: &str, seen: u64| {
            let found = keys.get(&issuer(name), secret, entry, seen)?;
            Some(found.thumbprint().to_owned())
        };
        let known = Some(key.thumbprint().to_owned());
        assert_eq!(thumbprint("ca", &account, "tls.key", 7), known);
        assert_eq!(thumbprint("ca", &account, "tls.key", 6), known);
        assert_eq!(thumbprint("ca", &account, "tls.key", 8), None);
        assert_eq!(thumbprint("ca", &account, "key", 7), None);
        assert_eq!(thumbprint("other", &account, "tls.key", 7), None);
        let elsewhere = Named::new("shop", "elsewhere");
        assert_eq!(thumbprint("ca", &elsewhere, "tls.key", 7), None);
        keys.retain(|_| false);
        assert_eq!(thumbprint("ca", &account, "tls.key", 7), None);
    }
}
