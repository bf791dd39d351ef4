//! What is outside the cluster: found, reached and judged by our own means.
//!
//! The image has no C library that could look up names and no file of public CAs, so both are part of the program.
//! Whoever asks says which addresses may be dialled: a person's own command any, the operator for its tenants only those
//! that are [`Allowed`].

mod allowed;
mod networks;
mod proxy;
mod records;
mod targets;
mod trust;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use hickory_resolver::TokioResolver;
use rustls::RootCertStore;
use tokio::net::TcpStream;

use crate::cli::OutsideSettings;
use proxy::Proxies;

pub use allowed::{Addresses, Allowed, Forbidden, is_public};
pub use networks::Network;
pub use records::{Records, Wanted};
pub use targets::{AllowedTarget, AllowedTargets};
pub use trust::unverified;

/// How long one address may take to take a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// The ways out of the cluster.
pub struct Outside {
    resolver: TokioResolver,
    proxies: Proxies,
    roots: RootCertStore,
}

/// A connection, and to where it leads.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// The address, or the proxy that knows it.
    pub(crate) to: String,
}

impl Outside {
    /// Names are asked for where `/etc/resolv.conf` says, after a look into `/etc/hosts`.
    ///
    /// # Errors
    /// When a proxy is given that makes no sense, or a file of CAs that can't be read.
    pub fn new(settings: &OutsideSettings) -> anyhow::Result<Self> {
        let resolver = TokioResolver::builder_tokio()
            .and_then(|builder| builder.build())
            .map_err(|problem| anyhow!("failed to set up the look-up of names: {problem}"))?;
        Ok(Self {
            resolver,
            proxies: Proxies::new(
                settings.https_proxy.as_deref(),
                settings.no_proxy.as_deref(),
            )?,
            roots: trust::roots(settings.extra_ca_file.as_deref())?,
        })
    }

    /// Connects to a host that somebody else names, at an address that may be asked. Where a proxy leads there, it is the
    /// proxy that looks up names; only an address itself is looked at here.
    ///
    /// # Errors
    /// When it can't be reached, or only at addresses that must not be asked.
    pub async fn reach(
        &self,
        host: &str,
        port: u16,
        allowed: &Allowed,
    ) -> anyhow::Result<TcpStream> {
        let connection = self.connect(host, port, Some(allowed)).await?;
        Ok(connection.stream)
    }

    /// Connects to a host that somebody else names, at an address that may be asked, and never by a proxy: what is reached is
    /// what `allowed` was asked of.
    ///
    /// # Errors
    /// When it can't be reached, or only at addresses that must not be asked.
    pub async fn reach_directly(
        &self,
        host: &str,
        port: u16,
        allowed: &Allowed,
    ) -> anyhow::Result<TcpStream> {
        let connection = self.dial(host, port, Some(allowed)).await?;
        Ok(connection.stream)
    }

    /// Whom we trust.
    pub fn roots(&self) -> &RootCertStore {
        &self.roots
    }

    /// Connects to a host, by the proxy where one is to be used; at any address, if nothing says which are allowed.
    ///
    /// # Errors
    /// When it can't be reached, or only at addresses that must not be asked.
    pub(crate) async fn connect(
        &self,
        host: &str,
        port: u16,
        allowed: Option<&Allowed>,
    ) -> anyhow::Result<Connection> {
        let Some(proxy) = self.proxies.of(host, port) else {
            return self.dial(host, port, allowed).await;
        };
        if let (Some(allowed), Ok(address)) = (allowed, host.parse()) {
            allowed.admit(SocketAddr::new(address, port)).await?;
        }
        // The proxy is the administrator's.
        let connection = self
            .dial(proxy.host(), proxy.port(), None)
            .await
            .with_context(|| format!("failed to reach the proxy {proxy}"))?;
        let stream = proxy
            .tunnel(connection.stream, host, port)
            .await
            .with_context(|| format!("the proxy {proxy} leads nowhere"))?;
        Ok(Connection {
            stream,
            to: format!("{host}:{port}, through the proxy {proxy}"),
        })
    }

    /// Connects to the first address of a host that takes it. The address that is looked at is the one that is dialled.
    async fn dial(
        &self,
        host: &str,
        port: u16,
        allowed: Option<&Allowed>,
    ) -> anyhow::Result<Connection> {
        let mut problems = Vec::new();
        for address in self.addresses(host).await? {
            let address = SocketAddr::new(address, port);
            if let Some(allowed) = allowed
                && let Err(forbidden) = allowed.admit(address).await
            {
                problems.push(forbidden.to_string());
                continue;
            }
            match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    return Ok(Connection {
                        stream,
                        to: address.to_string(),
                    });
                }
                Ok(Err(problem)) => problems.push(format!("{address}: {problem}")),
                Err(_) => problems.push(format!("{address}: no answer within {CONNECT:?}")),
            }
        }
        // Whatever order the addresses came in, the words are the same.
        problems.sort();
        bail!("nobody takes a connection: {}", problems.join("; "))
    }

    async fn addresses(&self, host: &str) -> anyhow::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let found = self
            .resolver
            .lookup_ip(host)
            .await
            .map_err(|problem| anyhow!("failed to look up {host}: {problem}"))?;
        Ok(found.iter().collect())
    }
}

#[cfg(test)]
mod tests;
