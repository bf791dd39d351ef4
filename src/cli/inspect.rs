//! What can be typed to look at certificates.

use clap::Args;

use super::arguments::OutsideArguments;
use super::settings::{InspectSettings, Target, VerifySettings};
use crate::probe::StartTls;

/// Say what is in a certificate file or in a Secret, or what a server shows
///
/// Shows names, issuer, dates with what is left, key, usages and the chain as a tree, and whether the private key
/// beside it fits. A private key is never printed. Of a server it says too whether a client would trust it: by the public
/// CAs, which are part of the program, and those of a file.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  certwright inspect fullchain.pem
  certwright inspect secret/web-tls -n shop
  certwright inspect example.com:443
  openssl s_client -connect example.com:443 -showcerts </dev/null | certwright inspect -")]
pub(super) struct InspectArguments {
    #[command(flatten)]
    sought: SoughtArguments,
}

/// Say what a client would have against a server's certificates, or those of a Secret or a file
///
/// Shows each fault with its cause and what to do about it: dates, name, key, order and completeness of the chain, whether a
/// trusted CA signed it, and, if asked for, whether it was revoked. Trusted are the public CAs, those of a file, and for a
/// Secret those of its ca.crt.
#[derive(Args, Debug)]
#[command(
    after_help = "Ends with 0 if there is no fault, 1 if there are some, and 2 if it could not look: not reached, not readable, or
not told by the CA whether it was revoked.

Examples:
  certwright verify example.com:443 --min-days 14
  certwright verify mail.example.com:25 --starttls smtp
  certwright verify 10.0.0.7:8443 --server-name web.example.com --ca-file ca.crt
  certwright verify secret/web-tls -n shop --server-name shop.example.com"
)]
pub(super) struct VerifyArguments {
    #[command(flatten)]
    sought: SoughtArguments,

    /// How many days must be left
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    min_days: u16,

    /// Ask the CA whether it revoked the certificate: for its revocation list, then its OCSP responder, by http
    #[arg(long)]
    revocation: bool,
}

/// What is looked at.
#[derive(Args, Debug)]
struct SoughtArguments {
    /// A file of PEM blocks or one certificate in DER, - for standard input, a Secret, or a TLS server
    #[arg(value_name = "FILE|secret/NAME|HOST:PORT")]
    target: Target,

    /// The Secret's namespace [default: the context's]
    #[arg(long, short)]
    namespace: Option<String>,

    /// The kubeconfig's context [default: its current one]
    #[arg(long)]
    context: Option<String>,

    /// The name by which a server is asked for its certificate, and which it shall be for [default: its host]
    #[arg(long, visible_alias = "name", value_name = "NAME")]
    server_name: Option<String>,

    /// How a server is led to TLS whose protocol begins in the clear
    #[arg(long, value_name = "PROTOCOL")]
    starttls: Option<StartTls>,

    #[command(flatten)]
    outside: OutsideArguments,
}

impl From<SoughtArguments> for InspectSettings {
    fn from(arguments: SoughtArguments) -> Self {
        Self {
            target: arguments.target,
            namespace: arguments.namespace,
            context: arguments.context,
            server_name: arguments.server_name,
            starttls: arguments.starttls,
            outside: arguments.outside.into(),
        }
    }
}

impl From<InspectArguments> for InspectSettings {
    fn from(arguments: InspectArguments) -> Self {
        arguments.sought.into()
    }
}

impl From<VerifyArguments> for VerifySettings {
    fn from(arguments: VerifyArguments) -> Self {
        Self {
            what: arguments.sought.into(),
            min_days: arguments.min_days,
            revocation: arguments.revocation,
        }
    }
}
