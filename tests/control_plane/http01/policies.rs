//! What the operator's account may not do although RBAC would let it.

use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::world::World;
use crate::harness::{Scene, eventually};

#[tokio::test]
async fn the_account_touches_nothing_but_its_own() {
    let scene = Scene::new("http01-policy").await;
    let world = World::new(&scene).await;
    world.users_ingress("web").await;
    scene
        .apply(&json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "shop", "namespace": scene.namespace },
            "spec": { "ports": [{ "port": 80 }] },
        }))
        .await;
    let services: Api<Service> = Api::namespaced(world.client.clone(), &scene.namespace);
    let ingresses: Api<Ingress> = Api::namespaced(world.client.clone(), &scene.namespace);
    let records: Api<ConfigMap> = Api::namespaced(world.client.clone(), &scene.system);

    // The API server goes by the policies a moment after they were written.
    eventually("the policies hold", async || {
        let change = Patch::Merge(json!({ "spec": { "selector": { "app": "evil" } } }));
        let dry = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        forbidden(services.patch("shop", &dry, &change).await, "http01-solver")?;
        let change = Patch::Merge(json!({ "metadata": { "labels": { "app": "evil" } } }));
        forbidden(
            ingresses.patch("web", &dry, &change).await,
            "acme-challenge",
        )
    })
    .await;

    let label = scene.group.key("http01-solver");
    let labelled = json!({ "metadata": { "labels": { label: "mine" } } });
    let change = Patch::Merge(&labelled);
    let adopted = services
        .patch("shop", &PatchParams::default(), &change)
        .await;
    forbidden(adopted, "http01-solver").unwrap();
    let adopted = ingresses
        .patch("web", &PatchParams::default(), &change)
        .await;
    forbidden(adopted, "acme-challenge").unwrap();
    let deleted = services.delete("shop", &DeleteParams::default()).await;
    forbidden(deleted, "http01-solver").unwrap();
    let deleted = ingresses.delete("web", &DeleteParams::default()).await;
    forbidden(deleted, "http01-solver").unwrap();
    let unlabelled = serde_json::from_value(json!({ "metadata": { "name": "a" } })).unwrap();
    let made = records.create(&PostParams::default(), &unlabelled).await;
    forbidden(made, "http01-solver").unwrap();
}

#[tokio::test]
async fn of_a_users_ingress_only_paths_for_acme_change() {
    let scene = Scene::new("http01-paths").await;
    let world = World::new(&scene).await;
    world.users_ingress("web").await;
    let ingresses: Api<Ingress> = Api::namespaced(world.client.clone(), &scene.namespace);
    let path = |path: &str| {
        json!({ "path": path, "pathType": "Exact",
            "backend": { "service": { "name": "evil", "port": { "number": 80 } } } })
    };
    let rules = |host: &str, paths: Value| json!([{ "host": host, "http": { "paths": paths } }]);
    let own = serde_json::to_value(&world.rules("web").await).unwrap();
    let own = own[0]["http"]["paths"][0].clone();
    let acme = path("/.well-known/acme-challenge/abc");
    let try_out = async |spec: Value| {
        let dry = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        ingresses
            .patch("web", &dry, &Patch::Merge(json!({ "spec": spec })))
            .await
    };
    eventually("the policy holds", async || {
        let stolen = json!({ "rules": rules("shop.example", json!([path("/")])) });
        forbidden(try_out(stolen).await, "acme-challenge")
    })
    .await;
    for spec in [
        json!({ "rules": rules("shop.example", json!([own, path("/pay"), acme])) }),
        json!({ "rules": rules("shop.example", json!([acme])) }),
        json!({ "rules": rules("bank.example", json!([own, acme])) }),
        json!({ "rules": rules("shop.example", json!([own])), "tls": null }),
        json!({ "rules": rules("shop.example", json!([own])), "ingressClassName": "other" }),
        json!({ "rules": null, "defaultBackend": { "service": { "name": "evil", "port": { "number": 80 } } } }),
    ] {
        forbidden(try_out(spec.clone()).await, "acme-challenge")
            .unwrap_or_else(|answer| panic!("{spec}: {answer}"));
    }
    let mut both = rules("shop.example", json!([own, acme]));
    try_out(json!({ "rules": both })).await.unwrap();
    let other = rules("www.shop.example", json!([acme]))[0].clone();
    both.as_array_mut().unwrap().push(other);
    try_out(json!({ "rules": both })).await.unwrap();
}

fn forbidden<K: std::fmt::Debug>(answer: kube::Result<K>, word: &str) -> Result<(), String> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains(word) => {
            Ok(())
        }
        answer => Err(format!("{answer:?}")),
    }
}
