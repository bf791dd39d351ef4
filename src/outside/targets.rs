//! Which servers users may have watched: those that an administrator lists.
//!
//! A list allows names, networks and ports. Whatever is listed, the address that is dialled is looked at, too: whose name it is
//! says nothing of where it leads to.

use std::net::IpAddr;
use std::str::FromStr;

use super::{Allowed, Network};

/// All servers that may be watched; none without a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedTargets(Vec<AllowedTarget>);

/// Servers that may be watched, such as `www.example.com:443`, `*.example.com:443` or `10.0.0.0/8:8443`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedTarget {
    hosts: Hosts,
    /// `None` for all.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    /// Every host.
    Any,
    /// All names below this one, in lower case.
    Below(String),
    /// This name, in lower case.
    Name(String),
    /// Whatever name leads there.
    In(Network),
}

impl AllowedTargets {
    /// Servers that one of these allows.
    pub const fn new(targets: Vec<AllowedTarget>) -> Self {
        Self(targets)
    }

    /// At which addresses this host, in lower case, may be asked at this port; `None` if it may not.
    ///
    /// - A name that is listed itself may lead to private addresses, too: whoever listed it knows the name.
    /// - One that is listed by `*` leads to public ones, and to those of listed networks: others may hand out such names.
    /// - Any other name or address leads to addresses of listed networks, and nowhere else.
    ///
    /// The operator's own host and link are reached only where a network is listed that is a part of them.
    pub fn addresses(&self, host: &str, port: u16) -> Option<Allowed> {
        let here = || {
            let same_port = |target: &&AllowedTarget| target.port.is_none_or(|only| only == port);
            self.0.iter().filter(same_port)
        };
        let networks: Vec<_> = here().filter_map(AllowedTarget::network).collect();
        if here().any(|target| matches!(&target.hosts, Hosts::Name(name) if name == host)) {
            return Some(Allowed::private_too());
        }
        if here().any(|target| target.matches(host)) {
            return Some(Allowed::new(networks));
        }
        let literal: Option<IpAddr> = host.parse().ok();
        let listed = match literal {
            Some(address) => networks.iter().any(|network| network.holds(address)),
            None => !networks.is_empty(),
        };
        listed.then(|| Allowed::only(networks))
    }

    /// The listed networks that lead to the operator's own host or its link, which somebody should be told of.
    pub fn own_host(&self) -> Vec<Network> {
        let networks = self.0.iter().filter_map(AllowedTarget::network).collect();
        Allowed::new(networks).own_host().copied().collect()
    }
}

impl AllowedTarget {
    fn network(&self) -> Option<Network> {
        match self.hosts {
            Hosts::In(network) => Some(network),
            Hosts::Any | Hosts::Below(_) | Hosts::Name(_) => None,
        }
    }

    /// Whether a `*` stands for this host. Names are below others; addresses are not.
    fn matches(&self, host: &str) -> bool {
        match &self.hosts {
            Hosts::Any => true,
            Hosts::Below(domain) => host
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            Hosts::Name(_) | Hosts::In(_) => false,
        }
    }
}

impl FromStr for AllowedTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| {
            format!(
                "{text:?} is no target: {why}; write one as www.example.com:443, *.example.com:443, 10.0.0.0/8:8443 or [fd00::/8]:443, with * for all hosts or all ports"
            )
        };
        let (hosts, port) = text
            .rsplit_once(':')
            .ok_or_else(|| wrong("it has no port"))?;
        let port = match port {
            "*" => None,
            port => match port.parse() {
                Ok(0) | Err(_) => return Err(wrong("its port is not 1 to 65535")),
                Ok(port) => Some(port),
            },
        };
        let bare = hosts
            .strip_prefix('[')
            .and_then(|hosts| hosts.strip_suffix(']'));
        let hosts = match (bare, hosts.strip_prefix("*.")) {
            (Some(network), _) => Hosts::In(network.parse().map_err(|_| wrong(NO_NETWORK))?),
            _ if hosts == "*" => Hosts::Any,
            (None, Some(domain)) if is_name(domain) => Hosts::Below(domain.to_ascii_lowercase()),
            // Nobody means a name by digits and dots; in it, 10.0.0.0/8 with a slip of the pen would be one.
            _ if !hosts.contains(|c: char| c.is_ascii_alphabetic())
                || hosts.contains(['/', ':', '[', ']']) =>
            {
                // An IPv6 one stands in brackets: its end and the port's beginning would look the same.
                let plain = !hosts.contains([':', '[', ']']);
                let network = plain.then(|| hosts.parse().ok()).flatten();
                Hosts::In(network.ok_or_else(|| wrong(NO_NETWORK))?)
            }
            _ if is_name(hosts) => Hosts::Name(hosts.to_ascii_lowercase()),
            _ => return Err(wrong("its host is neither a name nor a network")),
        };
        Ok(Self { hosts, port })
    }
}

/// Labels of letters, digits, hyphens and underscores, none of them empty.
fn is_name(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        })
}

const NO_NETWORK: &str = "its host is no network";

#[cfg(test)]
mod tests;
