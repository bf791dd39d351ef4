//! The key of the next certificate, in a Secret of its own from before it is asked for until it is held.

use aws_lc_rs::digest;
use k8s_openapi::api::core::v1::Secret;

use super::marks::CERTIFICATE_NAME;
use super::observed::data;
use crate::api::Group;
use crate::pki::PrivateKey;

/// The name of the Secret for a Certificate with this uid.
pub fn name(uid: &str) -> String {
    name_of("next-key", uid)
}

/// The name of a Secret beside a Certificate's own, for what goes by this word.
pub(super) fn name_of(word: &str, uid: &str) -> String {
    let digest = digest::digest(&digest::SHA256, uid.as_bytes());
    let hex: String = digest
        .as_ref()
        .iter()
        .take(10)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{word}-{hex}")
}

/// Whether a Secret is one that we made for this Certificate: it names it and goes with it.
pub fn is_of(secret: &Secret, group: &Group, certificate: &str, uid: &str) -> bool {
    let annotations = secret.metadata.annotations.as_ref();
    let named = annotations.and_then(|annotations| annotations.get(&group.key(CERTIFICATE_NAME)));
    let mut owners = secret.metadata.owner_references.iter().flatten();
    named.is_some_and(|name| name == certificate) && owners.any(|owner| owner.uid == uid)
}

/// The key in it, if it can be read.
pub fn read(secret: &Secret) -> Option<PrivateKey> {
    let pem = secret.data.as_ref()?.get(data::KEY)?;
    PrivateKey::from_pem(&pem.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Certificate;
    use crate::plan::intent::owner;

    #[test]
    fn a_secret_is_a_certificates_next_key_only_if_it_names_it_and_goes_with_it() {
        let group = Group::default();
        let mut certificate = Certificate::default();
        certificate.metadata.name = Some("web".to_owned());
        certificate.metadata.uid = Some("u1".to_owned());
        let mut secret = Secret::default();
        assert!(!is_of(&secret, &group, "web", "u1"));
        secret.metadata.owner_references = Some(vec![owner(&group, &certificate)]);
        assert!(!is_of(&secret, &group, "web", "u1"));
        let named = (group.key(CERTIFICATE_NAME), "web".to_owned());
        secret.metadata.annotations = Some([named].into());
        assert!(is_of(&secret, &group, "web", "u1"));
        assert!(!is_of(&secret, &group, "web", "u2"));
        assert!(!is_of(&secret, &group, "api", "u1"));
        assert_ne!(name("u1"), name("u2"));
        assert!(name("u1").len() < 64);
    }
}
