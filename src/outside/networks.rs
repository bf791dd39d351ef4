//! Ranges of addresses.

use std::fmt::{Display, Formatter};
use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// All addresses that begin with the same `bits` bits; more bits than an address has are all of them.
    pub const fn new(address: IpAddr, bits: u8) -> Self {
        Self { address, bits }
    }

    /// Whether it is one of them.
    pub fn holds(&self, address: IpAddr) -> bool {
        let (one, other, width) = match (self.address, address) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                (u128::from(one.to_bits()), u128::from(other.to_bits()), 32)
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
            _ => return false,
        };
        let free = u32::from(width - self.bits.min(width));
        (one ^ other).checked_shr(free).unwrap_or_default() == 0
    }

    /// Whether all of another network is part of it.
    pub fn covers(&self, other: &Self) -> bool {
        self.bits <= other.bits && self.holds(other.address)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, bits) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address
            .trim_matches(['[', ']'])
            .parse()
            .map_err(|_| format!("{text:?} is no network; write one as 10.0.0.0/8 or fd00::/8"))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            "" => longest,
            bits => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= longest)
                .ok_or_else(|| format!("{text:?} is no network; its length is 0 to {longest}"))?,
        };
        Ok(Self { address, bits })
    }
}

impl Display for Network {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_what_begins_as_it_does() {
        for (network, address, holds) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "192.0.2.7", false),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(
                network.holds(address.parse().unwrap()),
                holds,
                "{network} {address}"
            );
        }
    }

    #[test]
    fn a_network_covers_its_own_parts_only() {
        for (network, other, covers) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.0.0.0/7", false),
            ("10.0.0.0/8", "0.0.0.0/0", false),
            ("10.0.0.0/8", "11.0.0.0/16", false),
            ("fe80::/10", "fe80::1", true),
            ("::/0", "10.0.0.0/8", false),
        ] {
            let (network, other): (Network, Network) =
                (network.parse().unwrap(), other.parse().unwrap());
            assert_eq!(network.covers(&other), covers, "{network} {other}");
        }
    }

    #[test]
    fn what_is_no_network_is_said() {
        for text in [
            "",
            "ten",
            "10.0.0.0/33",
            "fd00::/129",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
