//! Which certificates a TLS server shows, trusted or not.
//!
//! Nothing is sent but what a handshake needs, and before it, where a protocol begins in the clear, the few words that lead
//! to TLS ([`StartTls`]). The other side may be hostile: each step is bounded in time and in bytes. What is shown is judged
//! elsewhere (`certwright_core::pki::faults`); nothing here knows of Certificates.

mod handshake;
mod starttls;

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use certwright_core::pki::CertificateDer;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::outside::{Allowed, Outside};

pub use starttls::StartTls;

/// How a server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// For which name; an address is not sent, as SNI has no place for one (RFC 6066 section 3).
    pub name: ServerName<'static>,
    /// How the protocol leads to TLS, if it begins in the clear.
    pub starttls: Option<StartTls>,
}

/// What a TLS server showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Where it was reached.
    pub at: String,
    /// The version of TLS, such as `TLSv1_3`; `None` if the handshake did not come to its end.
    pub protocol: Option<String>,
    /// The certificates in the order in which it showed them: at least one.
    pub chain: Vec<CertificateDer>,
    /// Whether it has shown that it holds the private key; `None` if the handshake ended before.
    pub holds_key: Option<bool>,
}

/// Why a server showed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// Nobody takes a connection, or the way there is barred.
    #[error("{at} can't be reached: {problem}")]
    Away {
        /// Who.
        at: String,
        /// Why.
        problem: String,
    },
    /// A step took too long.
    #[error("{at} took longer than {} s to {step}", patience.as_secs())]
    Slow {
        /// Who.
        at: String,
        /// What it was to do.
        step: &'static str,
        /// How long it had.
        patience: Duration,
    },
    /// The protocol does not lead to TLS.
    #[error("{at} does not lead to TLS by {starttls}: {problem}")]
    NotStarted {
        /// Who.
        at: String,
        /// By which protocol it was asked.
        starttls: StartTls,
        /// What it did instead.
        problem: String,
    },
    /// The handshake ended before a certificate was shown.
    #[error("{at} speaks no TLS with us: {problem}")]
    NoTls {
        /// Who.
        at: String,
        /// What it did instead.
        problem: String,
    },
}

/// How long all looks for a host and its connection may take.
pub const CONNECT: Duration = Duration::from_secs(20);
/// How long one address may take.
const CONNECT_ADDRESS: Duration = Duration::from_secs(5);

/// Asks a server that is found by its name, perhaps by a proxy. Whoever calls it answers for whom is asked.
///
/// # Errors
/// When it can't be reached, or shows no certificate.
pub async fn host(
    outside: &Outside,
    host: &str,
    port: u16,
    asked: &Asked,
) -> Result<Presented, Unreached> {
    let at = format!("{host}:{port}");
    let connection = connected(&at, CONNECT, outside.connect(host, port, None)).await?;
    present(connection.stream, connection.to, asked).await
}

/// Asks a server that somebody else names, directly and at an address that may be asked. It has `patience` to take a connection.
///
/// # Errors
/// When it can't be reached, may not be, or shows no certificate.
pub async fn allowed(
    outside: &Outside,
    (host, port): (&str, u16),
    allowed: &Allowed,
    patience: Duration,
    asked: &Asked,
) -> Result<Presented, Unreached> {
    let at = format!("{host}:{port}");
    let connecting = outside.reach_directly(host, port, allowed);
    let stream = connected(&at, patience, connecting).await?;
    present(stream, at, asked).await
}

/// Asks a server at its address, such as a Pod's.
///
/// # Errors
/// When it can't be reached, or shows no certificate.
pub async fn address(address: SocketAddr, asked: &Asked) -> Result<Presented, Unreached> {
    let at = address.to_string();
    let stream = connected(&at, CONNECT_ADDRESS, TcpStream::connect(address)).await?;
    present(stream, at, asked).await
}

/// What comes of connecting, within a time.
async fn connected<T, E: Display>(
    at: &str,
    patience: Duration,
    connecting: impl Future<Output = Result<T, E>>,
) -> Result<T, Unreached> {
    match tokio::time::timeout(patience, connecting).await {
        Ok(connected) => connected.map_err(|problem| Unreached::Away {
            at: at.to_owned(),
            problem: format!("{problem:#}"),
        }),
        Err(_) => Err(Unreached::Slow {
            at: at.to_owned(),
            step: "take a connection",
            patience,
        }),
    }
}

async fn present(mut stream: TcpStream, at: String, asked: &Asked) -> Result<Presented, Unreached> {
    if let Some(starttls) = asked.starttls {
        starttls::begin(&mut stream, &at, starttls).await?;
    }
    handshake::present(stream, at, asked.name.clone()).await
}

#[cfg(test)]
mod tests;
