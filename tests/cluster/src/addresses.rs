//! Addresses of this machine that are no loopback addresses.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, bail};

/// An address of each family on which servers of a test are reached from this machine, and from nowhere else.
///
/// EndpointSlices refuse loopback addresses, so these are from the ranges for documentation (RFC 5737, RFC 3849), given to the
/// loopback interface. That needs root. They are taken away when this value is dropped or our process ends, whichever
/// way it ends.
#[derive(Debug)]
pub struct OwnAddresses {
    ipv4: Ipv4Addr,
    ipv6: Ipv6Addr,
    guard: Child,
}

impl OwnAddresses {
    /// Takes an address of each family that nobody has here.
    ///
    /// # Errors
    /// When they can't be given: without root, without `ip`, or on a machine without IPv6.
    pub fn take() -> anyhow::Result<Self> {
        Self::take_of([198, 51, 100], PREFIX)
    }

    /// The same from the ranges for benchmarks and for private networks (RFC 2544, RFC 4193).
    ///
    /// # Errors
    /// When they can't be given.
    pub fn take_private() -> anyhow::Result<Self> {
        Self::take_of([198, 18, 100], PRIVATE_PREFIX)
    }

    fn take_of([a, b, c]: [u8; 3], prefix: u128) -> anyhow::Result<Self> {
        let mut problem = String::new();
        for _ in 0..TRIES {
            let mut random = [0; 9];
            aws_lc_rs::rand::fill(&mut random).context("failed to draw a random number")?;
            let [last, rest @ ..] = random;
            let ipv4 = Ipv4Addr::new(a, b, c, last);
            let ipv6 = Ipv6Addr::from_bits(prefix | u128::from(u64::from_be_bytes(rest)));
            // Another test may have it.
            if let Err(refused) = ip("add", &format!("{ipv4}/32"), &[]) {
                problem = format!("{refused:#}");
                continue;
            }
            let ipv6_added = ip("add", &format!("{ipv6}/128"), &["nodad"]);
            let guard = guard(ipv4, ipv6)?;
            let taken = Self { ipv4, ipv6, guard };
            ipv6_added?;
            return Ok(taken);
        }
        bail!("found no address to give this machine: {problem}")
    }

    /// That of IPv4.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.ipv4
    }

    /// That of IPv6.
    pub fn ipv6(&self) -> Ipv6Addr {
        self.ipv6
    }
}

impl Drop for OwnAddresses {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

fn ip(verb: &str, address: &str, more: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip")
        .args(["address", verb, address, "dev", "lo"])
        .args(more)
        .output()
        .context("failed to run ip. On Debian: apt-get install iproute2")?;
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "failed to give this machine the address {address}, which needs root: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    )
}

/// A shell that takes the addresses away when its standard input, which we hold, is closed.
fn guard(ipv4: Ipv4Addr, ipv6: Ipv6Addr) -> anyhow::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", TAKE_AWAY, "sh"])
        .arg(format!("{ipv4}/32"))
        .arg(format!("{ipv6}/128"))
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("failed to start the guard of an address")
}

const TAKE_AWAY: &str = r#"
read -r _
for address; do ip address del "$address" dev lo; done
"#;

const PREFIX: u128 = 0x2001_0db8_ce47_0000 << 64;
const PRIVATE_PREFIX: u128 = 0xfdce_4700_0000_0000 << 64;
const TRIES: usize = 32;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn they_are_there_until_they_are_dropped() {
        for private in [false, true] {
            let addresses = match private {
                true => OwnAddresses::take_private(),
                false => OwnAddresses::take(),
            };
            let addresses = addresses.unwrap();
            let (ipv4, ipv6) = (addresses.ipv4(), addresses.ipv6());
            assert!(!ipv4.is_loopback() && !ipv6.is_loopback());
            assert_eq!(ipv6.is_unique_local(), private);
            TcpListener::bind((ipv4, 0)).unwrap();
            TcpListener::bind((ipv6, 0)).unwrap();
            drop(addresses);
            assert!(TcpListener::bind((ipv4, 0)).is_err());
            assert!(TcpListener::bind((ipv6, 0)).is_err());
        }
    }
}
