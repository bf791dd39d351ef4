//! What public DNS says of names: as a resolver has it, and as the servers of a name's own zone have it.
//!
//! A resolver in a company's network may know other records than the world does, and may remember old ones. So it is good
//! enough to find nothing wrong, and what it finds is asked for again at the servers of the zone, where those have public
//! addresses. Neither is validated by DNSSEC.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use certwright_core::acme::precheck::{Answer, Property, climb};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::time::{Instant, timeout};

use super::is_public;

/// How long a resolver may take for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long one that gave none to anything is not asked again, and how long answers are remembered.
const MEMORY: Duration = Duration::from_mins(1);
/// So many servers of a zone are asked, and so many addresses of each.
const MAX_SERVERS: usize = 4;
const MAX_ADDRESSES: usize = 2;

/// Asks for what public DNS says.
pub struct Records {
    resolver: TokioResolver,
    resolvers_last: Mutex<Last>,
}

/// What a resolver was last seen doing.
#[derive(Debug, Default)]
struct Last {
    answered: Option<Instant>,
    silent: Option<Instant>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// CAA records.
    Caa,
    /// Whether there is such a name.
    Existence,
}

impl Records {
    /// Asked are these resolvers, or those of `/etc/resolv.conf`, and of zones' servers the ones with public addresses.
    ///
    /// # Errors
    /// When there is no resolver.
    pub fn new(resolvers: &[SocketAddr]) -> anyhow::Result<Self> {
        let resolver = resolver(resolvers)
            .map_err(|problem| anyhow!("failed to set up the look-up of records: {problem}"))?;
        Ok(Self {
            resolver,
            resolvers_last: Mutex::default(),
        })
    }

    /// What the resolver says of a name.
    pub async fn resolved(&self, name: &str, wanted: Wanted) -> Answer {
        match self.ask(name, wanted.kind()).await {
            Some(answer) => told(&answer, wanted),
            None => Answer::Unknown,
        }
    }

    /// What the public servers of a name's zone say of it.
    pub async fn published(&self, name: &str, wanted: Wanted) -> Answer {
        let Some(zone) = self.zone(name).await else {
            return Answer::Unknown;
        };
        let servers = self.servers(&zone).await;
        if servers.is_empty() {
            tracing::debug!(%zone, "No server of the zone can be asked");
            return Answer::Unknown;
        }
        let Ok(resolver) = of_zone(&servers) else {
            return Answer::Unknown;
        };
        let Some(name) = absolute(name) else {
            return Answer::Unknown;
        };
        let Ok(answer) = timeout(PATIENCE, resolver.lookup(name, wanted.kind())).await else {
            return Answer::Unknown;
        };
        // Whoever knows that there is nothing also says in which zone; whoever doesn't is not its server.
        match &answer {
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) if none.soa.is_none() => {
                Answer::Unknown
            }
            answer => told(answer, wanted),
        }
    }

    /// The zone that a name is in, whether there is such a name or not.
    async fn zone(&self, name: &str) -> Option<Name> {
        let asked = absolute(name)?;
        for domain in climb(name) {
            let domain = absolute(domain)?;
            let found = match self.ask_for(domain.clone(), RecordType::SOA).await? {
                Ok(lookup) => lookup
                    .answers()
                    .iter()
                    .any(|record| record.name == domain && record.record_type() == RecordType::SOA)
                    .then_some(domain),
                Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                    none.soa.map(|soa| soa.name.clone())
                }
                Err(_) => return None,
            };
            if let Some(zone) = found.filter(|zone| zone.zone_of(&asked)) {
                return Some(zone);
            }
        }
        None
    }

    /// The public addresses of a zone's servers.
    async fn servers(&self, zone: &Name) -> Vec<IpAddr> {
        let Some(Ok(found)) = self.ask_for(zone.clone(), RecordType::NS).await else {
            return Vec::new();
        };
        let names = found.answers().iter().filter_map(|record| {
            let RData::NS(server) = &record.data else {
                return None;
            };
            Some(server.0.clone())
        });
        let mut servers = Vec::new();
        for name in names.take(MAX_SERVERS) {
            for kind in [RecordType::A, RecordType::AAAA] {
                let Some(Ok(found)) = self.ask_for(name.clone(), kind).await else {
                    continue;
                };
                let addresses = found
                    .answers()
                    .iter()
                    .filter_map(|record| record.data.ip_addr())
                    .filter(|address| is_public(*address));
                servers.extend(addresses.take(MAX_ADDRESSES));
            }
        }
        servers
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Option<Result<Lookup, NetError>> {
        self.ask_for(absolute(name)?, kind).await
    }

    /// What the resolver answers; `None` if it gives no answer, or gave none of late.
    async fn ask_for(&self, name: Name, kind: RecordType) -> Option<Result<Lookup, NetError>> {
        let recent = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < MEMORY);
        if recent(self.last(|last| last.silent)) {
            return None;
        }
        let asked = timeout(PATIENCE, self.resolver.lookup(name, kind)).await;
        let answer = asked
            .ok()
            .filter(|answer| matches!(answer, Ok(_) | Err(NetError::Dns(_))));
        self.last(|last| match answer {
            Some(_) => {
                *last = Last {
                    answered: Some(Instant::now()),
                    silent: None,
                };
            }
            // What it answered else is another matter: this zone's servers may be to blame.
            None if !recent(last.answered) => last.silent = Some(Instant::now()),
            None => {}
        });
        answer
    }

    fn last<T>(&self, look: impl FnOnce(&mut Last) -> T) -> T {
        let last = self.resolvers_last.lock();
        look(&mut last.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Wanted {
    fn kind(self) -> RecordType {
        match self {
            Self::Caa => RecordType::CAA,
            Self::Existence => RecordType::A,
        }
    }
}

/// From the root on: what resolvers add to names is for people.
fn absolute(name: &str) -> Option<Name> {
    Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).ok()
}

fn told(answer: &Result<Lookup, NetError>, wanted: Wanted) -> Answer {
    match answer {
        Ok(found) => {
            let properties = found.answers().iter().filter_map(|record| {
                let RData::CAA(caa) = &record.data else {
                    return None;
                };
                Some(Property {
                    critical: caa.issuer_critical,
                    tag: caa.tag.clone(),
                    value: String::from_utf8_lossy(&caa.value).into_owned(),
                })
            });
            let properties: Vec<_> = properties.collect();
            // An alias alone, that leads to nothing of the kind.
            if wanted == Wanted::Caa && properties.is_empty() {
                return Answer::Nothing;
            }
            Answer::Records(properties)
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. }))) => {
            match *response_code {
                ResponseCode::NXDomain => Answer::NoSuchName,
                ResponseCode::NoError => Answer::Nothing,
                _ => Answer::Unknown,
            }
        }
        Err(_) => Answer::Unknown,
    }
}

fn resolver(given: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = if given.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = given.iter().map(|at| server(at.ip(), at.port())).collect();
        with_servers(servers)
    };
    let options = builder.options_mut();
    patient(options);
    options.positive_max_ttl = Some(MEMORY);
    options.negative_max_ttl = Some(MEMORY);
    builder.build()
}

/// Asks these servers what they know themselves.
fn of_zone(servers: &[IpAddr]) -> Result<TokioResolver, NetError> {
    let servers = servers.iter().map(|ip| server(*ip, DNS)).collect();
    let mut builder = with_servers(servers);
    let options = builder.options_mut();
    patient(options);
    options.recursion_desired = false;
    options.cache_size = 0;
    builder.build()
}

const DNS: u16 = 53;

fn with_servers(
    servers: Vec<NameServerConfig>,
) -> hickory_resolver::ResolverBuilder<TokioRuntimeProvider> {
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

fn server(ip: IpAddr, port: u16) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = port;
    }
    NameServerConfig::new(ip, true, connections)
}

/// Two tries within [`PATIENCE`], and nothing from `/etc/hosts`, which the world does not know.
fn patient(options: &mut ResolverOpts) {
    options.timeout = PATIENCE / 2;
    options.attempts = 1;
    options.use_hosts_file = ResolveHosts::Never;
}
