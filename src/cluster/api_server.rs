//! Where the API server is, which nobody who names servers is led to.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Uri;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::ListParams;
use tokio::net::lookup_host;

use super::{CALL_TIMEOUT, listed};
use crate::error::Error;
use crate::outside::{Addresses, is_public};

/// The Service that every cluster reaches its API server by, and its namespace.
const SERVICE: (&str, &str) = ("kubernetes", "default");
/// How long an answer counts. API servers come and go with the machines that they run on.
const FRESH: Duration = Duration::from_secs(10);

/// The addresses and ports of the API server: where we reach it, its Service, and what that leads to.
pub struct ApiServer {
    client: Client,
    /// How we reach it.
    host: String,
    port: u16,
    /// What the cluster said, and when.
    said: Mutex<Option<(Instant, Arc<BTreeSet<SocketAddr>>)>>,
}

impl ApiServer {
    /// The one that this client reaches at this URL.
    pub fn new(client: Client, url: &Uri) -> Self {
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        let plain = url.scheme_str() == Some("http");
        Self {
            client,
            host: host.to_owned(),
            port: url.port_u16().unwrap_or(if plain { 80 } else { 443 }),
            said: Mutex::default(),
        }
    }

    async fn look(&self, address: SocketAddr) -> anyhow::Result<bool> {
        let found = tokio::time::timeout(CALL_TIMEOUT, lookup_host((&*self.host, self.port))).await;
        let found = found.map_err(anyhow::Error::from);
        let mut reached = found
            .and_then(|found| Ok(found?))
            .with_context(|| format!("failed to look up the API server {}", self.host))?;
        if reached.any(|one| one == address) {
            return Ok(true);
        }
        match self.said().await {
            Ok(said) => Ok(said.contains(&address)),
            // Everybody reaches what is public, and somebody with rights in a few namespaces may have public CAs asked.
            Err(_) if is_public(address.ip()) => Ok(false),
            Err(problem) => Err(anyhow!(problem.told())),
        }
    }

    /// What the cluster says, or said a moment ago.
    async fn said(&self) -> Result<Arc<BTreeSet<SocketAddr>>, Error> {
        let lock = || self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().clone();
        if let Some((_, said)) = known.filter(|(read, _)| read.elapsed() < FRESH) {
            return Ok(said);
        }
        let read = Instant::now();
        let said = Arc::new(self.ask().await?);
        *lock() = Some((read, Arc::clone(&said)));
        Ok(said)
    }

    async fn ask(&self) -> Result<BTreeSet<SocketAddr>, Error> {
        let (name, namespace) = SERVICE;
        let named = ListParams::default().fields(&format!("metadata.name={name}"));
        let service = listed(&self.client, namespace, "Services", named, of_service).await?;
        let labelled = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
        let slices = listed(
            &self.client,
            namespace,
            "EndpointSlices",
            labelled,
            of_slice,
        )
        .await?;
        Ok(service.into_iter().chain(slices).collect())
    }
}

impl Addresses for ApiServer {
    fn hold(&self, address: SocketAddr) -> BoxFuture<'_, anyhow::Result<bool>> {
        self.look(address).boxed()
    }
}

fn of_service(service: Service) -> Vec<SocketAddr> {
    let spec = service.spec.unwrap_or_default();
    let ports = spec.ports.iter().flatten().map(|port| port.port);
    pairs(spec.cluster_ips.iter().flatten(), ports)
}

fn of_slice(slice: EndpointSlice) -> Vec<SocketAddr> {
    let ports = slice.ports.iter().flatten().filter_map(|port| port.port);
    pairs(slice.endpoints.iter().flat_map(|one| &one.addresses), ports)
}

/// Each of these addresses with each of these ports.
fn pairs<'a>(
    addresses: impl Iterator<Item = &'a String>,
    ports: impl Iterator<Item = i32> + Clone,
) -> Vec<SocketAddr> {
    let ports = ports.filter_map(|port| u16::try_from(port).ok());
    addresses
        .filter_map(|text| text.parse::<IpAddr>().ok())
        .flat_map(|address| {
            ports
                .clone()
                .map(move |port| SocketAddr::new(address, port))
        })
        .collect()
}
