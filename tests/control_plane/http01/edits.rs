//! Ingresses of the users, edited and put right again.

use certwright::http01::front_door::Closed;
use certwright_core::http01::Challenge;
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::world::{World, solver};
use crate::harness::Scene;

#[tokio::test]
async fn an_ingress_of_the_users_is_as_it_was_afterwards() {
    let scene = Scene::new("http01-edit").await;
    let world = World::new(&scene).await;
    world.answers_at(&["198.51.100.7"], &[]).await;
    world.users_ingress("web").await;
    let ingresses: Api<Ingress> = scene.api();
    let before = ingresses.get("web").await.unwrap();
    let solver = solver(json!({ "ingress": { "name": "web" } }));
    let challenges = [("shop.example", "abc"), ("www.shop.example", "def")]
        .map(|(identifier, token)| Challenge::new(identifier, token).unwrap());

    // Several at once: each reads again what the others wrote.
    let mut owners = Vec::new();
    for name in ["a", "b", "c", "d"] {
        owners.push(world.certificate(name).await);
    }
    let presenting = owners
        .iter()
        .map(|owner| world.present(owner, &solver, &challenges));
    for presented in futures::future::join_all(presenting).await {
        presented.unwrap();
    }
    let rules = world.rules("web").await;
    let paths: Vec<usize> = rules
        .iter()
        .map(|rule| rule.http.as_ref().unwrap().paths.len())
        .collect();
    assert_eq!(
        paths,
        [5, 4],
        "the user's own path, and two of each Certificate"
    );

    let cleaning = owners.iter().map(|owner| world.door.clean_up(owner));
    for cleaned in futures::future::join_all(cleaning).await {
        cleaned.unwrap();
    }
    let after = ingresses.get("web").await.unwrap();
    assert_eq!(after.spec, before.spec);
    assert_eq!(after.metadata.annotations, before.metadata.annotations);
    assert_eq!(after.metadata.labels, before.metadata.labels);
    world.is_clean().await;
    world.stop().await;
}

#[tokio::test]
async fn what_the_user_changes_meanwhile_stays() {
    let scene = Scene::new("http01-meanwhile").await;
    let world = World::new(&scene).await;
    world.answers_at(&["198.51.100.7"], &[]).await;
    world.users_ingress("web").await;
    let owner = world.certificate("web").await;
    let solver = solver(json!({ "ingress": { "name": "web" } }));
    let challenges = [Challenge::new("shop.example", "abc").unwrap()];
    world.present(&owner, &solver, &challenges).await.unwrap();

    let mut rules = world.rules("web").await;
    rules[0].http.as_mut().unwrap().paths[0].path = Some("/shop".to_owned());
    let ingresses: Api<Ingress> = scene.api();
    let change = Patch::Merge(json!({ "spec": { "rules": rules } }));
    ingresses
        .patch("web", &PatchParams::default(), &change)
        .await
        .unwrap();
    world.door.clean_up(&owner).await.unwrap();

    let rules = world.rules("web").await;
    let paths = &rules[0].http.as_ref().unwrap().paths;
    assert_eq!((rules.len(), paths.len()), (1, 1));
    assert_eq!(paths[0].path.as_deref(), Some("/shop"));
    world.stop().await;
}

#[tokio::test]
async fn an_ingress_that_is_not_there_is_named_and_nothing_is_left_over() {
    let scene = Scene::new("http01-absent").await;
    let world = World::new(&scene).await;
    world.answers_at(&["198.51.100.7"], &[]).await;
    let owner = world.certificate("web").await;
    let solver = solver(json!({ "ingress": { "name": "web" } }));
    let challenges = [Challenge::new("shop.example", "abc").unwrap()];
    let closed = world
        .present(&owner, &solver, &challenges)
        .await
        .unwrap_err();
    assert!(matches!(closed, Closed::NoIngress(_)), "{closed:?}");
    assert!(
        closed
            .to_string()
            .contains(&format!("{}/web", scene.namespace))
    );
    world.door.clean_up(&owner).await.unwrap();
    world.is_clean().await;
    world.stop().await;
}
