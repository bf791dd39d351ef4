//! What the ACME act plays with besides the cluster: a CA, the way to it and back, and a page to show.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Context as _, bail};
use certwright_test_cluster::{FrontDoor, OwnAddresses, Pebble, Ways, free_ports};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The CA, and where everybody is found.
#[derive(Debug)]
pub(crate) struct Front {
    /// The CA. It asks whatever name it is to prove at Traefik's port.
    pub(crate) pebble: Pebble,
    /// Traefik.
    pub(crate) door: FrontDoor,
    /// Where the operator is to answer the CA's questions.
    pub(crate) answers: SocketAddr,
    /// Where the page is.
    pub(crate) page: SocketAddr,
    _address: Address,
}

impl Front {
    /// Starts the CA and the page.
    pub(crate) async fn start(door: FrontDoor) -> anyhow::Result<Self> {
        let address = Address::take()?;
        let ways = Ways {
            http_port: door.http().port(),
            ..Ways::default()
        };
        let pebble = Pebble::start(ways).await.context("Pebble did not start")?;
        let [answers] = free_ports().context("found no free port for the operator's answers")?;
        let page = tokio::net::TcpListener::bind((address.ip(), 0))
            .await
            .context("found no free port")?;
        let front = Self {
            pebble,
            door,
            answers: SocketAddr::from((address.ip(), answers)),
            page: page.local_addr().context("found no free port")?,
            _address: address,
        };
        tokio::spawn(show(page));
        Ok(front)
    }
}

/// An address that EndpointSlices take, which those of loopback are not.
#[derive(Debug)]
enum Address {
    /// One that only this machine knows.
    Own(OwnAddresses),
    /// One that this machine has anyhow.
    Found(Ipv4Addr),
}

impl Address {
    /// As root one for the demo alone, and otherwise that by which this machine reaches others.
    fn take() -> anyhow::Result<Self> {
        if let Ok(own) = OwnAddresses::take() {
            return Ok(Self::Own(own));
        }
        // Nothing is sent: the system only says which of its addresses it would take.
        let found = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
            socket.connect((ELSEWHERE, 9))?;
            socket.local_addr()
        });
        match found.map(|found| found.ip()) {
            Ok(IpAddr::V4(ip)) if !ip.is_loopback() && !ip.is_unspecified() => Ok(Self::Found(ip)),
            _ => bail!(
                "the act with the ACME CA needs an IPv4 address of this machine besides 127.0.0.1, as Kubernetes leads \
                 no Service there. It has none; as root, the demo takes one for itself"
            ),
        }
    }

    fn ip(&self) -> Ipv4Addr {
        match self {
            Self::Own(own) => own.ipv4(),
            Self::Found(ip) => *ip,
        }
    }
}

/// Answers every request with the same page, for as long as the demo runs.
async fn show(listener: tokio::net::TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            // Nothing depends on what is asked, or on whether the answer arrives.
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{PAGE}",
                PAGE.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}

/// What the page says.
pub(crate) const PAGE: &str = "Welcome to the shop.\n";
/// An address for documentation, which nobody has.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
