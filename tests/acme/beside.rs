//! Ways in beside the operator's own Service, for front doors that lead to nothing in other namespaces.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::operator::{NAME, World, eventually, held};

const OTHER: &str = "other.example.com";

/// In which namespaces there were objects for HTTP-01, of which kind.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<BTreeSet<(&'static str, String)>>>);

impl Seen {
    /// Follows a kind from now on.
    pub(crate) fn follow<K>(&self, kind: &'static str, api: Api<K>) -> JoinHandle<()>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let seen = Arc::clone(&self.0);
        let config = watcher::Config::default().labels("certwright.dev/http01-solver");
        tokio::spawn(async move {
            let mut events = watcher(api, config).boxed();
            while let Some(event) = events.next().await {
                if let Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) = event
                {
                    let namespace = object.namespace().unwrap();
                    seen.lock().unwrap().insert((kind, namespace));
                }
            }
        })
    }

    /// What there was so far.
    pub(crate) fn all(&self) -> BTreeSet<(&'static str, String)> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until all this was there, and nothing else.
    async fn comes_to(&self, expected: &[(&'static str, &str)]) {
        let expected: BTreeSet<_> = expected
            .iter()
            .map(|(kind, namespace)| (*kind, (*namespace).to_owned()))
            .collect();
        eventually("what was made was seen", async || {
            let seen = self.all();
            match seen == expected {
                true => Ok(()),
                false => Err(format!("{seen:?}")),
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_cluster_issuers_ways_in_stand_beside_the_operator_where_it_says_so() {
    let world = World::behind_traefik().await;
    let door = world.control_plane.front_door().unwrap();
    world
        .apply(&json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "certwright-http01", "namespace": "certwright" },
            "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": world.answers.port() }] },
        }))
        .await;
    world
        .apply(&json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": { "name": "front", "namespace": "certwright" },
            "spec": {
                "gatewayClassName": door.class(),
                "listeners": [{
                    "name": "http", "protocol": "HTTP", "port": door.http().port(),
                    "allowedRoutes": { "namespaces": { "from": "Same" } },
                }],
            },
        }))
        .await;
    let seen = Seen::default();
    let route = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let route = ApiResource::from_gvk(&route);
    let routes: Api<DynamicObject> = Api::all_with(world.client.clone(), &route);
    let watches = [
        seen.follow::<Service>("Service", Api::all(world.client.clone())),
        seen.follow::<Ingress>("Ingress", Api::all(world.client.clone())),
        seen.follow("HTTPRoute", routes.clone()),
    ];

    let ingress =
        json!({ "placement": "Operator", "ingress": { "ingressClassName": door.class() } });
    world.shares_by(json!({ "http01": ingress })).await;
    world.shares_certificate("shop", "web", NAME).await;
    let (_, first) = held(&world.ready("web", 1).await);
    assert!(first[0].names.dns.contains(NAME));
    seen.comes_to(&[("Ingress", "certwright")]).await;

    let gateway = json!({ "placement": "Operator", "gatewayHTTPRoute": {
        "parentRefs": [{ "name": "front", "namespace": "certwright" }],
    } });
    world.shares_by(json!({ "http01": gateway })).await;
    // Another name: what was shown for the first may be used again.
    world.shares_certificate("shop", "other", OTHER).await;
    let (_, second) = held(&world.ready("other", 1).await);
    assert!(second[0].names.dns.contains(OTHER));
    let both = [("HTTPRoute", "certwright"), ("Ingress", "certwright")];
    seen.comes_to(&both).await;
    world.is_tidy().await;
    eventually("nothing is left beside the operator", async || {
        let left = routes.list(&Default::default()).await.unwrap().items;
        let ways = world.ways_in("certwright").await;
        match left.is_empty() && ways.is_empty() {
            true => Ok(()),
            false => Err(format!("{left:?} {ways:?}")),
        }
    })
    .await;
    for watch in watches {
        watch.abort();
    }
}
