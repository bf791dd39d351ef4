//! `ServedCheck`: a server that is watched for the certificates it shows.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::certificate::StartTlsProtocol;
use super::issuer::SecretKeyRef;
use super::{Condition, DurationText};

/// The entry of a Secret that holds CAs, if the check names none.
pub const DEFAULT_CA_ENTRY: &str = "ca.crt";

/// Watches what a server shows, whoever issued its certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServedCheck {
    /// Name, namespace and the rest of the standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Which server, and what is expected of it.
    pub spec: ServedCheckSpec,
    /// What the operator found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ServedCheckStatus>,
}

/// Which server is watched, and what is expected of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServedCheckSpec {
    /// The server as `HOST:PORT`, such as `www.example.com:443`, `192.0.2.7:8443` or `[2001:db8::7]:443`.
    ///
    /// Only targets that an administrator allows with `--served-check-targets` are connected to; of any other, `Ready` is False with the reason `TargetNotAllowed`. Of a name with several addresses, the first that takes a connection is looked at.
    pub target: String,
    /// The name that is asked for in the handshake (SNI), and that the certificate has to be for. Defaults to the target's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The protocol that leads to TLS, where the server does not begin with it: `smtp`, `imap`, `postgres`, `mysql` or `ldap`.
    #[serde(default, rename = "startTLS", skip_serializing_if = "Option::is_none")]
    pub start_tls: Option<StartTlsProtocol>,
    /// CAs that are trusted for this server, beside the public ones and those of `--extra-ca-file`: PEM certificates, in base64, as `base64 -w0 ca.crt` gives them.
    ///
    /// Not together with `caBundleSecretRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// The same from a Secret of this namespace. It is read at each look; `key` defaults to `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_secret_ref: Option<SecretKeyRef>,
    /// Whether the CA is asked if it has revoked the certificate, and in which ways. Without it, in both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevocationCheck>,
    /// How often the server is looked at, from `1m` to `24h`. Defaults to `1h`.
    ///
    /// A server that can't be reached is asked again after half a minute, then after ever longer, up to this. What changes by time alone, such as the end of the certificate, is noticed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<DurationText>,
    /// How long before its end a certificate is a fault (`EndsSoon`), such as `336h` for two weeks. Defaults to a sixth of the certificate's lifetime: 15 days of 90.
    ///
    /// It is for the server's own certificate and for all above it that clients need. `0s` never warns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_before: Option<DurationText>,
}

/// How a CA is asked whether it has revoked a certificate. The first answer that can be believed counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevocationCheck {
    /// Whether the revocation lists are read that the certificate names, at public addresses and by `http://` only. Defaults to true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<bool>,
    /// Whether the OCSP responders are asked that the certificate names, at public addresses and by `http://` only. Defaults to true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<bool>,
}

/// What the operator found.
///
/// When the server was last looked at does not stand here: a status is written only when it says something new.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServedCheckStatus {
    /// The `metadata.generation` this status speaks of; -1 until the operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready` is True while a client would have nothing against what the server shows, False with the first fault as its reason, and Unknown while the server can't be reached. `Reachable` says whether it can. `RevocationChecked` says whether the CA's word on revocation could be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The end of what was last shown: of the first certificate to end among those that clients need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// The server's own certificate, as it was last shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presented: Option<Presented>,
    /// What a client would have against what is shown, the first 16; empty while the server can't be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FoundFault>,
}

/// A certificate that a server showed. Texts in it are whatever its maker wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Presented {
    /// Who it is about, as RFC 4514 writes it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Who signed it, by name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// Its serial number in hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub serial_number: String,
    /// SHA-256 of it, in hexadecimal.
    pub fingerprint: String,
    /// The names and addresses of servers it is for, the first 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// How many names it is for.
    pub name_count: i32,
    /// From when it is valid.
    pub not_before: Time,
    /// Until when it is valid.
    pub not_after: Time,
    /// How many certificates the server showed, this one included.
    pub chain_length: i32,
}

/// Something that a client would not put up with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundFault {
    /// One word for it, the one that `certwright verify` has, such as `expired`.
    pub code: String,
    /// What is wrong.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
}

/// Where a server is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name or address; an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl ServedCheckSpec {
    /// Where the server is found; `None` if `target` is not written as it has to be.
    pub fn target(&self) -> Option<Target> {
        let (host, port) = self.target.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(address) => address.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
            None if host.is_empty() || host.contains(':') => return None,
            // As the resolver and DNS have it, and so that no form of a name passes for another.
            None => host.trim_end_matches('.').to_ascii_lowercase(),
        };
        (!host.is_empty()).then_some(Target { host, port })
    }

    /// The name that is asked for, where it is not the target's host. An empty text is none.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref().filter(|name| !name.is_empty())
    }

    /// How often the server is looked at.
    pub fn interval(&self) -> SignedDuration {
        let asked = self.interval.as_ref().and_then(|text| text.parse().ok());
        asked
            .unwrap_or(DEFAULT_INTERVAL)
            .clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL)
    }

    /// How long before its end a certificate is a fault, if the spec says so.
    pub fn warn_before(&self) -> Option<SignedDuration> {
        self.warn_before.as_ref()?.parse().ok()
    }

    /// Whether revocation lists are read.
    pub fn reads_crl(&self) -> bool {
        let crl = self.revocation.as_ref().and_then(|ways| ways.crl);
        crl.unwrap_or(true)
    }

    /// Whether OCSP responders are asked.
    pub fn asks_ocsp(&self) -> bool {
        let ocsp = self.revocation.as_ref().and_then(|ways| ways.ocsp);
        ocsp.unwrap_or(true)
    }
}

/// What `interval` is without one.
const DEFAULT_INTERVAL: SignedDuration = SignedDuration::from_hours(1);
const SHORTEST_INTERVAL: SignedDuration = SignedDuration::from_mins(1);
const LONGEST_INTERVAL: SignedDuration = SignedDuration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Option<(String, u16)> {
        let spec = ServedCheckSpec {
            target: text.to_owned(),
            ..ServedCheckSpec::default()
        };
        spec.target().map(|target| (target.host, target.port))
    }

    #[test]
    fn a_target_is_a_host_and_a_port() {
        for (text, host, port) in [
            ("www.example.com:443", "www.example.com", 443),
            ("WWW.example.com.:443", "www.example.com", 443),
            ("192.0.2.7:8443", "192.0.2.7", 8443),
            ("[2001:DB8::7]:443", "2001:db8::7", 443),
        ] {
            assert_eq!(target(text), Some((host.to_owned(), port)), "{text}");
        }
        for text in [
            "",
            "www.example.com",
            "www.example.com:",
            "www.example.com:0",
            "www.example.com:65536",
            ":443",
            ".:443",
            "2001:db8::7:443",
            "[2001:db8::7]",
            "[www.example.com]:443",
        ] {
            assert_eq!(target(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_left_out_has_the_documented_defaults() {
        let spec: ServedCheckSpec =
            serde_json::from_value(serde_json::json!({ "target": "a:1", "serverName": "" }))
                .unwrap();
        assert_eq!(spec.interval(), SignedDuration::from_hours(1));
        assert_eq!(spec.warn_before(), None);
        assert_eq!(spec.server_name(), None);
        assert!(spec.reads_crl() && spec.asks_ocsp());
        let spec = ServedCheckSpec {
            interval: Some("1s".into()),
            revocation: Some(RevocationCheck {
                crl: Some(false),
                ocsp: None,
            }),
            ..spec
        };
        assert_eq!(spec.interval(), SignedDuration::from_mins(1));
        assert!(!spec.reads_crl() && spec.asks_ocsp());
    }
}
