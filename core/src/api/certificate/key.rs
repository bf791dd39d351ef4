//! The private key and what it is used for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The private key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrivateKey {
    /// Whether each issuance makes a new key: `Always`, or `Never`, which keeps the key as long as it fits the spec.
    ///
    /// Defaults to `Always`, and to `Never` where `isCA` is true, since others rely on a CA's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_policy: Option<RotationPolicy>,
    /// How `tls.key` is written: `PKCS8` (default, `BEGIN PRIVATE KEY`) or `PKCS1`.
    ///
    /// `PKCS1` is each algorithm's own older form: `BEGIN RSA PRIVATE KEY` for RSA, `BEGIN EC PRIVATE KEY` (SEC1) for ECDSA; Ed25519 has none and stays PKCS#8. A change rewrites the Secret and issues nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<KeyEncoding>,
    /// The kind of key: `ECDSA`, `RSA` or `Ed25519`.
    ///
    /// Defaults to what `signatureAlgorithm` names, else to `RSA` where `size` is 2048 or more, else to `ECDSA`: small, fast, and read by everything current. Choose `RSA` for very old clients; browsers don't accept `Ed25519`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<KeyAlgorithm>,
    /// Bits of the key: 256 (default), 384 or 521 for ECDSA; 2048 (default), 3072, 4096 or 8192 for RSA. Without meaning for Ed25519.
    ///
    /// `size: 4096` alone asks for an RSA key. RSA keys of 8192 bits can take a minute to make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i32>,
}

/// Whether each issuance makes a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum RotationPolicy {
    Never,
    Always,
}

/// How a private key is written in PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KeyEncoding {
    /// The algorithm's own form: PKCS#1 for RSA, SEC1 for ECDSA (Ed25519 has none, and stays PKCS#8).
    #[serde(rename = "PKCS1")]
    Pkcs1,
    /// PKCS#8 (RFC 5208).
    #[serde(rename = "PKCS8")]
    Pkcs8,
}

/// Which kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum KeyAlgorithm {
    #[serde(rename = "RSA")]
    Rsa,
    #[serde(rename = "ECDSA")]
    Ecdsa,
    Ed25519,
}

/// How a request, or a self-signed certificate, is signed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[allow(missing_docs)]
pub enum SignatureAlgorithm {
    #[serde(rename = "SHA256WithRSA")]
    Sha256WithRsa,
    #[serde(rename = "SHA384WithRSA")]
    Sha384WithRsa,
    #[serde(rename = "SHA512WithRSA")]
    Sha512WithRsa,
    #[serde(rename = "ECDSAWithSHA256")]
    EcdsaWithSha256,
    #[serde(rename = "ECDSAWithSHA384")]
    EcdsaWithSha384,
    #[serde(rename = "ECDSAWithSHA512")]
    EcdsaWithSha512,
    #[serde(rename = "PureEd25519")]
    PureEd25519,
}

/// What a key may be used for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[allow(missing_docs)]
pub enum Usage {
    #[serde(rename = "signing")]
    Signing,
    #[serde(rename = "digital signature")]
    DigitalSignature,
    #[serde(rename = "content commitment")]
    ContentCommitment,
    #[serde(rename = "key encipherment")]
    KeyEncipherment,
    #[serde(rename = "key agreement")]
    KeyAgreement,
    #[serde(rename = "data encipherment")]
    DataEncipherment,
    #[serde(rename = "cert sign")]
    CertSign,
    #[serde(rename = "crl sign")]
    CrlSign,
    #[serde(rename = "encipher only")]
    EncipherOnly,
    #[serde(rename = "decipher only")]
    DecipherOnly,
    #[serde(rename = "any")]
    Any,
    #[serde(rename = "server auth")]
    ServerAuth,
    #[serde(rename = "client auth")]
    ClientAuth,
    #[serde(rename = "code signing")]
    CodeSigning,
    #[serde(rename = "email protection")]
    EmailProtection,
    #[serde(rename = "s/mime")]
    SMime,
    #[serde(rename = "ipsec end system")]
    IpsecEndSystem,
    #[serde(rename = "ipsec tunnel")]
    IpsecTunnel,
    #[serde(rename = "ipsec user")]
    IpsecUser,
    #[serde(rename = "timestamping")]
    Timestamping,
    #[serde(rename = "ocsp signing")]
    OcspSigning,
    #[serde(rename = "microsoft sgc")]
    MicrosoftSgc,
    #[serde(rename = "netscape sgc")]
    NetscapeSgc,
}
