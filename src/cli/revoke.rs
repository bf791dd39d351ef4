//! What can be typed for `certwright revoke`, and what it comes to.

use std::path::PathBuf;
use std::str::FromStr;

use certwright_core::api::Group;
use certwright_core::plan::revocation::RevocationReason;
use clap::Args;

use super::OutsideSettings;
use super::arguments::{GroupArguments, OutsideArguments};

/// What is to be revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeSettings {
    /// The Certificate, Secret or file.
    pub target: Revocable,
    /// Why.
    pub reason: RevocationReason,
    /// The namespace; the one of the kubeconfig's context otherwise.
    pub namespace: Option<String>,
    /// The kubeconfig's context; its current one otherwise.
    pub context: Option<String>,
    /// The URL of the CA's directory, for all but Certificates.
    pub server: Option<String>,
    /// A file with the certificate's key; where the certificate is otherwise.
    pub key: Option<PathBuf>,
    /// The API group of Certificates.
    pub group: Group,
    /// How the CA is reached and judged.
    pub outside: OutsideSettings,
}

/// A Certificate, a Secret or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocable {
    /// What a Certificate holds.
    Certificate(String),
    /// What a Secret holds.
    Secret(String),
    /// What is in a file.
    File(PathBuf),
}

impl FromStr for Revocable {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |name: &str, of: fn(String) -> Self| match name {
            "" => Err("its name is missing"),
            name if name.contains('/') => Err(
                "a name has no slash; give the namespace with -n, or a file of that path as ./…",
            ),
            name => Ok(of(name.to_owned())),
        };
        match text.split_once('/') {
            Some(("certificate" | "certificates" | "cert", name)) => named(name, Self::Certificate),
            Some(("secret" | "secrets", name)) => named(name, Self::Secret),
            _ => Ok(Self::File(text.into())),
        }
    }
}

/// Have an ACME CA revoke a certificate
///
/// Of a Certificate in the cluster, what it holds now is revoked, by the operator: it asks with its account's key, or else the
/// certificate's own, and replaces the certificate at once with a new key. This command only sets the annotation that asks for it.
///
/// Of a Secret or a file, the CA is asked directly, with the certificate's own key: for certificates that were replaced, or
/// come from elsewhere. Nothing is replaced then.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  certwright revoke certificate/web -n shop --reason keyCompromise
  certwright revoke old.pem --key old.key --reason superseded --server https://acme-v02.api.letsencrypt.org/directory")]
pub(super) struct RevokeArguments {
    /// What holds the certificate; a file of PEM blocks, the certificate first
    #[arg(value_name = "certificate/NAME|secret/NAME|FILE")]
    target: Revocable,

    /// Why, as RFC 5280 names it: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or
    /// privilegeWithdrawn
    #[arg(long, value_name = "REASON", default_value = "unspecified")]
    reason: RevocationReason,

    /// The namespace [default: the context's]
    #[arg(long, short)]
    namespace: Option<String>,

    /// The kubeconfig's context [default: its current one]
    #[arg(long)]
    context: Option<String>,

    /// The URL of the CA's directory, for a Secret or a file
    #[arg(long, value_name = "URL")]
    server: Option<String>,

    /// A file with the certificate's private key [default: the certificate's own file]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    #[command(flatten)]
    group: GroupArguments,

    #[command(flatten)]
    outside: OutsideArguments,
}

impl From<RevokeArguments> for RevokeSettings {
    fn from(arguments: RevokeArguments) -> Self {
        Self {
            target: arguments.target,
            reason: arguments.reason,
            namespace: arguments.namespace,
            context: arguments.context,
            server: arguments.server,
            key: arguments.key,
            group: arguments.group.into_group(),
            outside: arguments.outside.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_revoked_is_a_certificate_a_secret_or_a_file() {
        let named = |text: &str| text.parse::<Revocable>();
        let certificate = Ok(Revocable::Certificate("web".to_owned()));
        for text in ["certificate/web", "certificates/web", "cert/web"] {
            assert_eq!(named(text), certificate);
        }
        assert_eq!(named("secret/web"), Ok(Revocable::Secret("web".to_owned())));
        for text in [
            "web.pem",
            "./secret/web",
            "/etc/tls/web.pem",
            "certs/web.pem",
        ] {
            assert_eq!(named(text), Ok(Revocable::File(text.into())));
        }
        for text in ["certificate/", "secret/a/b", "certificate/a/b"] {
            assert!(named(text).is_err(), "{text}");
        }
    }
}
