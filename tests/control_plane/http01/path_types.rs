//! An admission that takes no path of the type `Exact`, as those of some ingress controllers.

use certwright_core::http01::Challenge;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::world::{World, solver};
use crate::harness::{Scene, eventually};

/// Has the API server refuse `Exact` in the scene's namespace, and waits until it does.
async fn refuse_exact(scene: &Scene<'_>) {
    let policy = format!("exact-{}", scene.namespace);
    let is_exact = "object.spec.rules.exists(rule, has(rule.http) && rule.http.paths.exists(path, path.pathType == 'Exact'))";
    let rule = json!({
        "apiGroups": ["networking.k8s.io"], "apiVersions": ["*"],
        "resources": ["ingresses"], "operations": ["CREATE", "UPDATE"],
    });
    let namespace = json!({ "kubernetes.io/metadata.name": scene.namespace });
    scene
        .apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": policy },
            "spec": {
                "matchConstraints": {
                    "resourceRules": [rule], "namespaceSelector": { "matchLabels": namespace },
                },
                "validations": [{
                    "expression": format!("!({is_exact})"),
                    "message": "ingress contains invalid paths: the path cannot be used with pathType Exact",
                }],
            },
        }))
        .await;
    scene
        .apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": policy },
            "spec": { "policyName": policy, "validationActions": ["Deny"] },
        }))
        .await;
    let probe = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": "probe", "namespace": scene.namespace },
        "spec": { "rules": [{ "http": { "paths": [{
            "path": "/", "pathType": "Exact",
            "backend": { "service": { "name": "probe", "port": { "number": 80 } } },
        }] } }] },
    });
    let ingresses: Api<Ingress> = scene.api();
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::apply("user")
    };
    eventually("the policy holds", async || {
        match ingresses.patch("probe", &dry, &Patch::Apply(&probe)).await {
            Err(problem) if problem.to_string().contains("pathType Exact") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Paths and their types, of an Ingress.
fn paths(ingress: &Ingress) -> Vec<(String, String)> {
    let spec = serde_json::to_value(&ingress.spec).unwrap();
    let rules = spec["rules"].as_array().unwrap();
    let paths = rules
        .iter()
        .flat_map(|rule| rule["http"]["paths"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    paths
        .map(|path| (text(&path["path"]), text(&path["pathType"])))
        .collect()
}

#[tokio::test]
async fn where_exact_paths_are_refused_ways_in_are_made_and_taken_away_all_the_same() {
    let scene = Scene::new("http01-loose").await;
    let world = World::new(&scene).await;
    world.answers_at(&["198.51.100.7"], &[]).await;
    world.users_ingress("web").await;
    let ingresses: Api<Ingress> = scene.api();
    let before = ingresses.get("web").await.unwrap();
    refuse_exact(&scene).await;

    let challenges = [Challenge::new("shop.example", "abc").unwrap()];
    let ours = (
        "/.well-known/acme-challenge/abc".to_owned(),
        "ImplementationSpecific".to_owned(),
    );
    let own = world.certificate("own").await;
    let edits = world.certificate("edits").await;
    let made = solver(json!({ "ingress": { "ingressClassName": "public" } }));
    let edited = solver(json!({ "ingress": { "name": "web" } }));
    // The second time finds what the first has made.
    for _ in 0..2 {
        world.present(&own, &made, &challenges).await.unwrap();
        world.present(&edits, &edited, &challenges).await.unwrap();
        let found: Vec<Ingress> = world.labelled().await;
        assert_eq!(
            found.iter().map(paths).collect::<Vec<_>>(),
            [[ours.clone()]]
        );
        let web = paths(&ingresses.get("web").await.unwrap());
        let users = ("/".to_owned(), "Prefix".to_owned());
        assert_eq!(web, [users, ours.clone()]);
    }
    for owner in [&own, &edits] {
        world.door.clean_up(owner).await.unwrap();
    }
    let after = ingresses.get("web").await.unwrap();
    assert_eq!(after.spec, before.spec);
    assert_eq!(after.annotations(), before.annotations());
    world.is_clean().await;
    world.stop().await;
}
