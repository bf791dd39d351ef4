//! Settings of an issuer that asks an ACME CA, and what the operator knows of its account.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Solver;

/// The entry of a Secret that holds an account's key, if the issuer names none.
pub const DEFAULT_KEY_ENTRY: &str = "tls.key";

/// Settings of an ACME issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Acme {
    /// The URL of the CA's directory, such as `https://acme-v02.api.letsencrypt.org/directory`: `https` only.
    ///
    /// Try things out with a staging directory, such as `https://acme-staging-v02.api.letsencrypt.org/directory`: its limits are far higher, and nobody trusts its certificates.
    pub server: String,
    /// Where the CA may write to about the account, such as `ops@example.com`. A change is told to the CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The Secret that holds the account's key. If there is none, an ECDSA P-256 key is made and stored there; one that is there stays, unless the annotation `certwright.dev/roll-account-key` asks for another.
    ///
    /// For an Issuer in its own namespace, for a ClusterIssuer in the operator's cluster resource namespace. Keep a copy: who holds it may revoke the account's certificates, and without it another account begins.
    pub private_key_secret_ref: SecretKeyRef,
    /// Whether the account's key must be there already, so that none is made. Defaults to false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_account_key_generation: Option<bool>,
    /// The account with the CA that the ACME account belongs to, for CAs that want one (`externalAccountRequired` in the status). It is used once, when the ACME account is registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_account_binding: Option<ExternalAccountBinding>,
    /// Which chain to take where the CA offers several: the common name of the issuer of its topmost certificate, such as `ISRG Root X1`.
    ///
    /// If no chain has it, the CA's first is taken. At most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_chain: Option<String>,
    /// The kind of certificate to ask for, such as `shortlived`, where the CA has several: `profiles` in the status lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// CAs that the server's own certificate may come from, beside the public ones: PEM certificates, in base64. For private ACME CAs.
    ///
    /// Not together with `skipTLSVerify`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// Whether anybody may pose as the server: its certificate is not verified. Only for tests; use `caBundle` instead. Defaults to false.
    #[serde(
        default,
        rename = "skipTLSVerify",
        skip_serializing_if = "Option::is_none"
    )]
    pub skip_tls_verify: Option<bool>,
    /// Whether a Certificate's `duration` is asked for. Defaults to false: many CAs refuse orders that name an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_duration_feature: Option<bool>,
    /// Who says when to renew: `ARI` (default), the CA where it has renewal information (RFC 9773), so that it can ask for it early, before it revokes; or `None`, the Certificate alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_information_source: Option<RenewalInformationSource>,
    /// How names are proven to be yours. For each name one is chosen; see `selector`.
    ///
    /// May be left out where the CA holds names for proven by the account alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub solvers: Vec<Solver>,
}

/// An entry of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The name of the Secret.
    pub name: String,
    /// The entry in its `data`. Defaults to `tls.key` for the account's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// An account with the CA that the ACME account belongs to (RFC 8555 section 7.3.4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalAccountBinding {
    /// The key's identifier, as the CA gave it.
    #[serde(rename = "keyID")]
    pub key_id: String,
    /// The Secret and its entry with the MAC key, in base64url as CAs give it.
    pub key_secret_ref: SecretKeyRef,
    /// Accepted so that manifests carry over, and without effect: HS256 is what all CAs take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_algorithm: Option<MacAlgorithm>,
}

/// How a binding is signed; without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MacAlgorithm {
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
}

/// Who says when to renew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RenewalInformationSource {
    /// The CA, where it has renewal information (RFC 9773).
    #[default]
    #[serde(rename = "ARI")]
    Ari,
    /// The Certificate alone.
    None,
}

/// What the operator knows of an issuer's account and its CA.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcmeStatus {
    /// The account's URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The `email` that the CA was last told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_registered_email: Option<String>,
    /// A hash of the account's public key, so that a key that was exchanged is noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_private_key_hash: Option<String>,
    /// The value of the annotation `roll-account-key` for which the account was last given another key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_roll_request: Option<String>,
    /// The URL of the terms that using the CA agrees to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms_of_service: Option<String>,
    /// Whether the CA wants an `externalAccountBinding`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_account_required: Option<bool>,
    /// What a CAA record must name for this CA to issue, if there is any such record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caa_identities: Vec<String>,
    /// What `profile` may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
}

impl Acme {
    /// Whether the CA may say when to renew: unless the issuer says that it may not.
    pub fn asks_renewal_information(&self) -> bool {
        self.renewal_information_source.unwrap_or_default() == RenewalInformationSource::Ari
    }

    /// Where to write to; an empty text is none.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref().filter(|email| !email.is_empty())
    }

    /// The kind of certificate to ask for; an empty text is none.
    pub fn profile(&self) -> Option<&str> {
        self.profile
            .as_deref()
            .filter(|profile| !profile.is_empty())
    }

    /// The chain to take; an empty text is none.
    pub fn preferred_chain(&self) -> Option<&str> {
        self.preferred_chain
            .as_deref()
            .filter(|chain| !chain.is_empty())
    }

    /// Fields that are given, accepted so that manifests carry over, and without effect; as paths for the user to read.
    pub fn ignored_fields(&self) -> Vec<&'static str> {
        let mut fields = Vec::new();
        if self
            .external_account_binding
            .as_ref()
            .is_some_and(|binding| binding.key_algorithm.is_some())
        {
            fields.push("spec.acme.externalAccountBinding.keyAlgorithm");
        }
        for field in self.solvers.iter().flat_map(Solver::ignored_fields) {
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        fields
    }
}

impl SecretKeyRef {
    /// The entry, or `default` if none is named.
    pub fn key_or<'a>(&'a self, default: &'a str) -> &'a str {
        self.key
            .as_deref()
            .filter(|key| !key.is_empty())
            .unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plain_issuer_has_the_documented_defaults() {
        let acme: Acme = serde_json::from_value(json!({
            "server": "https://acme.example/directory",
            "privateKeySecretRef": { "name": "account" },
            "email": "",
            "profile": "",
            "preferredChain": "",
        }))
        .unwrap();
        assert!(acme.asks_renewal_information());
        assert_eq!(
            acme.private_key_secret_ref.key_or(DEFAULT_KEY_ENTRY),
            "tls.key"
        );
        assert_eq!(
            (acme.email(), acme.profile(), acme.preferred_chain()),
            (None, None, None)
        );
        assert!(acme.ignored_fields().is_empty());
    }

    #[test]
    fn what_has_no_effect_is_named_once() {
        let acme: Acme = serde_json::from_value(json!({
            "server": "https://acme.example/directory",
            "privateKeySecretRef": { "name": "account", "key": "key.pem" },
            "renewalInformationSource": "None",
            "externalAccountBinding": {
                "keyID": "kid", "keySecretRef": { "name": "eab", "key": "mac" }, "keyAlgorithm": "HS256",
            },
            "solvers": [
                { "http01": { "ingress": { "serviceType": "ClusterIP", "podTemplate": { "spec": { "nodeSelector": {} } } } } },
                { "http01": { "ingress": { "serviceType": "NodePort" } } },
                { "http01": { "gatewayHTTPRoute": { "serviceType": "", "podTemplate": {}, "parentRefs": [{ "name": "web" }] } } },
            ],
        }))
        .unwrap();
        assert!(!acme.asks_renewal_information());
        assert_eq!(
            acme.private_key_secret_ref.key_or(DEFAULT_KEY_ENTRY),
            "key.pem"
        );
        assert_eq!(
            acme.ignored_fields(),
            [
                "spec.acme.externalAccountBinding.keyAlgorithm",
                "spec.acme.solvers[].http01.ingress.serviceType",
                "spec.acme.solvers[].http01.ingress.podTemplate",
                "spec.acme.solvers[].http01.gatewayHTTPRoute.podTemplate",
            ]
        );
    }
}
