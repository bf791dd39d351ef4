//! What can be typed, and what it comes to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use certwright_core::api::duration::InvalidDuration;
use certwright_core::api::{DurationText, Group};
use clap::{Args, Parser, Subcommand};
use jiff::SignedDuration;

use super::host_name;
use super::inspect::{InspectArguments, VerifyArguments};
use super::revoke::RevokeArguments;
use super::rollout::RolloutArguments;
use super::settings::{
    Command, CrdsSettings, Http01Settings, LeaderElection, LogFilter, LogFormat, LogSettings,
    OutsideSettings, RunSettings,
};
use super::status::StatusArguments;
use crate::cluster::scope::Scope;
use crate::outside::{AllowedTarget, AllowedTargets, Network};

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
pub(super) struct Arguments {
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
    Verify(VerifyArguments),
    Status(StatusArguments),
    Revoke(Box<RevokeArguments>),
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
    outside: OutsideArguments,

    /// Private networks that ACME servers and other hosts that users name may be in, with commas between
    ///
    /// Without it, only public addresses are asked: whoever may write an Issuer can name any server.
    #[arg(
        long,
        env = "CERTWRIGHT_PRIVATE_NETWORKS",
        value_name = "NETWORK,...",
        value_delimiter = ',',
        help_heading = "Outside the cluster"
    )]
    private_networks: Vec<Network>,

    /// Servers that ServedChecks may have watched, as HOST:PORT, with commas between [default: none]
    ///
    /// A name, *.DOMAIN for all names below it, a network, or * for every public host; * for all ports. Private addresses are reached
    /// only by a name that is listed itself, or in a network that is listed. An IPv6 network stands in brackets.
    #[arg(
        long,
        env = "CERTWRIGHT_SERVED_CHECK_TARGETS",
        value_name = "HOST:PORT,...",
        value_delimiter = ',',
        help_heading = "Outside the cluster"
    )]
    served_check_targets: Vec<AllowedTarget>,

    /// Resolvers that tell what public DNS says of names, as ADDRESS or ADDRESS:PORT, with commas between [default: those
    /// of /etc/resolv.conf]
    ///
    /// They are asked before the first order for a name. What they find wrong counts only where the public servers of the
    /// name's own zone say the same.
    #[arg(
        long,
        env = "CERTWRIGHT_RESOLVERS",
        value_name = "ADDRESS:PORT,...",
        value_delimiter = ',',
        value_parser = resolver,
        help_heading = "Outside the cluster"
    )]
    resolvers: Vec<SocketAddr>,

    #[command(flatten)]
    rollout: RolloutArguments,

    #[command(flatten)]
    http01: Http01Arguments,

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

    /// For tests: over how long the first questions to CAs are spread that say when to renew.
    #[arg(long, env = "CERTWRIGHT_RENEWAL_INFO_SPREAD", hide = true, default_value = "1h", value_parser = duration)]
    renewal_info_spread: SignedDuration,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "HTTP-01, for ACME CAs")]
struct Http01Arguments {
    /// Whether names are proven by HTTP-01
    #[arg(
        long,
        env = "CERTWRIGHT_HTTP01",
        value_name = "BOOLEAN",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    http01: bool,

    /// Where the questions of CAs are answered, and nothing else
    #[arg(
        long,
        env = "CERTWRIGHT_HTTP01_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "[::]:8089"
    )]
    http01_listen: SocketAddr,

    /// The operator's own Service for them, with port 80, in its own namespace
    ///
    /// The ready addresses behind it are where Ingresses and HTTPRoutes lead.
    #[arg(
        long,
        env = "CERTWRIGHT_HTTP01_SERVICE",
        value_name = "SERVICE",
        default_value = "certwright-http01"
    )]
    http01_service: String,
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
pub(super) struct GroupArguments {
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

#[derive(Args, Debug)]
#[command(next_help_heading = "Outside the cluster")]
pub(super) struct OutsideArguments {
    /// The proxy that leads there, as http://HOST:PORT, with USER:PASSWORD@ before the host if it asks for them
    #[arg(long, env = "HTTPS_PROXY", value_name = "URL", hide_env_values = true)]
    https_proxy: Option<String>,

    /// What is reached without it: names with all below them, addresses and networks, with commas between; * for all
    #[arg(long, env = "NO_PROXY", value_name = "LIST")]
    no_proxy: Option<String>,

    /// A file of CAs, as PEM, that are trusted besides the public ones
    #[arg(
        long,
        visible_alias = "ca-file",
        env = "CERTWRIGHT_EXTRA_CA_FILE",
        value_name = "FILE"
    )]
    extra_ca_file: Option<PathBuf>,
}

impl From<OutsideArguments> for OutsideSettings {
    fn from(arguments: OutsideArguments) -> Self {
        Self {
            https_proxy: arguments.https_proxy,
            no_proxy: arguments.no_proxy,
            extra_ca_file: arguments.extra_ca_file,
        }
    }
}

impl Arguments {
    pub(super) fn into_command(self, namespace_file: &Path) -> Command {
        match self.command {
            Verb::Run(arguments) => Command::Run(Box::new(arguments.into_settings(namespace_file))),
            Verb::Crds(arguments) => Command::Crds(CrdsSettings {
                group: arguments.group.into_group(),
                output: arguments.output,
            }),
            Verb::Version => Command::Version,
            Verb::Revoke(arguments) => Command::Revoke(Box::new((*arguments).into())),
            Verb::Inspect(arguments) => Command::Inspect(arguments.into()),
            Verb::Verify(arguments) => Command::Verify(arguments.into()),
            Verb::Status(arguments) => Command::Status(arguments.into()),
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
            rollout: self.rollout.into_settings(),
            outside: self.outside.into(),
            private_networks: self.private_networks,
            served_check_targets: AllowedTargets::new(self.served_check_targets),
            resolvers: self.resolvers,
            http01: self.http01.http01.then_some(Http01Settings {
                listen: self.http01.http01_listen,
                service: self.http01.http01_service,
            }),
            concurrency: self.concurrency,
            ca_overlap: self.issuing.ca_overlap,
            renew_throttle: self.issuing.renew_throttle,
            renewal_info_spread: self.issuing.renewal_info_spread,
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
    pub(super) fn into_group(self) -> Group {
        Group::new(self.api_group, self.field_manager)
    }
}

pub(super) fn duration(text: &str) -> Result<SignedDuration, InvalidDuration> {
    DurationText::from(text).parse()
}

/// `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53`, `[2001:db8::53]:5353`.
fn resolver(text: &str) -> Result<SocketAddr, String> {
    let bare = || text.parse().map(|address| SocketAddr::new(address, 53));
    text.parse().or_else(|_| bare()).map_err(|_| {
        format!(
            "{text:?} is no resolver; write an address, such as 192.0.2.53 or [2001:db8::53]:53"
        )
    })
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
