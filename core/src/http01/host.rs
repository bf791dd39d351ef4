//! Where a CA asks, and for what.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::api::names;

/// What the path of every question begins with. Source: RFC 8555 section 8.3.
pub const PATH: &str = "/.well-known/acme-challenge/";

/// More than a CA needs; RFC 8555 section 8.1 wants 128 bits at least, which are 22 characters.
const MAX_TOKEN: usize = 128;

/// A host as it stands in the header `Host`, without its port: lower case, and an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(String);

/// What is asked for at a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Challenge {
    host: Host,
    token: String,
}

/// Why there is no such challenge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChallenge {
    /// The identifier is no name that can be asked at.
    #[error("{0:?} is neither a host's name nor an IP address")]
    Identifier(String),
    /// The token could mean something else in a path.
    #[error("the CA's token is not 1 to {MAX_TOKEN} characters of base64url")]
    Token,
}

impl Host {
    /// The host of an ACME identifier: a name or an IP address.
    ///
    /// # Errors
    /// For anything else, wildcards included: nobody can be asked there.
    pub fn of_identifier(identifier: &str) -> Result<Self, InvalidChallenge> {
        let invalid = || InvalidChallenge::Identifier(identifier.to_owned());
        if let Ok(address) = identifier.parse() {
            return Ok(Self::of_address(address));
        }
        if identifier.starts_with('*') {
            return Err(invalid());
        }
        names::dns_name(identifier).map(Self).map_err(|_| invalid())
    }

    /// The host that a header `Host` names; `None` if it names none.
    pub fn of_header(header: &str) -> Option<Self> {
        if let Some(rest) = header.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            let sound = port.strip_prefix(':').map_or(port.is_empty(), is_port);
            return sound.then(|| Self::of_address(address.into()));
        }
        let name = match header.split_once(':') {
            Some((name, port)) if is_port(port) => name,
            Some(_) => return None,
            None => header,
        };
        Self::of_identifier(name).ok()
    }

    fn of_address(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        })
    }

    /// As it stands in the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As ACME identifies it: an address without brackets.
    pub fn identifier(&self) -> &str {
        self.0.trim_start_matches('[').trim_end_matches(']')
    }

    /// The address, if the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.identifier().parse().ok()
    }

    /// The name, if the host has one: Ingresses and HTTPRoutes know no addresses.
    pub fn name(&self) -> Option<&str> {
        self.address().is_none().then_some(self.as_str())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Challenge {
    /// What is asked for at an identifier.
    ///
    /// # Errors
    /// For identifiers that nobody can be asked at, and for tokens that are not base64url: they end in paths.
    pub fn new(identifier: &str, token: &str) -> Result<Self, InvalidChallenge> {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if token.is_empty() || token.len() > MAX_TOKEN || !token.bytes().all(sound) {
            return Err(InvalidChallenge::Token);
        }
        Ok(Self {
            host: Host::of_identifier(identifier)?,
            token: token.to_owned(),
        })
    }

    /// Where it is asked for.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// What is asked for.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The path of the question.
    pub fn path(&self) -> String {
        format!("{PATH}{}", self.token)
    }
}

fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_and_an_identifier_that_mean_the_same_are_the_same_host() {
        let same = [
            ("shop.example", "shop.example"),
            ("shop.example", "SHOP.Example:80"),
            ("shop.example", "shop.example.:5002"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("192.0.2.1", "192.0.2.1:80"),
            ("2001:DB8:0::1", "[2001:db8::1]"),
            ("2001:db8::1", "[2001:db8::1]:80"),
        ];
        for (identifier, header) in same {
            let host = Host::of_identifier(identifier).unwrap();
            assert_eq!(Host::of_header(header), Some(host), "{header}");
        }
    }

    #[test]
    fn only_names_have_names() {
        let host = |identifier: &str| Host::of_identifier(identifier).unwrap();
        assert_eq!(host("shop.example").name(), Some("shop.example"));
        assert_eq!(host("192.0.2.1").name(), None);
        assert_eq!(host("2001:db8::1").name(), None);
        assert_eq!(host("2001:db8::1").as_str(), "[2001:db8::1]");
        assert_eq!(host("2001:db8::1").address(), "2001:db8::1".parse().ok());
        assert_eq!(host("shop.example").address(), None);
    }

    #[test]
    fn what_names_no_host_is_none() {
        for header in [
            "",
            ":80",
            "shop.example:http",
            "shop.example:80:80",
            "2001:db8::1",
            "[2001:db8::1",
            "[2001:db8::1]80",
            "[shop.example]",
            "user@shop.example",
            "shop.example/path",
            "*.example",
            "shop example",
        ] {
            assert_eq!(Host::of_header(header), None, "{header:?}");
        }
    }

    #[test]
    fn a_token_is_base64url_and_of_some_length() {
        for token in [
            "",
            "a/b",
            "../x",
            "a b",
            "a\r\nb",
            "ä",
            "a=",
            &"a".repeat(129),
        ] {
            assert_eq!(
                Challenge::new("shop.example", token),
                Err(InvalidChallenge::Token),
                "{token:?}"
            );
        }
        let challenge = Challenge::new("shop.example", &"a".repeat(128)).unwrap();
        assert_eq!(challenge.path().len(), PATH.len() + 128);
        assert!(Challenge::new("*.shop.example", "abc").is_err());
    }
}
