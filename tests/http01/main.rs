//! HTTP-01 through a real front door: Traefik in front of the operator's responder, led there by what the operator makes.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is tests, also what is outside their functions"
)]

mod scene;

use certwright_core::http01::{Endpoints, Outcome};
use certwright_test_cluster::OwnAddresses;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

use scene::{ANSWER, Family, Scene, TOKEN, eventually};

#[tokio::test]
async fn an_ingress_of_a_class_leads_to_the_answer_and_is_taken_away() {
    let scene = Scene::new("by-class", Family::Ipv4).await;
    assert_eq!(
        scene.ask(&scene.host).await.0,
        404,
        "nothing leads there yet"
    );

    let solver = json!({ "ingress": { "ingressClassName": scene.class() } });
    scene.present(&solver).await.unwrap();
    scene.is_answered().await;
    assert_eq!(
        scene.ask("elsewhere.example").await.0,
        404,
        "the token is for one host"
    );

    scene.clean_up().await;
}

#[tokio::test]
async fn an_ingress_with_the_class_as_an_annotation_leads_to_the_answer() {
    let scene = Scene::new("by-annotation", Family::Ipv4).await;
    let solver = json!({ "ingress": { "class": scene.class() } });
    scene.present(&solver).await.unwrap();
    scene.is_answered().await;
    scene.clean_up().await;
}

#[tokio::test]
async fn an_ingress_of_the_users_is_lent_and_given_back_as_it_was() {
    let scene = Scene::new("lent", Family::Ipv4).await;
    let users: Ingress = serde_json::from_value(json!({
        "metadata": { "name": "web" },
        "spec": { "ingressClassName": scene.class(), "rules": [{ "host": scene.host, "http": { "paths": [{
            "path": "/", "pathType": "Prefix",
            "backend": { "service": { "name": "web", "port": { "number": 8080 } } },
        }] } }] },
    }))
    .unwrap();
    let ingresses = scene.api::<Ingress>();
    let before = ingresses
        .create(&PostParams::default(), &users)
        .await
        .unwrap();

    let solver = json!({ "ingress": { "name": "web" } });
    scene.present(&solver).await.unwrap();
    scene.is_answered().await;

    scene.clean_up().await;
    let after = ingresses.get("web").await.unwrap();
    assert_eq!(after.spec, before.spec);
    assert_eq!(after.metadata.labels, before.metadata.labels);
    assert_eq!(after.metadata.annotations, before.metadata.annotations);
}

#[tokio::test]
async fn an_httproute_leads_to_the_answer() {
    let scene = Scene::new("by-gateway", Family::Ipv4).await;
    scene.gateway("web", json!({})).await;
    let solver = json!({ "gatewayHTTPRoute": { "parentRefs": [{ "name": "web" }] } });
    scene.present(&solver).await.unwrap();
    scene.is_answered().await;

    scene.clean_up().await;
}

#[tokio::test]
async fn a_gateway_of_another_namespace_is_joined_at_the_listener_that_is_named() {
    let scene = Scene::new("elsewhere", Family::Ipv4).await;
    scene
        .gateway_in(
            &scene.system,
            "shared",
            json!({ "namespaces": { "from": "All" } }),
        )
        .await;
    let solver = json!({ "gatewayHTTPRoute": {
        "labels": { "exposed": "yes" },
        "parentRefs": [{ "name": "shared", "namespace": scene.system, "sectionName": "http" }],
    } });
    scene.present(&solver).await.unwrap();
    scene.is_answered().await;
    assert_eq!(scene.routes_labelled("exposed=yes").await, 1);
    scene.clean_up().await;
}

#[tokio::test]
async fn beside_the_operator_its_own_service_is_led_to_and_swept_when_the_certificate_is_gone() {
    let scene = Scene::new("beside", Family::Ipv4).await;
    let class = scene.class();
    let solver = json!({ "placement": "Operator", "ingress": { "ingressClassName": class } });
    scene.present(&solver).await.unwrap();
    scene.is_answered().await;
    let (here, there) = (scene.api::<Ingress>(), scene.system_api::<Ingress>());
    let all = ListParams::default();
    assert_eq!(here.list(&all).await.unwrap().items, []);
    assert_eq!(there.list(&all).await.unwrap().items.len(), 1);

    scene
        .certificates()
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(scene.door.sweep(|_| true).await.unwrap(), 0);
    scene.is_answered().await;
    assert_eq!(scene.door.sweep(|_| false).await.unwrap(), 1);
    scene.is_not_answered().await;
    assert_eq!(scene.left_over().await, [""; 0]);
}

#[tokio::test]
async fn an_operator_that_has_only_an_ipv6_address_is_reached_by_it() {
    let scene = Scene::new("six", Family::Ipv6).await;
    let solver = json!({ "ingress": { "ingressClassName": scene.class() } });
    scene.present(&solver).await.unwrap();
    scene.is_answered().await;
    scene.clean_up().await;
}

#[tokio::test]
async fn the_way_follows_the_operator_to_another_address() {
    let mut scene = Scene::new("moving", Family::Ipv4).await;
    scene.follow();
    let solver = json!({ "ingress": { "ingressClassName": scene.class() } });
    scene.present(&solver).await.unwrap();
    scene.is_answered().await;

    let new = OwnAddresses::take().unwrap();
    scene.serve_at(new.ipv4().into()).await;
    scene.operator_is_at(new.ipv4().into()).await;
    scene.leave(scene.addresses.ipv4().into());
    let slices = scene.api::<EndpointSlice>();
    eventually("the slices hold the new address only", async || {
        let found = slices.list(&ListParams::default()).await.unwrap().items;
        let endpoints = Endpoints::of(&found);
        let wanted = Endpoints {
            ipv4: [new.ipv4()].into(),
            ..Endpoints::default()
        };
        (endpoints == wanted)
            .then_some(())
            .ok_or_else(|| format!("{endpoints:?}"))
    })
    .await;
    scene.is_answered().await;
    scene.clean_up().await;
}

#[tokio::test]
async fn the_self_check_sees_the_answer_once_the_front_door_has_it() {
    let scene = Scene::new("checked", Family::Ipv4).await;
    let nothing = Outcome::NotYet {
        saw: format!(
            "http://{}/.well-known/acme-challenge/{TOKEN} answered 404 Not Found",
            scene.host
        ),
    };
    assert_eq!(scene.look().await, nothing);
    let solver = json!({ "ingress": { "ingressClassName": scene.class() } });
    scene.present(&solver).await.unwrap();
    eventually("the self-check sees it", async || {
        match scene.look().await {
            Outcome::Served => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(scene.ask(&scene.host).await, (200, ANSWER.to_owned()));
    scene.clean_up().await;
}
