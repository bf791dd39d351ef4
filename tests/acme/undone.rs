//! Ways in that somebody takes away while they are needed.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::operator::{World, eventually};
use crate::pebble::Ways;

/// As tools do that bring a cluster to what a repository says.
#[tokio::test]
async fn what_others_take_away_in_mid_order_is_made_again() {
    let world = World::new(Ways::default()).await;
    // An Ingress as its repository has it.
    let web = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "rules": [{ "host": "edited.example.com", "http": { "paths": [{
            "path": "/", "pathType": "Prefix",
            "backend": { "service": { "name": "web", "port": { "number": 80 } } },
        }] } }] },
    });
    world.apply(&web).await;
    let solvers = [
        ("made", json!({ "ingressClassName": "public" })),
        ("edited", json!({ "name": "web" })),
    ];
    for (name, ingress) in &solvers {
        let solver = json!({ "waitInsteadOfSelfCheck": "1h", "http01": { "ingress": ingress } });
        let acme = json!({
            "server": world.pebble.directory, "caBundle": world.pebble.bundle, "solvers": [solver],
        });
        world.issuer_with(name, &acme).await;
        let host = format!("{name}.example.com");
        world.certificate_of(name, name, &[&host]).await;
    }
    let ingresses: Api<Ingress> = Api::namespaced(world.client.clone(), "shop");
    let services: Api<Service> = Api::namespaced(world.client.clone(), "shop");
    let labelled = ListParams::default().labels("certwright.dev/http01-solver");
    let ours = async || {
        let found = ingresses.list(&labelled).await.unwrap().items;
        let made = found.first().map(|ingress| ingress.metadata.uid.clone());
        let edited = ingresses.get("web").await.unwrap();
        let rules = edited.spec.unwrap().rules.unwrap();
        let paths = &rules[0].http.as_ref().unwrap().paths;
        let led_to = services.list(&labelled).await.unwrap().items;
        match (made, paths.len(), led_to.len()) {
            (Some(made), 2, 2) => Ok(made),
            found => Err(format!("{found:?}\n{}", world.log())),
        }
    };
    world.under_way("shop", "made").await;
    world.under_way("shop", "edited").await;
    let before = eventually("the ways are there", ours).await;

    let parameters = DeleteParams::default();
    ingresses
        .delete_collection(&parameters, &labelled)
        .await
        .unwrap();
    let made = services.list(&labelled).await.unwrap();
    for service in made {
        let name = service.name_any();
        services.delete(&name, &parameters).await.unwrap();
    }
    world.apply(&web).await;
    let after = eventually("the ways are there again", ours).await;
    assert_ne!(after, before);
    for (name, _) in &solvers {
        let order = world.under_way("shop", name).await;
        assert!(
            order.challenges.iter().all(|shown| !shown.accepted),
            "{name}"
        );
    }
}
