//! Which addresses may be asked for somebody else.
//!
//! A tenant of the cluster can name servers: an ACME CA, or a host that is to prove something. Whatever the name, the
//! address that is dialled is looked at: nothing of the API server's is ever asked, private ranges only where an
//! administrator names them or more, and the operator's own host and its link only where one names a part of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::networks::Network;

/// Which addresses may be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Ranges that would be refused otherwise.
    private: Vec<Network>,
    /// The API server's addresses.
    never: Vec<IpAddr>,
}

/// Why an address is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// It leads to the operator's own host, or to no host.
    #[error("{0} is an address of the operator's own host or of no host, which is never asked")]
    Own(IpAddr),
    /// It is the API server's.
    #[error("{0} is the API server's, which is never asked so")]
    ApiServer(IpAddr),
    /// It is private.
    #[error(
        "{0} is a private address; an administrator can allow its network with --private-networks"
    )]
    Private(IpAddr),
}

impl Allowed {
    /// Public addresses, and those of these networks; but none of `api_server`.
    pub fn new(private: Vec<Network>, api_server: Vec<IpAddr>) -> Self {
        let never = api_server.into_iter().map(unwrapped).collect();
        Self { private, never }
    }

    /// Every address: a person's own command asks whom that person names.
    pub fn any() -> Self {
        Self {
            private: OWN.into_iter().chain(PRIVATE).collect(),
            never: Vec::new(),
        }
    }

    /// The same without private addresses.
    pub fn public(&self) -> Self {
        Self {
            private: Vec::new(),
            never: self.never.clone(),
        }
    }

    /// Whether an address may be asked.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        let address = unwrapped(address);
        if self.never.contains(&address) {
            return Err(Forbidden::ApiServer(address));
        }
        let holds = |network: &Network| network.holds(address);
        // Whoever allows 0.0.0.0/0 thinks of the company's networks, hardly of the cloud's metadata at 169.254.169.254.
        if OWN.iter().any(holds) {
            let named = self.own_host().any(holds);
            return named.then_some(()).ok_or(Forbidden::Own(address));
        }
        if PRIVATE.iter().any(holds) && !self.private.iter().any(holds) {
            return Err(Forbidden::Private(address));
        }
        Ok(())
    }

    /// Whether the address of a Pod may be asked that belongs to whoever wants it asked: it may be private.
    ///
    /// # Errors
    /// Why not.
    pub fn check_pod(&self, address: IpAddr) -> Result<(), Forbidden> {
        match self.check(address) {
            Err(Forbidden::Private(_)) => Ok(()),
            checked => checked,
        }
    }

    /// The allowed networks that lead to the operator's own host or its link, which somebody should be told of.
    pub fn own_host(&self) -> impl Iterator<Item = &Network> {
        let own = |network: &&Network| OWN.iter().any(|own| own.covers(network));
        self.private.iter().filter(own)
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
mod tests {
    use super::*;

    fn checked(allowed: &Allowed, address: &str) -> &'static str {
        match allowed.check(address.parse().unwrap()) {
            Ok(()) => "public",
            Err(Forbidden::Own(_)) => "own",
            Err(Forbidden::ApiServer(_)) => "API server",
            Err(Forbidden::Private(_)) => "private",
        }
    }

    #[test]
    fn a_person_may_ask_any_address() {
        let any = Allowed::any();
        for address in [
            "192.0.2.1",
            "127.0.0.1",
            "10.0.0.1",
            "::1",
            "fe80::1",
            "fd00::1",
            "64:ff9b::7f00:1",
        ] {
            assert_eq!(checked(&any, address), "public", "{address}");
        }
    }

    #[test]
    fn only_public_addresses_are_asked_whatever_they_are_wrapped_in() {
        let allowed = Allowed::new(Vec::new(), vec!["203.0.113.1".parse().unwrap()]);
        for (address, what) in [
            ("192.0.2.1", "public"),
            ("2001:db8::1", "public"),
            ("127.0.0.1", "own"),
            ("127.9.9.9", "own"),
            ("169.254.169.254", "own"),
            ("0.0.0.0", "own"),
            ("0.1.2.3", "own"),
            ("224.0.0.1", "own"),
            ("255.255.255.255", "own"),
            ("::1", "own"),
            ("::", "own"),
            ("fe80::1", "own"),
            ("ff02::1", "own"),
            ("10.0.0.1", "private"),
            ("172.31.255.255", "private"),
            ("172.32.0.1", "public"),
            ("192.168.1.1", "private"),
            ("100.64.0.1", "private"),
            ("fd00::1", "private"),
            ("203.0.113.1", "API server"),
            ("::ffff:203.0.113.1", "API server"),
            ("::ffff:127.0.0.1", "own"),
            ("::127.0.0.1", "own"),
            ("64:ff9b::10.0.0.1", "private"),
            ("64:ff9b::192.0.2.1", "public"),
            ("64:ff9b::169.254.169.254", "own"),
            ("64:ff9b:1::127.0.0.1", "private"),
            ("2002:7f00:1::", "own"),
            ("2002:a00:1::", "private"),
        ] {
            assert_eq!(checked(&allowed, address), what, "{address}");
        }
    }

    #[test]
    fn an_administrator_can_allow_networks_but_never_the_api_server() {
        let networks = ["10.1.0.0/16", "127.0.0.0/8"].map(|text| text.parse().unwrap());
        let allowed = Allowed::new(networks.to_vec(), vec!["10.1.0.1".parse().unwrap()]);
        for (address, what) in [
            ("10.1.2.3", "public"),
            ("10.2.2.3", "private"),
            ("127.0.0.1", "public"),
            ("::ffff:10.1.2.3", "public"),
            ("10.1.0.1", "API server"),
        ] {
            assert_eq!(checked(&allowed, address), what, "{address}");
        }
        // What the world asks is another matter.
        for (address, what) in [
            ("10.1.2.3", "private"),
            ("127.0.0.1", "own"),
            ("10.1.0.1", "API server"),
            ("192.0.2.1", "public"),
        ] {
            assert_eq!(checked(&allowed.public(), address), what, "{address}");
        }
        let own: Vec<_> = allowed.own_host().map(ToString::to_string).collect();
        assert_eq!(own, ["127.0.0.0/8"]);
    }

    #[test]
    fn a_pods_address_may_be_private_but_nothing_else_that_is_refused() {
        let allowed = Allowed::new(Vec::new(), vec!["10.1.0.1".parse().unwrap()]);
        for (address, asked) in [
            ("10.1.2.3", true),
            ("fd00::1", true),
            ("192.0.2.1", true),
            ("10.1.0.1", false),
            ("127.0.0.1", false),
            ("::1", false),
            ("169.254.169.254", false),
        ] {
            let checked = allowed.check_pod(address.parse().unwrap());
            assert_eq!(checked.is_ok(), asked, "{address}");
        }
    }

    #[test]
    fn the_own_host_is_allowed_by_its_name_only_not_by_all_there_is() {
        let networks = ["0.0.0.0/0", "::/0"].map(|text| text.parse().unwrap());
        let allowed = Allowed::new(networks.to_vec(), Vec::new());
        for (address, what) in [
            ("10.1.2.3", "public"),
            ("fd00::1", "public"),
            ("127.0.0.1", "own"),
            ("169.254.169.254", "own"),
            ("::ffff:169.254.169.254", "own"),
            ("::1", "own"),
            ("fe80::1", "own"),
        ] {
            assert_eq!(checked(&allowed, address), what, "{address}");
        }
        assert_eq!(allowed.own_host().count(), 0);
    }
}
