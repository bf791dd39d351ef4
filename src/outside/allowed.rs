//! Which addresses may be asked for somebody else.
//!
//! A tenant of the cluster can name servers: an ACME CA, or a host that is to prove something. Whatever the name, the
//! address that is dialled is looked at: the API server is never asked, private ranges only where an administrator names
//! them or more, or where they are the tenant's own, and the operator's own host and its link only where one names a part
//! of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use tracing::warn;

use super::networks::Network;

/// Which addresses may be asked.
#[derive(Clone, Default)]
pub struct Allowed {
    /// Ranges that would be refused otherwise.
    private: Vec<Network>,
    /// What may be asked of private addresses besides.
    own: Option<Arc<dyn Addresses>>,
    /// All that may be asked, public or not; everything, if nothing is said.
    only: Option<Vec<Network>>,
    /// What is not asked, whatever else is said: the API server.
    never: Option<Arc<dyn Addresses>>,
}

/// Addresses that change, and that somebody else knows.
pub trait Addresses: Send + Sync {
    /// Whether this is one of them by now.
    ///
    /// # Errors
    /// When that can't be told.
    fn hold(&self, address: SocketAddr) -> BoxFuture<'_, anyhow::Result<bool>>;
}

/// Why an address is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// It leads to the operator's own host, or to no host.
    #[error("{0} is an address of the operator's own host or of no host, which is never asked")]
    Own(IpAddr),
    /// It is the API server's.
    #[error("{0} is the API server's, which is never asked so")]
    ApiServer(SocketAddr),
    /// It may be the API server's.
    #[error("whether {0} is the API server's can't be told now, so it is not asked")]
    Untold(SocketAddr),
    /// It is private.
    #[error(
        "{0} is a private address; an administrator can allow its network with --private-networks"
    )]
    Private(IpAddr),
    /// It is none of those that a list names.
    #[error("{0} is in none of the networks that an administrator allows for it")]
    Unlisted(IpAddr),
}

impl Allowed {
    /// Public addresses, and those of these networks.
    pub const fn new(private: Vec<Network>) -> Self {
        Self {
            private,
            own: None,
            only: None,
            never: None,
        }
    }

    /// Addresses of these networks alone, private or not.
    pub fn only(networks: Vec<Network>) -> Self {
        Self {
            only: Some(networks.clone()),
            ..Self::new(networks)
        }
    }

    /// Public and private addresses.
    pub fn private_too() -> Self {
        Self::new(PRIVATE.to_vec())
    }

    /// Every address: a person's own command asks whom that person names.
    pub fn any() -> Self {
        Self::new(OWN.into_iter().chain(PRIVATE).collect())
    }

    /// The same for somebody whose own private addresses may be asked too: nothing is reached there by us that they could not
    /// reach without us.
    #[must_use]
    pub fn and_own(mut self, own: Arc<dyn Addresses>) -> Self {
        self.own = Some(own);
        self
    }

    /// The same without the API server's addresses.
    #[must_use]
    pub fn but_not(mut self, api_server: Arc<dyn Addresses>) -> Self {
        self.never = Some(api_server);
        self
    }

    /// Whether an address may be asked now.
    ///
    /// # Errors
    /// Why not.
    pub async fn admit(&self, address: SocketAddr) -> Result<(), Forbidden> {
        let address = SocketAddr::new(unwrapped(address.ip()), address.port());
        match (self.check(address.ip()), &self.own) {
            (Err(Forbidden::Private(_)), Some(own)) if told(own, address).await == Some(true) => {}
            (checked, _) => checked?,
        }
        self.spares_api_server(address).await
    }

    /// Whether the address of a Pod may be asked that belongs to whoever wants it asked: it may be private.
    ///
    /// # Errors
    /// Why not.
    pub async fn admit_pod(&self, address: SocketAddr) -> Result<(), Forbidden> {
        let address = SocketAddr::new(unwrapped(address.ip()), address.port());
        match self.check(address.ip()) {
            Ok(()) | Err(Forbidden::Private(_)) => self.spares_api_server(address).await,
            refused => refused,
        }
    }

    async fn spares_api_server(&self, address: SocketAddr) -> Result<(), Forbidden> {
        let Some(never) = &self.never else {
            return Ok(());
        };
        match told(never, address).await {
            Some(false) => Ok(()),
            Some(true) => Err(Forbidden::ApiServer(address)),
            None => Err(Forbidden::Untold(address)),
        }
    }

    /// Whether an address may be asked, by its range.
    ///
    /// # Errors
    /// Why not.
    fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        let address = unwrapped(address);
        let holds = |network: &Network| network.holds(address);
        // Whoever allows 0.0.0.0/0 thinks of the company's networks, hardly of the cloud's metadata at 169.254.169.254.
        if OWN.iter().any(holds) {
            let named = self.own_host().any(holds);
            return named.then_some(()).ok_or(Forbidden::Own(address));
        }
        if PRIVATE.iter().any(holds) && !self.private.iter().any(holds) {
            return Err(Forbidden::Private(address));
        }
        if self
            .only
            .as_ref()
            .is_some_and(|only| !only.iter().any(holds))
        {
            return Err(Forbidden::Unlisted(address));
        }
        Ok(())
    }

    /// The allowed networks that lead to the operator's own host or its link, which somebody should be told of.
    pub fn own_host(&self) -> impl Iterator<Item = &Network> {
        let own = |network: &&Network| OWN.iter().any(|own| own.covers(network));
        self.private.iter().filter(own)
    }
}

/// Whether an address is in no range that is anybody's own.
pub fn is_public(address: IpAddr) -> bool {
    Allowed::default().check(address).is_ok()
}

/// Whether an address is one of these; `None` if that can't be told, which the log says.
async fn told(addresses: &Arc<dyn Addresses>, address: SocketAddr) -> Option<bool> {
    match addresses.hold(address).await {
        Ok(holds) => Some(holds),
        Err(problem) => {
            warn!(%address, problem = format!("{problem:#}"), "Can't tell whose an address is");
            None
        }
    }
}

/// The address that is really meant: IPv4 in IPv6's clothes (RFC 4291 section 2.5.5, RFC 6052, RFC 3056).
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else {
        return address;
    };
    let octets = six.octets();
    let four = |at: usize| {
        let mut four = [0; 4];
        four.copy_from_slice(&octets[at..at + 4]);
        IpAddr::V4(Ipv4Addr::from(four))
    };
    match octets {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..] => four(12),
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, ..] => four(12),
        [0x20, 0x02, ..] => four(2),
        // The old way, which nobody uses; ::1 and :: are not among them.
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, ..] if a != 0 => four(12),
        _ => address,
    }
}

/// This host, its link, groups, and what is no host (RFC 6890, RFC 4291 section 2.4).
const OWN: [Network; 9] = [
    Network::new(IpAddr::V4(Ipv4Addr::new(0, 0, 0, 0)), 8),
    Network::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    Network::new(IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    Network::new(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), 4),
    Network::new(IpAddr::V4(Ipv4Addr::new(240, 0, 0, 0)), 4),
    Network::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 128),
    Network::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    Network::new(IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    Network::new(IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), 8),
];

/// RFC 1918, RFC 6598, RFC 2544, RFC 4193 and the site-local range before it; and RFC 8215, behind which a network's own
/// translation to IPv4 may lead anywhere.
const PRIVATE: [Network; 8] = [
    Network::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    Network::new(IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    Network::new(IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    Network::new(IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
    Network::new(IpAddr::V4(Ipv4Addr::new(198, 18, 0, 0)), 15),
    Network::new(IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    Network::new(IpAddr::V6(Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0)), 10),
    Network::new(
        IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0)),
        48,
    ),
];

#[cfg(test)]
mod tests;
