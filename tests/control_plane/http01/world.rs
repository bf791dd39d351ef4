//! A front door in a scene, run by the operator's account with the rights that are shipped.

use std::fmt::Debug;
use std::sync::Arc;

use certwright::cluster::leadership::Leadership;
use certwright::http01::front_door::{Closed, FrontDoor, Presented};
use certwright_core::api::issuer::Http01;
use certwright_core::http01::{Challenge, Operator, Owner};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressRule};
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::{Scene, eventually};

const SERVICE: &str = "answers";

pub(crate) struct World<'s, 'c> {
    pub(crate) scene: &'s Scene<'c>,
    /// That of the operator's account.
    pub(crate) client: Client,
    pub(crate) door: Arc<FrontDoor>,
    /// The port of the operator's replicas.
    port: u16,
    tasks: Vec<JoinHandle<()>>,
}

pub(crate) fn solver(value: Value) -> Http01 {
    serde_json::from_value(value).unwrap()
}

impl<'s, 'c> World<'s, 'c> {
    pub(crate) async fn new(scene: &'s Scene<'c>) -> Self {
        Self::answering(scene, 8089).await
    }

    /// One whose operator answers at this port.
    pub(crate) async fn answering(scene: &'s Scene<'c>, port: u16) -> Self {
        scene
            .apply(&json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": { "name": SERVICE, "namespace": scene.system },
                "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": port }] },
            }))
            .await;
        let account = scene
            .cluster
            .service_account_client(&scene.system, &scene.account)
            .await
            .unwrap();
        let door = Arc::new(open(scene, account.clone(), port));
        let (watching, following) = (Arc::clone(&door), Arc::clone(&door));
        let tasks = vec![
            tokio::spawn(async move { watching.watch().await }),
            tokio::spawn(async move { following.follow(&Leadership::undisputed()).await }),
        ];
        Self {
            scene,
            client: account,
            door,
            port,
            tasks,
        }
    }

    /// As another process would have it. It watches nothing yet.
    pub(crate) fn another_door(&self, client: Client) -> FrontDoor {
        open(self.scene, client, self.port)
    }

    pub(crate) async fn stop(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }

    /// Has the operator's own Service lead to these addresses of one family, as its controller would; those of the other stay.
    pub(crate) async fn answers_at(&self, ready: &[&str], unready: &[&str]) {
        let system = &self.scene.system;
        let endpoint = |address: &&str, ready: bool| json!({ "addresses": [address], "conditions": { "ready": ready } });
        let is_ipv6 = ready
            .iter()
            .chain(unready)
            .any(|address| address.contains(':'));
        let ready = ready.iter().map(|address| endpoint(address, true));
        let unready = unready.iter().map(|address| endpoint(address, false));
        let endpoints: Vec<Value> = ready.chain(unready).collect();
        let family = if is_ipv6 { "IPv6" } else { "IPv4" };
        self.scene
            .apply(&json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "name": format!("answers-{}", family.to_lowercase()), "namespace": system,
                    "labels": { "kubernetes.io/service-name": SERVICE },
                },
                "addressType": family,
                "endpoints": endpoints,
                "ports": [{ "name": "http", "port": self.port }],
            }))
            .await;
    }

    pub(crate) async fn certificate(&self, name: &str) -> Owner {
        let spec = json!({ "dnsNames": ["shop.example"] });
        self.scene.certificate(name, spec).await;
        let certificate = self.scene.certificates().get(name).await.unwrap();
        Owner {
            namespace: self.scene.namespace.clone(),
            name: name.to_owned(),
            uid: certificate.uid().unwrap(),
        }
    }

    pub(crate) async fn present(
        &self,
        owner: &Owner,
        solver: &Http01,
        challenges: &[Challenge],
    ) -> Result<(), Closed> {
        Self::present_at(&self.door, owner, solver, challenges).await
    }

    pub(crate) async fn present_at(
        door: &FrontDoor,
        owner: &Owner,
        solver: &Http01,
        challenges: &[Challenge],
    ) -> Result<(), Closed> {
        let presented = Presented {
            solver,
            trusted: true,
            challenges,
        };
        door.present(owner, &[presented]).await
    }

    pub(crate) async fn present_as(
        &self,
        trusted: bool,
        owner: &Owner,
        solver: &Http01,
        challenges: &[Challenge],
    ) -> Result<(), Closed> {
        let presented = Presented {
            solver,
            trusted,
            challenges,
        };
        self.door.present(owner, &[presented]).await
    }

    /// Objects with the label in the user's namespace.
    pub(crate) async fn labelled<K>(&self) -> Vec<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        self.labelled_in(&self.scene.namespace).await
    }

    async fn labelled_in<K>(&self, namespace: &str) -> Vec<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::namespaced(self.scene.client.clone(), namespace);
        let label = self.scene.group.key("http01-solver");
        api.list(&ListParams::default().labels(&label))
            .await
            .unwrap()
            .items
    }

    pub(crate) async fn records(&self) -> Vec<ConfigMap> {
        self.labelled_in(&self.scene.system).await
    }

    /// How many Ingresses stand beside the operator's Service.
    pub(crate) async fn beside_operator(&self) -> usize {
        self.labelled_in::<Ingress>(&self.scene.system).await.len()
    }

    /// Nothing carries the label, and nothing is written down.
    pub(crate) async fn is_clean(&self) {
        for namespace in [&self.scene.namespace, &self.scene.system] {
            let left = [
                names(&self.labelled_in::<Service>(namespace).await),
                names(&self.labelled_in::<EndpointSlice>(namespace).await),
                names(&self.labelled_in::<Ingress>(namespace).await),
                names(&self.labelled_in::<ConfigMap>(namespace).await),
            ];
            assert_eq!(left.concat(), [""; 0], "{namespace}");
        }
    }

    /// Waits until the made slices hold these addresses and no others.
    pub(crate) async fn leads_to(&self, addresses: &[&str]) {
        eventually("the slices follow the operator", async || {
            let slices: Vec<EndpointSlice> = self.labelled().await;
            let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
            let found: Vec<&str> = endpoints
                .flat_map(|endpoint| endpoint.addresses.iter().map(String::as_str))
                .collect();
            if !slices.is_empty() && found == addresses {
                Ok(())
            } else {
                Err(format!("{} slices with {found:?}", slices.len()))
            }
        })
        .await;
    }

    /// Makes an Ingress of the user's own, for `shop.example`.
    pub(crate) async fn users_ingress(&self, name: &str) {
        self.scene
            .apply(&json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": {
                    "name": name, "namespace": self.scene.namespace, "annotations": { "note": "mine" },
                },
                "spec": {
                    "tls": [{ "hosts": ["shop.example"], "secretName": "web-tls" }],
                    "rules": [{ "host": "shop.example", "http": { "paths": [{
                        "path": "/", "pathType": "Prefix",
                        "backend": { "service": { "name": "shop", "port": { "name": "http" } } },
                    }] } }],
                },
            }))
            .await;
    }

    pub(crate) async fn rules(&self, ingress: &str) -> Vec<IngressRule> {
        let ingress: Ingress = self.scene.api().get(ingress).await.unwrap();
        ingress.spec.unwrap().rules.unwrap_or_default()
    }
}

fn open(scene: &Scene<'_>, client: Client, port: u16) -> FrontDoor {
    let operator = Operator {
        namespace: scene.system.clone(),
        service: SERVICE.to_owned(),
        port,
    };
    FrontDoor::new(client, scene.group.clone(), operator)
}

fn names<K: ResourceExt>(objects: &[K]) -> Vec<String> {
    objects.iter().map(ResourceExt::name_any).collect()
}
