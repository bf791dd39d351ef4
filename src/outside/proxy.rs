//! The proxy that leads out of the cluster, and what is reached without it.
//!
//! `HTTPS_PROXY` and `NO_PROXY` mean what they mean to Go's programs, which most of a cluster is made of.

use std::fmt::{Display, Formatter};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::networks::Network;

/// A proxy's answer may not be longer than this, in bytes.
const MAX_ANSWER: usize = 8 << 10;
/// How long a proxy may take to connect.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which hosts are reached by a proxy.
pub(super) struct Proxies {
    proxy: Option<Proxy>,
    /// What is reached without it.
    direct: Vec<Direct>,
}

/// A proxy that takes CONNECT (RFC 9110 section 9.3.6).
pub(super) struct Proxy {
    host: String,
    port: u16,
    /// `user:password`, where it wants them.
    credentials: Option<Zeroizing<String>>,
}

/// One word of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Direct {
    All,
    Network(Network),
    /// This name, if `exact`, and all below it.
    Name {
        name: String,
        exact: bool,
        port: Option<u16>,
    },
}

impl Proxies {
    /// From the texts of the two variables.
    ///
    /// # Errors
    /// When the proxy is no `http://` URL with a host.
    pub(super) fn new(proxy: Option<&str>, no_proxy: Option<&str>) -> anyhow::Result<Self> {
        let proxy = proxy
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(Proxy::read)
            .transpose()?;
        let words = no_proxy.unwrap_or_default().split(',').map(str::trim);
        let direct = words
            .filter(|word| !word.is_empty())
            .map(Direct::read)
            .collect();
        Ok(Self { proxy, direct })
    }

    /// The proxy for a host; `None` if it is reached without one.
    pub(super) fn of(&self, host: &str, port: u16) -> Option<&Proxy> {
        let proxy = self.proxy.as_ref()?;
        let loopback = host
            .parse::<IpAddr>()
            .map_or(host == "localhost", |address| address.is_loopback());
        let direct = loopback || self.direct.iter().any(|word| word.holds(host, port));
        (!direct).then_some(proxy)
    }
}

impl Proxy {
    fn read(text: &str) -> anyhow::Result<Self> {
        // The text may hold a password: it is not repeated.
        let whole = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let uri: Uri = whole.parse().context("HTTPS_PROXY is no URL")?;
        ensure!(
            uri.scheme_str() == Some("http"),
            "HTTPS_PROXY must begin with http://; other ways to a proxy are not served"
        );
        let authority = uri.authority().context("HTTPS_PROXY names no host")?;
        ensure!(!authority.host().is_empty(), "HTTPS_PROXY names no host");
        let credentials = authority.as_str().rsplit_once('@');
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            credentials: credentials.map(|(credentials, _)| Zeroizing::new(credentials.to_owned())),
        })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Has the proxy connect to a host.
    ///
    /// # Errors
    /// When it does not, or takes too long.
    pub(super) async fn tunnel(
        &self,
        stream: TcpStream,
        host: &str,
        port: u16,
    ) -> anyhow::Result<TcpStream> {
        tokio::time::timeout(PATIENCE, self.ask(stream, host, port))
            .await
            .with_context(|| format!("no answer within {PATIENCE:?}"))?
    }

    async fn ask(&self, mut stream: TcpStream, host: &str, port: u16) -> anyhow::Result<TcpStream> {
        let target = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let mut request =
            Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
        if let Some(credentials) = &self.credentials {
            let encoded = Zeroizing::new(BASE64_STANDARD.encode(credentials.as_bytes()));
            request.push_str("Proxy-Authorization: Basic ");
            request.push_str(&encoded);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        // By single bytes: what comes after the head belongs to whoever uses the tunnel.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            ensure!(head.len() < MAX_ANSWER, "its answer does not end");
            head.push(stream.read_u8().await.context("it hung up")?);
        }
        let head = String::from_utf8_lossy(&head);
        let line = head.lines().next().unwrap_or_default();
        match line.split(' ').nth(1) {
            Some("200") => Ok(stream),
            _ => bail!("it says {line:?}"),
        }
    }
}

impl Display for Proxy {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Direct {
    fn read(word: &str) -> Self {
        if word == "*" {
            return Self::All;
        }
        if let Ok(network) = word.parse() {
            return Self::Network(network);
        }
        let (name, port) = match word.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => (name, port.parse().ok()),
            _ => (word, None),
        };
        let name = name.trim_start_matches('*').to_ascii_lowercase();
        Self::Name {
            exact: !name.starts_with('.'),
            name: name.trim_start_matches('.').to_owned(),
            port,
        }
    }

    fn holds(&self, host: &str, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Network(network) => host.parse().is_ok_and(|address| network.holds(address)),
            Self::Name {
                name,
                exact,
                port: only,
            } => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let below = host
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.ends_with('.') || (*exact && rest.is_empty()));
                below && only.is_none_or(|only| only == port)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn what_no_proxy_names_is_reached_directly() {
        let no_proxy = "10.0.0.0/8, .svc, cluster.local,192.0.2.7, example.com:8443,fd00::/8";
        let proxies = Proxies::new(Some("http://proxy:3128"), Some(no_proxy)).unwrap();
        for (host, port, direct) in [
            ("10.1.2.3", 443, true),
            ("11.1.2.3", 443, false),
            ("web.shop.svc", 443, true),
            ("svc", 443, false),
            ("cluster.local", 443, true),
            ("a.cluster.local.", 443, true),
            ("mycluster.local", 443, false),
            ("192.0.2.7", 443, true),
            ("192.0.2.8", 443, false),
            ("EXAMPLE.com", 8443, true),
            ("example.com", 443, false),
            ("fd12::1", 443, true),
            ("2001:db8::1", 443, false),
            ("localhost", 443, true),
            ("127.0.0.5", 443, true),
            ("::1", 443, true),
            ("acme.example.org", 443, false),
        ] {
            assert_eq!(proxies.of(host, port).is_none(), direct, "{host}:{port}");
        }
        let all = Proxies::new(Some("proxy:3128"), Some("*")).unwrap();
        assert!(all.of("example.com", 443).is_none());
        let none = Proxies::new(Some(" "), None).unwrap();
        assert!(none.of("example.com", 443).is_none());
    }

    #[test]
    fn a_proxy_is_an_http_url_and_its_password_is_told_nowhere() {
        let proxies = Proxies::new(Some("http://me:hush@[2001:db8::7]:8080"), None).unwrap();
        let proxy = proxies.of("example.com", 443).unwrap();
        assert_eq!((proxy.host(), proxy.port()), ("2001:db8::7", 8080));
        assert_eq!(proxy.credentials.as_ref().unwrap().as_str(), "me:hush");
        assert!(!proxy.to_string().contains("hush"));
        for (text, part) in [
            ("https://me:hush@proxy", "must begin with http://"),
            ("socks5://proxy", "must begin with http://"),
            ("http://", "HTTPS_PROXY"),
            ("http://me:hush@pro xy", "is no URL"),
        ] {
            let problem = format!("{:#}", Proxies::new(Some(text), None).err().unwrap());
            assert!(
                problem.contains(part) && !problem.contains("hush"),
                "{problem}"
            );
        }
    }

    /// A proxy that gives this answer; what it was asked.
    async fn asked(answer: &'static str) -> (anyhow::Result<String>, String) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(asked).unwrap()
        });
        let text = format!("http://me:hush@{address}");
        let proxies = Proxies::new(Some(&text), None).unwrap();
        let proxy = proxies.of("example.com", 443).unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let answer = match proxy.tunnel(stream, "example.com", 443).await {
            Ok(mut stream) => {
                let mut rest = String::new();
                stream.read_to_string(&mut rest).await.unwrap();
                Ok(rest)
            }
            Err(problem) => Err(problem),
        };
        (answer, served.await.unwrap())
    }

    #[tokio::test]
    async fn a_tunnel_begins_where_the_proxys_answer_ends() {
        let (answer, request) = asked("HTTP/1.1 200 OK\r\nVia: x\r\n\r\nhello").await;
        assert_eq!(answer.unwrap(), "hello");
        assert_eq!(
            request,
            "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nProxy-Authorization: Basic bWU6aHVzaA==\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn a_proxy_that_says_no_or_hangs_up_is_no_way() {
        for (answer, part) in [
            ("HTTP/1.1 407 Who are you\r\n\r\n", "407 Who are you"),
            ("HTTP/1.1 200", "it hung up"),
        ] {
            let problem = format!("{:#}", asked(answer).await.0.unwrap_err());
            assert!(problem.contains(part), "{problem}");
        }
        let long: &'static str = Box::leak("x".repeat(2 * MAX_ANSWER).into_boxed_str());
        let problem = asked(long).await.0.unwrap_err().to_string();
        assert_eq!(problem, "its answer does not end");
    }
}
