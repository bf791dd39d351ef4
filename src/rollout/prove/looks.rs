//! Looks at the endpoints of workloads and hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use certwright_core::api::certificate::{CallPort, ProbePort, RolloutProbe};
use certwright_core::pki::Facts;
use certwright_core::rollout::{
    Callee, Held, Ingress, Look, Misconfigured, Place, Seen, ShownLeaf, asked_name,
};
use rustls::pki_types::ServerName;

use super::services::Service;
use crate::outside::{Allowed, Outside};
use crate::probe::{self, Asked, Presented, StartTls, Unreached};

/// How many ports of a Pod or Service are looked at.
const PORTS: usize = 16;
/// How long it may take to connect to a host.
const CONNECT: Duration = Duration::from_secs(10);
const OF_HOST: &str = "it has no address of its own (hostNetwork)";

/// A place whose endpoints are to be looked at.
pub(super) struct Seeking {
    name: String,
    needed: bool,
    endpoints: Vec<Endpoint>,
}

struct Endpoint {
    at: Where,
    named: bool,
    asked: Result<Asked, String>,
}

enum Where {
    /// An address that leads to the workload's own Pods and nowhere else.
    Own(SocketAddr),
    /// What an Ingress's controller says.
    Outside(String, u16),
    /// It can't be known.
    Nowhere(String),
}

/// The Pods and Services of a workload.
pub(super) fn of_workload(
    held: &Held,
    probe: &RolloutProbe,
    callees: &[Callee],
    services: &[Service],
) -> Vec<Seeking> {
    let pods = callees.iter().map(|callee| Seeking {
        name: format!("Pod {}", callee.pod),
        needed: true,
        endpoints: of_pod(held, probe, callee),
    });
    let services = services.iter().map(|service| Seeking {
        name: format!("Service {}", service.name),
        needed: false,
        endpoints: of_service(held, probe, callees, service),
    });
    pods.chain(services).collect()
}

/// A host, at all addresses at which its Ingress is reached.
pub(super) fn of_host(
    host: &str,
    ingress: &Ingress,
    ports: Result<Vec<ProbePort>, Misconfigured>,
) -> Seeking {
    let names = BTreeSet::from([host.to_owned()]);
    let endpoint = |at, protocol| Endpoint {
        at,
        named: true,
        asked: asked(None, &names, protocol),
    };
    let nowhere = |why: String| vec![endpoint(Where::Nowhere(why), None)];
    let at = |ProbePort { port, start_tls }: &ProbePort| {
        let protocol = start_tls.map(StartTls::from);
        let addresses = ingress.addresses.iter();
        let endpoints = addresses.map(|address| match port {
            CallPort::Number(number) => {
                endpoint(Where::Outside(address.clone(), *number), protocol)
            }
            CallPort::Name(name) => endpoint(
                Where::Nowhere(format!("port {name} of an Ingress has no number")),
                None,
            ),
        });
        endpoints.collect::<Vec<_>>()
    };
    let endpoints = match ports {
        Err(problem) => nowhere(problem.to_string()),
        Ok(_) if ingress.addresses.is_empty() => {
            nowhere("its Ingress's status names no address".to_owned())
        }
        Ok(ports) => ports.iter().flat_map(at).collect(),
    };
    Seeking {
        name: format!("host {host}"),
        needed: true,
        endpoints,
    }
}

fn of_pod(held: &Held, probe: &RolloutProbe, callee: &Callee) -> Vec<Endpoint> {
    let said = probe.server_name.as_deref();
    let endpoint = |number: Option<u16>, unnamed: &str, named, protocol| Endpoint {
        at: match (callee.address, number) {
            (None, _) => Where::Nowhere(OF_HOST.to_owned()),
            (_, None) => Where::Nowhere(format!("none of its containers names a port {unnamed}")),
            (Some(address), Some(number)) => Where::Own(SocketAddr::new(address, number)),
        },
        named,
        asked: asked(said, &held.names, protocol),
    };
    if probe.ports.is_empty() {
        let tried = callee.ports().into_iter().take(PORTS);
        return tried
            .map(|number| endpoint(Some(number), "", false, None))
            .collect();
    }
    let named = |ProbePort { port, start_tls }: &ProbePort| {
        let protocol = start_tls.map(StartTls::from);
        endpoint(callee.port(port), &port.to_string(), true, protocol)
    };
    probe.ports.iter().map(named).collect()
}

/// Those of its ports that lead to a port of the Pods that is looked at.
fn of_service(
    held: &Held,
    probe: &RolloutProbe,
    callees: &[Callee],
    service: &Service,
) -> Vec<Endpoint> {
    let Some(callee) = callees.first() else {
        return Vec::new();
    };
    let named = probe.ports.iter();
    let named: BTreeMap<u16, &ProbePort> = named
        .filter_map(|port| Some((callee.port(&port.port)?, port)))
        .collect();
    let ports = service.ports.iter().filter_map(|port| {
        let named = named.get(&callee.port(&port.target)?);
        if named.is_none() && !probe.ports.is_empty() {
            return None;
        }
        let protocol = named.and_then(|port| port.start_tls).map(StartTls::from);
        Some(Endpoint {
            at: Where::Own(SocketAddr::new(service.address, port.number)),
            named: named.is_some(),
            asked: asked(probe.server_name.as_deref(), &held.names, protocol),
        })
    });
    ports.take(PORTS).collect()
}

fn asked(
    said: Option<&str>,
    names: &BTreeSet<String>,
    starttls: Option<StartTls>,
) -> Result<Asked, String> {
    let name = match (asked_name(said, names), said) {
        (Some(name), _) => name,
        (None, Some(said)) => return Err(format!("{said} is no name that can be asked for")),
        // A certificate for neither hosts nor addresses: an address is not sent, so this asks for no name.
        (None, None) => ServerName::IpAddress(IpAddr::from([0, 0, 0, 0]).into()),
    };
    Ok(Asked { name, starttls })
}

impl Seeking {
    /// Looks at each endpoint.
    pub(super) async fn look(self, allowed: &Allowed, outside: &Outside) -> Place {
        let Self {
            name,
            needed,
            endpoints,
        } = self;
        let mut looks = Vec::new();
        for endpoint in endpoints {
            let named = endpoint.named;
            let (at, seen) = endpoint.look(allowed, outside).await;
            let at = at.map_or_else(|| name.clone(), |at| format!("{name} at {at}"));
            looks.push(Look { at, named, seen });
        }
        Place {
            name,
            needed,
            looks,
        }
    }
}

impl Endpoint {
    /// What is seen there, and where that is, if it is anywhere.
    async fn look(self, allowed: &Allowed, outside: &Outside) -> (Option<String>, Seen) {
        let asked = match self.asked {
            Ok(asked) => asked,
            Err(problem) => return (None, Seen::NoCertificate(problem)),
        };
        match self.at {
            Where::Nowhere(why) => (None, Seen::Unreached(why)),
            Where::Own(address) => {
                let shown = match allowed.admit_pod(address).await {
                    Ok(()) => seen(probe::address(address, &asked).await),
                    Err(forbidden) => Seen::Unreached(forbidden.to_string()),
                };
                (Some(address.to_string()), shown)
            }
            Where::Outside(host, port) => {
                let server = (host.as_str(), port);
                let presented = probe::allowed(outside, server, allowed, CONNECT, &asked).await;
                (Some(format!("{host}:{port}")), seen(presented))
            }
        }
    }
}

fn seen(presented: Result<Presented, Unreached>) -> Seen {
    let Presented { at, chain, .. } = match presented {
        Ok(presented) => presented,
        Err(problem @ (Unreached::NoTls { .. } | Unreached::NotStarted { .. })) => {
            return Seen::NoCertificate(problem.to_string());
        }
        Err(problem @ (Unreached::Away { .. } | Unreached::Slow { .. })) => {
            return Seen::Unreached(problem.to_string());
        }
    };
    let chain: Result<Vec<Facts>, _> = chain.iter().map(Facts::read).collect();
    match chain.map(|chain| ShownLeaf::of(&chain)) {
        Ok(Some(leaf)) => Seen::Leaf(leaf),
        Ok(None) => Seen::NoCertificate(format!("{at} shows no certificate")),
        Err(problem) => Seen::NoCertificate(format!("what {at} shows can't be read: {problem}")),
    }
}
