//! Which addresses are a namespace's own: those of its Pods, and of Services that lead to its Pods alone.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use anyhow::anyhow;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Client, ResourceExt as _};

use super::listed;
use crate::error::Error;
use crate::outside::Addresses;

/// The addresses of a namespace, as the API server says when it is asked.
pub struct OwnAddresses {
    client: Client,
    namespace: String,
}

impl OwnAddresses {
    /// Those of this namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
        }
    }

    /// Whether the address is a Pod's, or a Service's each endpoint of which is a Pod's.
    ///
    /// # Errors
    /// When the API server can't say.
    async fn look(&self, address: IpAddr) -> Result<bool, Error> {
        let (client, namespace) = (&self.client, &self.namespace);
        let all = ListParams::default;
        let pods = listed(client, namespace, "Pods", all(), of_pod).await?;
        let pods: BTreeSet<IpAddr> = pods.into_iter().collect();
        if pods.contains(&address) {
            return Ok(true);
        }
        let named = |service: Service| is_at(&service, address).then(|| service.name_any());
        let services = listed(client, namespace, "Services", all(), named).await?;
        let Some(service) = services.first() else {
            return Ok(false);
        };
        let of_service = all().labels(&format!("kubernetes.io/service-name={service}"));
        let addresses = |slice: EndpointSlice| {
            let all = slice.endpoints.into_iter().flat_map(|one| one.addresses);
            all.map(|address| address.parse().ok()).collect::<Vec<_>>()
        };
        let endpoints: Vec<Option<IpAddr>> =
            listed(client, namespace, "EndpointSlices", of_service, addresses).await?;
        let is_own = |one: &Option<IpAddr>| one.is_some_and(|one| pods.contains(&one));
        Ok(!endpoints.is_empty() && endpoints.iter().all(is_own))
    }
}

impl Addresses for OwnAddresses {
    fn hold(&self, address: SocketAddr) -> BoxFuture<'_, anyhow::Result<bool>> {
        async move {
            let looked = self.look(address.ip()).await;
            looked.map_err(|problem| anyhow!(problem.told()))
        }
        .boxed()
    }
}

/// The addresses that a Pod alone has: not those of its node, and not those that went back when it had ended.
fn of_pod(pod: Pod) -> Vec<IpAddr> {
    let on_host = pod.spec.as_ref().and_then(|spec| spec.host_network);
    let Some(status) = pod.status.as_ref().filter(|_| on_host != Some(true)) else {
        return Vec::new();
    };
    let phase = status.phase.as_deref();
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return Vec::new();
    }
    let all = status.pod_ips.iter().flatten();
    all.filter_map(|address| address.ip.parse().ok()).collect()
}

fn is_at(service: &Service, address: IpAddr) -> bool {
    let spec = service.spec.as_ref();
    let addresses = spec.and_then(|spec| spec.cluster_ips.as_ref());
    let mut addresses = addresses.into_iter().flatten();
    addresses.any(|text| text.parse() == Ok(address))
}
