//! The command line, and the only place that reads the environment.
//!
//! What comes out are plain settings of valid values; nothing else in the program parses text that a user typed to
//! start it.

use std::fmt::{Display, Formatter};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use certwright_core::api::duration::InvalidDuration;
use certwright_core::api::{DurationText, Group};
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;
use tracing_subscriber::EnvFilter;

use crate::cluster::scope::Scope;

/// What the user wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the operator.
    Run(RunSettings),
    /// Print the CustomResourceDefinitions.
    Crds(CrdsSettings),
    /// Print the version.
    Version,
    /// Say what is in a file or a Secret.
    Inspect(InspectSettings),
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
    /// Whether workloads are restarted for new certificates.
    pub rollout: bool,
    /// Where ClusterIssuers find their Secrets.
    pub cluster_resource_namespace: String,
    /// How many objects each controller works on at once, at least 1.
    pub concurrency: u16,
    /// Over which time the certificates of a CA whose key was replaced are issued anew.
    pub ca_overlap: SignedDuration,
    /// The least time between two renewals of one Certificate that are asked for by hand.
    pub renew_throttle: SignedDuration,
    /// Where health and metrics are served.
    pub listen: SocketAddr,
    /// How one of several replicas is chosen to write; `None` for a replica that is alone.
    pub leader_election: Option<LeaderElection>,
    /// How logs are written.
    pub log: LogSettings,
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
    /// How servers are reached and judged.
    pub outside: OutsideSettings,
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

/// Reads the process's arguments and environment. Ends the process for `--help` (0) and for arguments that make no
/// sense (2).
pub fn parse() -> Command {
    Arguments::parse().into_command(Path::new(NAMESPACE_FILE))
}

/// Prints what a command found to standard output. A reader that has had enough, such as `head`, is no failure.
///
/// # Errors
/// When standard output can't be written.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("failed to print")
        }
        _ => Ok(()),
    }
}

/// Where a Pod finds the namespace of its own ServiceAccount.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// The operator's namespace if neither the environment nor a ServiceAccount tells: where the chart's manifests put it.
const DEFAULT_NAMESPACE: &str = "certwright";

/// Issues, renews and rolls out TLS certificates in a Kubernetes cluster.
///
/// A Certificate says which names, key and issuer it wants. Certwright keeps a Secret that holds it, renews it in time
/// and restarts the workloads that read it, once.
#[derive(Debug, Parser)]
#[command(
    name = "certwright",
    version,
    disable_help_subcommand = true,
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(Box<RunArguments>),
    Crds(CrdsArguments),
    /// Print the version
    Version,
    Inspect(InspectArguments),
}

/// Run the operator
///
/// It reaches the API server as kubectl does (KUBECONFIG, then ~/.kube/config), and inside a Pod by the Pod's
/// ServiceAccount. It stops at SIGTERM or Ctrl-C, after what is under way. Each option can also be given by the environment variable
/// named beside it; the option wins.
#[derive(Args, Debug)]
struct RunArguments {
    /// How many objects each controller works on at once
    #[arg(long, env = "CERTWRIGHT_CONCURRENCY", value_name = "NUMBER", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,

    /// Where health and metrics are served: /healthz, /readyz, /metrics
    ///
    /// The default means every address, IPv6 and IPv4; on a machine without IPv6 it means every IPv4 address.
    #[arg(
        long,
        env = "CERTWRIGHT_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "[::]:9402"
    )]
    listen: SocketAddr,

    #[command(flatten)]
    scope: ScopeArguments,

    #[command(flatten)]
    issuing: IssuingArguments,

    #[command(flatten)]
    election: ElectionArguments,

    #[command(flatten)]
    log: LogArguments,

    #[command(flatten)]
    group: GroupArguments,

    /// The namespace the operator runs in.
    #[arg(long, env = "POD_NAMESPACE", hide = true)]
    pod_namespace: Option<String>,

    /// The name of the Pod the operator runs in.
    #[arg(long, env = "POD_NAME", hide = true)]
    pod_name: Option<String>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "What is looked after")]
struct ScopeArguments {
    /// The namespaces that are looked after, with commas between them [default: all]
    ///
    /// Each is watched by itself, so that Roles in them are all the rights that are needed.
    #[arg(
        long,
        env = "CERTWRIGHT_NAMESPACES",
        value_name = "NAMESPACE,...",
        default_value = "",
        hide_default_value = true
    )]
    namespaces: Scope,

    /// Whether ClusterIssuers are served [default: true, but false with --namespaces]
    #[arg(
        long,
        env = "CERTWRIGHT_CLUSTER_ISSUERS",
        value_name = "BOOLEAN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    cluster_issuers: Option<bool>,

    /// Whether workloads are restarted for new certificates
    #[arg(
        long,
        env = "CERTWRIGHT_ROLLOUT",
        value_name = "BOOLEAN",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    rollout: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Issuing")]
struct IssuingArguments {
    /// The namespace in which ClusterIssuers find their Secrets [default: the operator's own]
    ///
    /// Whoever can write Secrets there can sign for the whole cluster.
    #[arg(
        long,
        env = "CERTWRIGHT_CLUSTER_RESOURCE_NAMESPACE",
        value_name = "NAMESPACE"
    )]
    cluster_resource_namespace: Option<String>,

    /// How long certificates take to follow when the key of their CA is replaced
    ///
    /// The old CA stays in ca.crt beside the new one for this time, so that both sides of a connection can change one
    /// after the other.
    #[arg(long, env = "CERTWRIGHT_CA_OVERLAP", value_name = "DURATION", default_value = "1h", value_parser = duration)]
    ca_overlap: SignedDuration,

    /// The least time between two renewals of one Certificate that are asked for by annotation
    #[arg(long, env = "CERTWRIGHT_RENEW_THROTTLE", value_name = "DURATION", default_value = "5m", value_parser = duration)]
    renew_throttle: SignedDuration,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Several replicas")]
struct ElectionArguments {
    /// Let one of several replicas write, and the others stand by
    ///
    /// They agree by a Lease in the operator's own namespace. The chart switches it on.
    #[arg(long, env = "CERTWRIGHT_LEADER_ELECTION", value_name = "BOOLEAN", default_value_t = false, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    leader_election: bool,

    /// How long a replica that leads may stay silent before another takes its place
    ///
    /// In whole seconds, from 3s to 60s. It is renewed three times in this time.
    #[arg(long, env = "CERTWRIGHT_LEASE_DURATION", value_name = "DURATION", default_value = "6s", value_parser = lease_duration)]
    lease_duration: Duration,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Logs")]
struct LogArguments {
    /// What logs look like
    #[arg(
        long,
        env = "CERTWRIGHT_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,

    /// Which events are logged: a level, or levels by module, such as "info,certwright=debug"
    #[arg(
        long,
        env = "CERTWRIGHT_LOG",
        value_name = "FILTER",
        // Less than a warning, kube's runtime only has a span around each reconcile that says what ours says.
        default_value = "info,kube_runtime=warn"
    )]
    log: LogFilter,
}

/// For tests, and for the day a second group is served. Nothing to change in a cluster that is in use.
#[derive(Args, Debug)]
struct GroupArguments {
    /// The API group.
    #[arg(long, env = "CERTWRIGHT_API_GROUP", hide = true, default_value = "certwright.dev", value_parser = api_group)]
    api_group: String,

    /// The field manager of server-side apply.
    #[arg(long, env = "CERTWRIGHT_FIELD_MANAGER", hide = true, default_value = "certwright", value_parser = field_manager)]
    field_manager: String,
}

/// Print the CustomResourceDefinitions as YAML
#[derive(Args, Debug)]
struct CrdsArguments {
    /// Write one file each into this directory, which is made if it is missing
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    #[command(flatten)]
    group: GroupArguments,
}

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
struct InspectArguments {
    /// A file of PEM blocks or one certificate in DER, - for standard input, a Secret, or a TLS server
    #[arg(value_name = "FILE|secret/NAME|HOST:PORT")]
    target: Target,

    /// The Secret's namespace [default: the context's]
    #[arg(long, short)]
    namespace: Option<String>,

    /// The kubeconfig's context [default: its current one]
    #[arg(long)]
    context: Option<String>,

    /// The name by which a server is asked for its certificate [default: its host]
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,

    #[command(flatten)]
    outside: OutsideArguments,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Outside the cluster")]
struct OutsideArguments {
    /// The proxy that leads there, as http://HOST:PORT, with USER:PASSWORD@ before the host if it asks for them
    #[arg(long, env = "HTTPS_PROXY", value_name = "URL", hide_env_values = true)]
    https_proxy: Option<String>,

    /// What is reached without it: names with all below them, addresses and networks, with commas between; * for all
    #[arg(long, env = "NO_PROXY", value_name = "LIST")]
    no_proxy: Option<String>,

    /// A file of CAs, as PEM, that are trusted besides the public ones
    #[arg(long, env = "CERTWRIGHT_EXTRA_CA_FILE", value_name = "FILE")]
    extra_ca_file: Option<PathBuf>,
}

/// What the machine is called; in a Pod, that is the Pod's name.
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "certwright".to_owned(), |name| name.trim().to_owned())
}

impl Arguments {
    fn into_command(self, namespace_file: &Path) -> Command {
        match self.command {
            Verb::Run(arguments) => Command::Run(arguments.into_settings(namespace_file)),
            Verb::Crds(arguments) => Command::Crds(CrdsSettings {
                group: arguments.group.into_group(),
                output: arguments.output,
            }),
            Verb::Version => Command::Version,
            Verb::Inspect(InspectArguments {
                target,
                namespace,
                context,
                server_name,
                outside,
            }) => Command::Inspect(InspectSettings {
                target,
                namespace,
                context,
                server_name,
                outside: OutsideSettings {
                    https_proxy: outside.https_proxy,
                    no_proxy: outside.no_proxy,
                    extra_ca_file: outside.extra_ca_file,
                },
            }),
        }
    }
}

impl RunArguments {
    fn into_settings(self, namespace_file: &Path) -> RunSettings {
        let given = |namespace: Option<String>| {
            namespace
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
        };
        let namespace = given(self.pod_namespace)
            .or_else(|| given(std::fs::read_to_string(namespace_file).ok()))
            .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        RunSettings {
            group: self.group.into_group(),
            cluster_resource_namespace: given(self.issuing.cluster_resource_namespace)
                .unwrap_or_else(|| namespace.clone()),
            namespace,
            cluster_issuers: self
                .scope
                .cluster_issuers
                .unwrap_or(self.scope.namespaces == Scope::Cluster),
            scope: self.scope.namespaces,
            rollout: self.scope.rollout,
            concurrency: self.concurrency,
            ca_overlap: self.issuing.ca_overlap,
            renew_throttle: self.issuing.renew_throttle,
            listen: self.listen,
            leader_election: self.election.leader_election.then(|| LeaderElection {
                identity: given(self.pod_name).unwrap_or_else(host_name),
                lease_duration: self.election.lease_duration,
            }),
            log: LogSettings {
                format: self.log.log_format,
                filter: self.log.log,
            },
        }
    }
}

impl GroupArguments {
    fn into_group(self) -> Group {
        Group::new(self.api_group, self.field_manager)
    }
}

fn duration(text: &str) -> Result<SignedDuration, InvalidDuration> {
    DurationText::from(text).parse()
}

fn lease_duration(text: &str) -> Result<Duration, String> {
    let duration = duration(text).map_err(|problem| problem.to_string())?;
    if duration.subsec_nanos() == 0 && (3..=60).contains(&duration.as_secs()) {
        return Ok(duration.unsigned_abs());
    }
    Err("a Lease lasts for whole seconds, from 3s to 60s".to_owned())
}

fn api_group(text: &str) -> Result<String, &'static str> {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= 253 && text.contains('.') && text.split('.').all(label) {
        return Ok(text.to_owned());
    }
    Err("an API group is a DNS name in lower case with at least one dot, such as certwright.dev")
}

fn field_manager(text: &str) -> Result<String, &'static str> {
    // The API server takes 128 bytes; "-rollout" is added to it.
    if (1..=120).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err("a field manager is 1 to 120 printable ASCII characters without spaces")
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
