//! Which addresses are a namespace's own: those of its Pods, and of Services that lead to its Pods alone.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::IpAddr;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tracing::debug;

use super::call;
use crate::error::{Error, Object};
use crate::outside::Own;

/// The most objects that one answer of the API server carries.
const PAGE: u32 = 500;

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
        let pods: BTreeSet<IpAddr> = self
            .list::<Pod>("Pods", ListParams::default())
            .await?
            .iter()
            .flat_map(of_pod)
            .collect();
        if pods.contains(&address) {
            return Ok(true);
        }
        let services = self
            .list::<Service>("Services", ListParams::default())
            .await?;
        let Some(service) = services.iter().find(|service| is_at(service, address)) else {
            return Ok(false);
        };
        let of_service = format!("kubernetes.io/service-name={}", service.name_any());
        let slices = self
            .list::<EndpointSlice>("EndpointSlices", ListParams::default().labels(&of_service))
            .await?;
        let mut endpoints = slices
            .iter()
            .flat_map(|slice| &slice.endpoints)
            .flat_map(|endpoint| &endpoint.addresses)
            .map(|address| address.parse().ok())
            .peekable();
        let some = endpoints.peek().is_some();
        Ok(some && endpoints.all(|endpoint| endpoint.is_some_and(|one| pods.contains(&one))))
    }

    async fn list<K>(&self, kind: &'static str, mut asked: ListParams) -> Result<Vec<K>, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        asked.limit = Some(PAGE);
        let mut found = Vec::new();
        loop {
            let page = call(api.list(&asked)).await.map_err(|source| Error::Read {
                object: Object::new(kind, "", &self.namespace),
                source,
            })?;
            found.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => asked.continue_token = Some(token),
                None => return Ok(found),
            }
        }
    }
}

impl Own for OwnAddresses {
    fn holds(&self, address: IpAddr) -> BoxFuture<'_, bool> {
        async move {
            self.look(address).await.unwrap_or_else(|problem| {
                debug!(problem = problem.told(), "Can't tell whose an address is");
                false
            })
        }
        .boxed()
    }
}

/// The addresses that a Pod alone has: not those of its node, and not those that went back when it had ended.
fn of_pod(pod: &Pod) -> Vec<IpAddr> {
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
