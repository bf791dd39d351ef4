//! The Services that lead to a workload's Pods alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use certwright_core::api::certificate::CallPort;
use certwright_core::rollout::Callee;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ListParams;
use kube::{Client, ResourceExt as _};

use crate::cluster::listed;
use crate::error::Error;

/// The label by which an EndpointSlice names its Service (Kubernetes, "EndpointSlices").
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// How many Services of a workload are looked at.
const SERVICES: usize = 8;

/// A Service with an address of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) address: IpAddr,
    pub(super) ports: Vec<ServicePort>,
    selector: BTreeMap<String, String>,
}

/// One of its TCP ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServicePort {
    pub(super) number: u16,
    /// The Pods' port that it leads to.
    pub(super) target: CallPort,
}

/// The Services of a namespace, and where each leads.
#[derive(Debug, Default)]
pub(super) struct Services {
    all: Vec<Service>,
    /// The addresses of each, by its name; `None` for what is none.
    endpoints: BTreeMap<String, BTreeSet<Option<IpAddr>>>,
}

impl Services {
    /// Reads those of a namespace.
    ///
    /// # Errors
    /// When the API server doesn't show them all.
    pub(super) async fn read(client: &Client, namespace: &str) -> Result<Self, Error> {
        let all = ListParams::default;
        let services = listed(client, namespace, "Services", all(), Service::of).await?;
        if services.is_empty() {
            return Ok(Self::default());
        }
        let addresses = |slice: EndpointSlice| {
            let service = slice.labels().get(SERVICE_NAME).cloned();
            let addresses = slice.endpoints.into_iter().flat_map(|one| one.addresses);
            let addresses: Vec<Option<IpAddr>> =
                addresses.map(|address| address.parse().ok()).collect();
            service.map(|service| (service, addresses))
        };
        let slices = listed(client, namespace, "EndpointSlices", all(), addresses).await?;
        let mut endpoints: BTreeMap<String, BTreeSet<Option<IpAddr>>> = BTreeMap::new();
        for (service, addresses) in slices {
            endpoints.entry(service).or_default().extend(addresses);
        }
        Ok(Self {
            all: services,
            endpoints,
        })
    }

    /// Those that lead to these Pods, and nowhere else.
    pub(super) fn leading_to(&self, callees: &[Callee]) -> Vec<Service> {
        let own = callees.iter().map(|callee| callee.address);
        let own: BTreeSet<Option<IpAddr>> = own.filter(Option::is_some).collect();
        let selects = |service: &Service, callee: &Callee| {
            let mut wanted = service.selector.iter();
            wanted.all(|(key, value)| callee.labels.get(key) == Some(value))
        };
        let leads = |service: &&Service| {
            let endpoints = self.endpoints.get(&service.name);
            callees.iter().any(|callee| selects(service, callee))
                && endpoints.is_some_and(|all| !all.is_empty() && all.is_subset(&own))
        };
        let leading = self.all.iter().filter(leads);
        leading.take(SERVICES).cloned().collect()
    }
}

impl Service {
    fn of(service: core::Service) -> Option<Self> {
        let name = service.name_any();
        let spec = service.spec?;
        let selector = spec.selector.filter(|selector| !selector.is_empty())?;
        // A headless one has none: who asks for it is led to the Pods themselves.
        let address = spec.cluster_ip?.parse().ok()?;
        let ports = spec.ports.into_iter().flatten();
        let ports = ports
            .filter(|port| port.protocol.as_deref().is_none_or(|name| name == "TCP"))
            .filter_map(|port| {
                let number = u16::try_from(port.port).ok()?;
                let target = match port.target_port {
                    None => CallPort::Number(number),
                    Some(IntOrString::Int(target)) => CallPort::Number(u16::try_from(target).ok()?),
                    Some(IntOrString::String(name)) => CallPort::Name(name),
                };
                Some(ServicePort { number, target })
            });
        Some(Self {
            name,
            address,
            ports: ports.collect(),
            selector,
        })
    }
}

#[cfg(test)]
mod tests {
    use certwright_core::rollout::{Pod, Workload, WorkloadKind};
    use serde_json::{Value, json};

    use super::*;

    fn callees(addresses: &[&str]) -> Vec<Callee> {
        let object = json!({
            "metadata": { "name": "web", "namespace": "shop", "uid": "u" },
            "spec": { "selector": { "matchLabels": { "app": "web" } } },
        });
        let workload = Workload::from_object(WorkloadKind::StatefulSet, &object);
        let owner = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "u", "controller": true });
        let pods = addresses.iter().map(|address| {
            let pod = json!({
                "metadata": { "name": address, "labels": { "app": "web", "tier": "front" }, "ownerReferences": [owner] },
                "status": { "conditions": [{ "type": "Ready", "status": "True" }], "podIPs": [{ "ip": address }] },
            });
            serde_json::from_value::<Pod>(pod).unwrap()
        });
        Callee::of(&workload, &pods.collect::<Vec<_>>()).collect()
    }

    fn service(name: &str, spec: Value) -> Option<Service> {
        let object = json!({ "metadata": { "name": name }, "spec": spec });
        Service::of(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn only_services_that_lead_to_these_pods_alone_are_looked_at() {
        let spec = json!({ "clusterIP": "10.96.0.7", "selector": { "app": "web" }, "ports": [{ "port": 443 }] });
        let all =
            ["own", "wider", "empty", "unknown"].map(|name| service(name, spec.clone()).unwrap());
        let other = json!({ "clusterIP": "10.96.0.8", "selector": { "app": "api" }, "ports": [{ "port": 443 }] });
        let address = |text: &str| Some(text.parse().unwrap());
        let services = Services {
            all: all.into_iter().chain(service("other", other)).collect(),
            endpoints: BTreeMap::from([
                ("own".to_owned(), BTreeSet::from([address("10.0.0.1")])),
                (
                    "wider".to_owned(),
                    BTreeSet::from([address("10.0.0.1"), address("10.0.0.9")]),
                ),
                ("empty".to_owned(), BTreeSet::new()),
                ("unknown".to_owned(), BTreeSet::from([None])),
                ("other".to_owned(), BTreeSet::from([address("10.0.0.1")])),
            ]),
        };
        let names = |callees: &[Callee]| {
            let leading = services.leading_to(callees);
            leading
                .into_iter()
                .map(|service| service.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&callees(&["10.0.0.1", "10.0.0.2"])), ["own"]);
        assert_eq!(names(&callees(&["10.0.0.2"])), Vec::<String>::new());
        assert_eq!(names(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_service_without_an_address_or_a_selector_leads_nowhere() {
        let selector = json!({ "app": "web" });
        assert_eq!(
            service(
                "headless",
                json!({ "clusterIP": "None", "selector": selector })
            ),
            None
        );
        assert_eq!(service("bare", json!({ "clusterIP": "10.96.0.7" })), None);
        assert_eq!(
            service(
                "named",
                json!({ "type": "ExternalName", "externalName": "example.com" })
            ),
            None
        );
        let ports = json!([
            { "port": 443, "targetPort": "https" },
            { "port": 8443, "targetPort": 9443 },
            { "port": 80 },
            { "port": 53, "protocol": "UDP" },
        ]);
        let spec = json!({ "clusterIP": "10.96.0.7", "selector": selector, "ports": ports });
        let targets = service("web", spec).unwrap().ports.into_iter();
        let targets: Vec<_> = targets
            .map(|port| (port.number, port.target.to_string()))
            .collect();
        let wanted = [(443, "https"), (8443, "9443"), (80, "80")];
        assert_eq!(
            targets,
            wanted.map(|(number, target)| (number, target.to_owned()))
        );
    }
}
