//! Traefik between Pebble and the operator, and then between visitors and what was issued: one front door for both.
//!
//! The operator looks by itself before Pebble does, at port 80 of an address that its `/etc/hosts` has for the name.

use std::net::SocketAddr;

use certwright_core::pki::Facts;
use certwright_test_cluster::{FrontDoor, Visit, visit};
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::operator::{NAME, World, eventually, held};

/// Visits the shop until the front door shows this certificate; what was seen then.
async fn visited(world: &World, door: FrontDoor, leaf: &Facts) -> Visit {
    let root = world.pebble.server.root().await.unwrap();
    let at = SocketAddr::from(door.https());
    eventually("Traefik serves what was issued", async || {
        let seen = visit(at, NAME, &root)
            .await
            .map_err(|problem| format!("{problem:#}\n{}", world.log()))?;
        if seen
            .chain
            .first()
            .is_some_and(|shown| leaf.der.as_ref() == shown)
        {
            Ok(seen)
        } else {
            Err("it serves another certificate".to_owned())
        }
    })
    .await
}

/// A certificate comes in by the front door, and goes out there; so does the next one.
async fn is_issued_through_and_served_by(world: &World, door: FrontDoor, solver: Value) {
    world.issuer_that_solves_by(solver).await;
    world.certificate("web", &[NAME]).await;
    let (_, issued) = held(&world.ready("web", 1).await);
    let first = visited(world, door, &issued[0]).await;
    // The whole chain below the root, which nobody sends.
    let held_chain: Vec<_> = issued.iter().map(|facts| facts.der.to_vec()).collect();
    assert_eq!(first.chain, held_chain);
    assert!(issued.len() > 1, "with an intermediate");
    assert!(first.answer.starts_with("HTTP/1.1 "), "{}", first.answer);
    world.is_tidy().await;

    world.renew("web").await;
    let (_, renewed) = held(&world.ready("web", 2).await);
    assert_ne!(renewed[0].der, issued[0].der);
    visited(world, door, &renewed[0]).await;
    world.is_tidy().await;
}

#[tokio::test]
async fn traefik_lets_the_ca_in_by_ingress_and_serves_what_was_issued() {
    let world = World::behind_traefik().await;
    let door = world.control_plane.front_door().unwrap();
    // There before its Secret is.
    world
        .apply(&json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": { "name": "shop", "namespace": "shop" },
            "spec": {
                "ingressClassName": door.class(),
                "tls": [{ "hosts": [NAME], "secretName": "web-tls" }],
                "rules": [{ "host": NAME, "http": { "paths": [{
                    "path": "/", "pathType": "Prefix",
                    "backend": { "service": { "name": "shop", "port": { "number": 80 } } },
                }] } }],
            },
        }))
        .await;
    let solver = json!({ "http01": { "ingress": { "ingressClassName": door.class() } } });
    is_issued_through_and_served_by(&world, door, solver).await;
}

#[tokio::test]
async fn traefik_lets_the_ca_in_by_gateway_api_and_serves_what_was_issued() {
    let world = World::behind_traefik().await;
    let door = world.control_plane.front_door().unwrap();
    let listener = |name: &str, protocol: &str, port: u16| {
        json!({
            "name": name, "protocol": protocol, "port": port,
            "allowedRoutes": { "namespaces": { "from": "Same" } },
        })
    };
    let mut secure = listener("https", "HTTPS", door.https().port());
    secure["hostname"] = NAME.into();
    secure["tls"] = json!({ "certificateRefs": [{ "name": "web-tls" }] });
    world
        .apply(&json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": { "name": "front", "namespace": "shop" },
            "spec": {
                "gatewayClassName": door.class(),
                "listeners": [listener("http", "HTTP", door.http().port()), secure],
            },
        }))
        .await;
    world
        .apply(&json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": "shop", "namespace": "shop" },
            "spec": {
                "parentRefs": [{ "name": "front", "sectionName": "https" }],
                "hostnames": [NAME],
                "rules": [{ "backendRefs": [{ "name": "shop", "port": 80 }] }],
            },
        }))
        .await;
    let parent = json!({ "name": "front", "sectionName": "http" });
    let solver = json!({ "http01": { "gatewayHTTPRoute": { "parentRefs": [parent] } } });
    is_issued_through_and_served_by(&world, door, solver).await;
    // And of routes only the user's own.
    let route = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let route = ApiResource::from_gvk(&route);
    let routes: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), "shop", &route);
    let left = routes.list(&ListParams::default()).await.unwrap();
    let left: Vec<_> = left.iter().map(ResourceExt::name_any).collect();
    assert_eq!(left, ["shop"]);
}
