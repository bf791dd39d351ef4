//! The key that an ACME account is known by, and what it signs (RFC 7515, RFC 7517, RFC 7638).

use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::api::certificate::SignatureAlgorithm;
use crate::pki::jose::PublicNumbers;
use crate::pki::key::KeyError;
use crate::pki::{KeySpec, PrivateKey};

/// An account's key. Its `Debug` shows nothing of it.
#[derive(Clone, Debug)]
pub struct AccountKey {
    key: Arc<PrivateKey>,
    jwk: Value,
    thumbprint: String,
}

/// By what a request says who signed it (RFC 8555 section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy<'a> {
    /// By the account's URL.
    Account(&'a str),
    /// By the public key itself: for new accounts, and for revocations by a certificate's key.
    Key,
}

impl AccountKey {
    /// Makes use of a key: ECDSA, RSA or Ed25519. Whether a CA takes its kind, the CA says.
    ///
    /// # Errors
    /// `Provider` when its public half can't be written down.
    pub fn new(key: PrivateKey) -> Result<Self, KeyError> {
        // RFC 7638 section 3: these members alone, in this order, without spaces.
        let text = match key.public().numbers()? {
            PublicNumbers::Ec { curve, x, y } => {
                let (x, y) = (base64url(&x), base64url(&y));
                format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            PublicNumbers::Rsa { n, e } => {
                let (n, e) = (base64url(&n), base64url(&e));
                format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
            }
            PublicNumbers::Ed25519(x) => {
                let x = base64url(&x);
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
            }
        };
        let thumbprint = thumbprint(&text);
        let jwk = serde_json::from_str(&text).expect("what was just written is JSON");
        Ok(Self {
            key: Arc::new(key),
            jwk,
            thumbprint,
        })
    }

    /// Makes a new one: ECDSA on P-256, which every CA takes (RFC 8555 section 6.2).
    ///
    /// # Errors
    /// When the crypto provider fails.
    pub fn generate() -> Result<Self, KeyError> {
        Self::new(PrivateKey::generate(KeySpec::Ecdsa(256))?)
    }

    /// The key itself, to be stored.
    pub fn private_key(&self) -> &PrivateKey {
        &self.key
    }

    /// Its public half, as a JWK.
    pub fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// The SHA-256 thumbprint of its public half, as base64url (RFC 7638).
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// What is to be found where a challenge is looked for (RFC 8555 section 8.1).
    pub fn key_authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint)
    }

    /// Signs a request to `url`; without a payload it is a POST-as-GET (RFC 8555 sections 6.2 and 6.3).
    ///
    /// # Errors
    /// When the crypto provider fails.
    pub fn sign(
        &self,
        by: SignedBy<'_>,
        url: &str,
        nonce: &str,
        payload: Option<&Value>,
    ) -> Result<Value, KeyError> {
        self.signed(by, url, Some(nonce), payload)
    }

    /// The inner part of a change to `next` as the account's key, to be sent signed by this one (section 7.3.5).
    ///
    /// # Errors
    /// When the crypto provider fails.
    pub fn change_to(&self, next: &Self, account: &str, url: &str) -> Result<Value, KeyError> {
        let payload = json!({ "account": account, "oldKey": self.jwk });
        next.signed(SignedBy::Key, url, None, Some(&payload))
    }

    /// The proof that this key belongs to an account elsewhere (section 7.3.4): `key` is the MAC key that goes with
    /// `key_id` there, and `url` the one that the new account is asked for at.
    pub fn bind_externally(&self, key_id: &str, key: &[u8], url: &str) -> Value {
        let protected = encoded(&json!({ "alg": "HS256", "kid": key_id, "url": url }));
        let payload = encoded(&self.jwk);
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, key),
            format!("{protected}.{payload}").as_bytes(),
        );
        json!({ "protected": protected, "payload": payload, "signature": base64url(tag.as_ref()) })
    }

    fn signed(
        &self,
        by: SignedBy<'_>,
        url: &str,
        nonce: Option<&str>,
        payload: Option<&Value>,
    ) -> Result<Value, KeyError> {
        let (name, algorithm) = self.algorithm();
        let mut header = json!({ "alg": name, "url": url });
        match by {
            SignedBy::Account(url) => header["kid"] = json!(url),
            SignedBy::Key => header["jwk"] = self.jwk.clone(),
        }
        if let Some(nonce) = nonce {
            header["nonce"] = json!(nonce);
        }
        let protected = encoded(&header);
        let payload = payload.map(encoded).unwrap_or_default();
        let message = format!("{protected}.{payload}");
        let signature = self.key.sign_plainly(algorithm, message.as_bytes())?;
        Ok(json!({
            "protected": protected,
            "payload": payload,
            "signature": base64url(&signature),
        }))
    }

    /// The algorithm that goes with the key (RFC 7518 section 3.1, RFC 8037).
    fn algorithm(&self) -> (&'static str, SignatureAlgorithm) {
        match self.key.spec() {
            KeySpec::Rsa(_) => ("RS256", SignatureAlgorithm::Sha256WithRsa),
            KeySpec::Ecdsa(384) => ("ES384", SignatureAlgorithm::EcdsaWithSha384),
            KeySpec::Ecdsa(521) => ("ES512", SignatureAlgorithm::EcdsaWithSha512),
            KeySpec::Ecdsa(_) => ("ES256", SignatureAlgorithm::EcdsaWithSha256),
            KeySpec::Ed25519 => ("EdDSA", SignatureAlgorithm::PureEd25519),
        }
    }
}

/// Base64 as JOSE and ACME have it (RFC 4648 section 5, without padding).
pub fn base64url(octets: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

fn thumbprint(jwk: &str) -> String {
    base64url(digest::digest(&digest::SHA256, jwk.as_bytes()).as_ref())
}

fn encoded(value: &Value) -> String {
    base64url(value.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
        RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
    };

    use super::*;

    fn decoded(text: &Value) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD
            .decode(text.as_str().unwrap())
            .unwrap()
    }

    /// The key as the provider's verifiers want it, put together from the JWK alone.
    fn verifiable(jwk: &Value) -> Vec<u8> {
        match jwk["kty"].as_str().unwrap() {
            "EC" => [vec![4], decoded(&jwk["x"]), decoded(&jwk["y"])].concat(),
            "OKP" => decoded(&jwk["x"]),
            _ => {
                use der::Encode as _;
                use der::asn1::UintRef;
                let (n, e) = (decoded(&jwk["n"]), decoded(&jwk["e"]));
                let mut inner = UintRef::new(&n).unwrap().to_der().unwrap();
                inner.extend(UintRef::new(&e).unwrap().to_der().unwrap());
                der::asn1::AnyRef::new(der::Tag::Sequence, &inner)
                    .unwrap()
                    .to_der()
                    .unwrap()
            }
        }
    }

    #[test]
    fn each_kind_of_key_signs_what_its_jwk_verifies() {
        let kinds: [(KeySpec, &str, &'static dyn VerificationAlgorithm); 5] = [
            (KeySpec::Ecdsa(256), "ES256", &ECDSA_P256_SHA256_FIXED),
            (KeySpec::Ecdsa(384), "ES384", &ECDSA_P384_SHA384_FIXED),
            (KeySpec::Ecdsa(521), "ES512", &ECDSA_P521_SHA512_FIXED),
            (KeySpec::Rsa(2048), "RS256", &RSA_PKCS1_2048_8192_SHA256),
            (KeySpec::Ed25519, "EdDSA", &ED25519),
        ];
        for (spec, name, verifier) in kinds {
            let key = AccountKey::new(PrivateKey::generate(spec).unwrap()).unwrap();
            // Often enough for numbers with leading zeros to come up among the shorter ones.
            for _ in 0..(if name == "RS256" { 1 } else { 300 }) {
                let payload = json!({ "a": 1 });
                let url = "https://ca.example/order";
                let signed = key.sign(SignedBy::Key, url, "n0", Some(&payload)).unwrap();
                let header: Value = serde_json::from_slice(&decoded(&signed["protected"])).unwrap();
                assert_eq!(
                    header,
                    json!({ "alg": name, "jwk": key.jwk(), "nonce": "n0", "url": url })
                );
                let message = format!(
                    "{}.{}",
                    signed["protected"].as_str().unwrap(),
                    signed["payload"].as_str().unwrap()
                );
                UnparsedPublicKey::new(verifier, verifiable(key.jwk()))
                    .verify(message.as_bytes(), &decoded(&signed["signature"]))
                    .unwrap();
            }
        }
    }

    #[test]
    fn a_thumbprint_is_that_of_rfc_7638() {
        // The key of RFC 7638 section 3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs\
                 tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQv\
                 RL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJz\
                 KnqDKgw";
        let jwk = format!(r#"{{"e":"AQAB","kty":"RSA","n":"{n}"}}"#);
        assert_eq!(
            thumbprint(&jwk),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn a_request_without_payload_is_a_post_as_get() {
        let key = AccountKey::generate().unwrap();
        let signed = key
            .sign(
                SignedBy::Account("https://ca/acct/1"),
                "https://ca/o",
                "n",
                None,
            )
            .unwrap();
        assert_eq!(signed["payload"], "");
        let header: Value = serde_json::from_slice(&decoded(&signed["protected"])).unwrap();
        assert_eq!(header["kid"], "https://ca/acct/1");
        assert!(header.get("jwk").is_none());
    }

    #[test]
    fn no_debug_shows_the_key() {
        let key = AccountKey::generate().unwrap();
        let pem = key
            .private_key()
            .to_pem(crate::api::certificate::KeyEncoding::Pkcs8);
        let shown = format!("{key:?}");
        assert!(
            pem.lines()
                .filter(|line| !line.starts_with('-'))
                .all(|line| !shown.contains(line))
        );
    }
}
