//! What the program is told to do: plain settings of valid values.

use std::fmt::{Display, Formatter};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use certwright_core::api::Group;
use certwright_core::rollout::Defaults;
use clap::ValueEnum;
use jiff::SignedDuration;
use tracing_subscriber::EnvFilter;

use super::revoke::RevokeSettings;
use super::status::StatusSettings;
use crate::cluster::scope::Scope;
use crate::outside::{AllowedTargets, Network};
use crate::probe::StartTls;

/// What the user wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the operator.
    Run(Box<RunSettings>),
    /// Print the CustomResourceDefinitions.
    Crds(CrdsSettings),
    /// Print the version.
    Version,
    /// Say what is in a file or a Secret.
    Inspect(InspectSettings),
    /// Say what a client would have against it.
    Verify(VerifySettings),
    /// Say how a Certificate stands.
    Status(StatusSettings),
    /// Have a CA revoke a certificate.
    Revoke(Box<RevokeSettings>),
}

/// How the operator runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSettings {
    /// The API group that is served.
    pub group: Group,
    /// The namespace the operator itself runs in.
    pub namespace: String,
    /// Which namespaces are looked after.
    pub scope: Scope,
    /// Whether ClusterIssuers are served.
    pub cluster_issuers: bool,
    /// How workloads are given new certificates; `None` if they are not.
    pub rollout: Option<RolloutSettings>,
    /// How what is outside the cluster is reached and judged.
    pub outside: OutsideSettings,
    /// Private networks that servers which tenants name may be in.
    pub private_networks: Vec<Network>,
    /// Which servers users may have watched.
    pub served_check_targets: AllowedTargets,
    /// Who is asked what public DNS says; the system's resolvers, if nobody is named.
    pub resolvers: Vec<SocketAddr>,
    /// How names are proven by HTTP-01; `None` if they are not.
    pub http01: Option<Http01Settings>,
    /// Where ClusterIssuers find their Secrets.
    pub cluster_resource_namespace: String,
    /// How many objects each controller works on at once, at least 1.
    pub concurrency: u16,
    /// Over which time the certificates of a CA whose key was replaced are issued anew.
    pub ca_overlap: SignedDuration,
    /// The least time between two renewals of one Certificate that are asked for by hand.
    pub renew_throttle: SignedDuration,
    /// Over how long the first questions to CAs are spread that say when to renew.
    pub renewal_info_spread: SignedDuration,
    /// Where health and metrics are served.
    pub listen: SocketAddr,
    /// How one of several replicas is chosen to write; `None` for a replica that is alone.
    pub leader_election: Option<LeaderElection>,
    /// How logs are written.
    pub log: LogSettings,
}

/// How workloads are given new certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutSettings {
    /// What goes for Certificates that say nothing else.
    pub defaults: Defaults,
    /// How many workloads may be under way at once, of all Certificates.
    pub max_concurrent: usize,
    /// How long after something was seen to serve its certificate it is looked at again; `None`: nothing is ever looked at.
    pub probe_interval: Option<SignedDuration>,
}

impl Default for RolloutSettings {
    fn default() -> Self {
        Self {
            defaults: Defaults::default(),
            max_concurrent: 20,
            probe_interval: Some(SignedDuration::from_hours(1)),
        }
    }
}

/// How names are proven by HTTP-01.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http01Settings {
    /// Where the questions of CAs are answered.
    pub listen: SocketAddr,
    /// The operator's own Service for them, in its own namespace.
    pub service: String,
}

/// How one of several replicas is chosen to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderElection {
    /// What this replica is called: its Pod's name, or the machine's.
    pub identity: String,
    /// How long the Lease lasts after each renewal, in whole seconds.
    pub lease_duration: Duration,
}

/// How logs are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// For people or for machines.
    pub format: LogFormat,
    /// What is left out.
    pub filter: LogFilter,
}

/// What logs look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text for each event
    Text,
    /// One JSON object for each event
    Json,
}

/// Which events are logged: a level, or levels by module, such as `info,kube=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl FromStr for LogFilter {
    type Err = tracing_subscriber::filter::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        EnvFilter::builder()
            .parse(text)
            .map(|_| Self(text.to_owned()))
    }
}

impl From<&LogFilter> for EnvFilter {
    fn from(filter: &LogFilter) -> Self {
        // The text was parsed once; nothing is left that could be dropped here.
        Self::builder().parse_lossy(&filter.0)
    }
}

impl Display for LogFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the CustomResourceDefinitions go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrdsSettings {
    /// The API group they define.
    pub group: Group,
    /// A directory for one file each; standard output otherwise.
    pub output: Option<PathBuf>,
}

/// What is to be inspected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectSettings {
    /// The file or Secret.
    pub target: Target,
    /// The Secret's namespace; the one of the kubeconfig's context otherwise.
    pub namespace: Option<String>,
    /// The kubeconfig's context; its current one otherwise.
    pub context: Option<String>,
    /// The name by which a server is asked for its certificate; its host otherwise.
    pub server_name: Option<String>,
    /// How a server is led to TLS, if its protocol begins in the clear.
    pub starttls: Option<StartTls>,
    /// How servers are reached and judged.
    pub outside: OutsideSettings,
}

/// What is to be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifySettings {
    /// Where it is found.
    pub what: InspectSettings,
    /// How many days must be left.
    pub min_days: u16,
    /// Whether the CA is asked what it revoked.
    pub revocation: bool,
}

/// How what is outside the cluster is reached and judged.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OutsideSettings {
    /// The proxy, as a URL.
    pub https_proxy: Option<String>,
    /// What is reached without it, with commas between.
    pub no_proxy: Option<String>,
    /// A file of CAs that are trusted besides the public ones.
    pub extra_ca_file: Option<PathBuf>,
}

/// The proxy may stand there with a password.
impl std::fmt::Debug for OutsideSettings {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutsideSettings")
            .field("https_proxy", &self.https_proxy.as_ref().map(|_| ".."))
            .field("no_proxy", &self.no_proxy)
            .field("extra_ca_file", &self.extra_ca_file)
            .finish()
    }
}

/// A file, a Secret or a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file of PEM blocks, or one certificate in DER.
    File(PathBuf),
    /// Standard input, with the same.
    StandardInput,
    /// A Secret, by name.
    Secret(String),
    /// A TLS server.
    Server {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
    },
}

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text
            .strip_prefix("secret/")
            .or_else(|| text.strip_prefix("secrets/"))
        {
            Some("") => Err("the Secret's name is missing"),
            Some(name) if name.contains('/') => Err(
                "a Secret's name has no slash; give the namespace with -n, or a file of that path as ./secret/…",
            ),
            Some(name) => Ok(Self::Secret(name.to_owned())),
            None if text == "-" => Ok(Self::StandardInput),
            None => Ok(server(text).unwrap_or_else(|| Self::File(text.into()))),
        }
    }
}

/// `HOST:PORT`, with an IPv6 address in brackets. A file of such a name is given as `./NAME`.
fn server(text: &str) -> Option<Target> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let named = || {
        !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    let host = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
        None => named().then(|| host.to_owned())?,
    };
    Some(Target::Server { host, port })
}
