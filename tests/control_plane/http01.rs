//! The ways in for HTTP-01, made by the operator's own account and taken away again.

mod edits;
mod families;
mod path_types;
mod policies;
mod sweeps;
pub(crate) mod traefik;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use certwright::http01::front_door::Closed;
use certwright_core::http01::{Challenge, Refused};
use http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::Client;
use kube::api::DeleteParams;
use kube::client::Body;
use serde_json::json;
use tower::BoxError;

use crate::harness::Scene;
use world::{World, solver};

#[tokio::test]
async fn ways_in_are_made_follow_the_operator_and_go() {
    let scene = Scene::new("http01").await;
    let world = World::new(&scene).await;
    world.answers_at(&["198.51.100.7"], &["198.51.100.8"]).await;
    let owner = world.certificate("web").await;
    let solver = solver(json!({ "ingress": { "ingressClassName": "traefik" } }));
    let challenges = [("shop.example", "abc"), ("192.0.2.1", "def")]
        .map(|(identifier, token)| Challenge::new(identifier, token).unwrap());
    world.present(&owner, &solver, &challenges).await.unwrap();

    let services = world.labelled::<Service>().await;
    assert_eq!(services.len(), 1);
    assert_eq!(services[0].spec.as_ref().unwrap().selector, None);
    let ingresses = world.labelled::<Ingress>().await;
    assert_eq!(ingresses.len(), 2);
    world.leads_to(&["198.51.100.7"]).await;
    assert_eq!(world.records().await.len(), 1);

    // A replica becomes ready, then all of them go.
    world
        .answers_at(&["198.51.100.7", "198.51.100.8"], &[])
        .await;
    world.leads_to(&["198.51.100.7", "198.51.100.8"]).await;
    world.answers_at(&[], &[]).await;
    world.leads_to(&[]).await;

    // One answer was fetched: only the other's way is left, and what both need.
    world
        .present(&owner, &solver, &challenges[..1])
        .await
        .unwrap();
    let left = world.labelled::<Ingress>().await;
    let host = |ingress: &Ingress| ingress.spec.clone().unwrap().rules.unwrap()[0].host.clone();
    assert_eq!(
        left.iter().map(host).collect::<Vec<_>>(),
        [Some("shop.example".to_owned())]
    );

    world.door.clean_up(&owner).await.unwrap();
    world.is_clean().await;
    world.door.clean_up(&owner).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn what_was_made_goes_although_the_certificate_is_gone() {
    let scene = Scene::new("http01-gone").await;
    let world = World::new(&scene).await;
    world.answers_at(&["198.51.100.7"], &[]).await;
    let owner = world.certificate("web").await;
    let kept = world.certificate("kept").await;
    let solver = solver(json!({ "placement": "Operator", "ingress": {} }));
    let challenges = [Challenge::new("shop.example", "abc").unwrap()];
    world.present(&owner, &solver, &challenges).await.unwrap();
    world.present(&kept, &solver, &challenges).await.unwrap();
    assert_eq!(world.beside_operator().await, 2);
    scene
        .certificates()
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();

    // By a process that knows nothing but what is written down.
    let next = world.another_door(world.client.clone());
    assert_eq!(
        next.sweep(|certificate| *certificate == kept)
            .await
            .unwrap(),
        1
    );
    assert_eq!(world.beside_operator().await, 1);
    assert_eq!(next.sweep(|_| false).await.unwrap(), 1);
    world.is_clean().await;
    world.stop().await;
}

/// Whichever write is the last that a process gets through.
#[tokio::test]
async fn nothing_is_left_over_wherever_it_stops() {
    let scene = Scene::new("http01-stops").await;
    let world = World::new(&scene).await;
    world.answers_at(&["198.51.100.7"], &[]).await;
    let owner = world.certificate("web").await;
    world.users_ingress("web").await;
    let solvers = [
        json!({ "ingress": {} }),
        json!({ "ingress": { "name": "web" } }),
    ]
    .map(solver);
    let challenges = [Challenge::new("shop.example", "abc").unwrap()];
    let before = world.rules("web").await;
    for solver in &solvers {
        let mut writes = 0;
        loop {
            let door = world.another_door(stopping(&world.client, writes));
            let (presented, cleaned) = {
                let watching = door.watch();
                let acting = async {
                    let presented = World::present_at(&door, &owner, solver, &challenges).await;
                    (presented.is_ok(), door.clean_up(&owner).await.is_ok())
                };
                tokio::select! {
                    () = watching => unreachable!("it never comes back"),
                    outcome = acting => outcome,
                }
            };
            world.door.sweep(|_| false).await.unwrap();
            world.is_clean().await;
            assert_eq!(world.rules("web").await, before, "after {writes} writes");
            if presented && cleaned {
                break;
            }
            writes += 1;
            assert!(writes < 50, "it comes to an end");
        }
        assert!(writes > 4, "each write was the last one once");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_cluster_without_the_gateway_api_is_told_so_and_nothing_is_left_over() {
    let scene = Scene::new("http01-no-gateways").await;
    let world = World::new(&scene).await;
    world.answers_at(&["198.51.100.7"], &[]).await;
    let owner = world.certificate("web").await;
    let gateway = json!({ "gatewayHTTPRoute": { "parentRefs": [{ "name": "front" }] } });
    let challenge = Challenge::new("shop.example", "abc").unwrap();
    let closed = world.present(&owner, &solver(gateway), &[challenge]).await;
    assert!(matches!(closed, Err(Closed::NoHttpRoutes)), "{closed:?}");
    world.door.clean_up(&owner).await.unwrap();
    world.is_clean().await;
    world.stop().await;
}

#[tokio::test]
async fn a_tenants_issuer_makes_nothing_beside_the_operator() {
    let scene = Scene::new("http01-tenant").await;
    let world = World::new(&scene).await;
    world.answers_at(&["198.51.100.7"], &[]).await;
    let owner = world.certificate("web").await;
    let solver = solver(json!({ "placement": "Operator", "ingress": {} }));
    let challenges = [Challenge::new("shop.example", "abc").unwrap()];
    let refused = world.present_as(false, &owner, &solver, &challenges).await;
    assert!(matches!(refused, Err(Closed::Refused(Refused::Placement))));
    world.is_clean().await;
    world.stop().await;
}

/// A record that is nobody's work is left, and keeps nothing from being cleaned up.
#[tokio::test]
async fn a_record_that_cant_be_read_keeps_nothing_from_being_cleaned_up() {
    let scene = Scene::new("http01-unreadable").await;
    let world = World::new(&scene).await;
    world.answers_at(&["198.51.100.7"], &[]).await;
    let owner = world.certificate("web").await;
    let solver = solver(json!({ "ingress": {} }));
    let challenges = [Challenge::new("shop.example", "abc").unwrap()];
    world.present(&owner, &solver, &challenges).await.unwrap();
    scene
        .apply(&json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "http01-a", "namespace": scene.system,
                "labels": { scene.group.key("http01-solver"): "a" },
            },
            "data": { "record.json": "{}" },
        }))
        .await;
    assert_eq!(world.door.sweep(|_| false).await.unwrap(), 1);
    let left: Vec<ConfigMap> = world.records().await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].metadata.name.as_deref(), Some("http01-a"));
    world.stop().await;
}

/// A client whose writes fail after this many.
fn stopping(client: &Client, writes: usize) -> Client {
    let namespace = client.default_namespace().to_owned();
    let client = client.clone();
    let done = Arc::new(AtomicUsize::new(0));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (client, done) = (client.clone(), Arc::clone(&done));
        async move {
            if *request.method() != Method::GET && done.fetch_add(1, Ordering::SeqCst) >= writes {
                return Err(BoxError::from("stopped"));
            }
            Ok(client.send(request).await?)
        }
    });
    Client::new(service, namespace)
}
