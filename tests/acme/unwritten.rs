//! The API server does not take what an order came to: neither order nor key are thrown away.

use certwright_core::api::{Certificate, CertificateStatus, condition};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::faulty::Faulty;
use crate::operator::{World, eventually};
use crate::pebble::Ways;

/// How many orders a server was asked for.
fn orders(server: &Faulty) -> usize {
    let asked = server.asked();
    let orders = asked.iter().filter(|asked| asked.path == "/order-plz");
    orders.count()
}

/// A world with an issuer that asks a server in front of Pebble.
async fn world() -> (World, Faulty) {
    let world = World::new(Ways::default()).await;
    let server = Faulty::before(world.pebble.listens).await;
    world
        .issuer_at("watched", &server.directory, &server.bundle)
        .await;
    (world, server)
}

#[tokio::test]
async fn a_secret_that_is_refused_does_not_cost_the_order() {
    let (world, server) = world().await;
    let annotations: serde_json::Map<_, _> = (0..40)
        .map(|n| (format!("note-{n}"), "n".repeat(16_000).into()))
        .collect();
    let too_much = json!({ "annotations": annotations });
    let asked = json!({ "dnsNames": ["web.example.com"], "secretTemplate": too_much });
    world.certificate_with("watched", "web", &asked).await;
    eventually("the Secret is refused", async || {
        let status = status_of(&world, "web").await;
        let held = condition::find(&status.conditions, "Issuing").map(|held| held.reason.clone());
        match held.as_deref() {
            Some("SecretRefused") if status.order.is_some() => Ok(()),
            _ => Err(format!("{status:#?}")),
        }
    })
    .await;
    let certificates: Api<Certificate> = world.of();
    let patch = Patch::Merge(json!({ "spec": { "secretTemplate": null } }));
    certificates
        .patch("web", &PatchParams::default(), &patch)
        .await
        .unwrap();
    world.ready("web", 1).await;
    assert_eq!(orders(&server), 1);
    world.is_tidy().await;
}

#[tokio::test]
async fn an_order_that_can_not_be_written_down_is_made_once_and_gone_on_with_later() {
    let (world, server) = world().await;
    refuse(&world, "has(object.status) && has(object.status.order)").await;
    world
        .certificate_of("watched", "web", &["web.example.com"])
        .await;
    eventually(
        "the order was tried to be written several times",
        async || {
            let tries = world.log().matches("No orders here.").count();
            if orders(&server) > 0 && tries >= 4 {
                Ok(())
            } else {
                Err(format!(
                    "{tries} tries, {} orders\n{}",
                    orders(&server),
                    world.log()
                ))
            }
        },
    )
    .await;
    assert_eq!(orders(&server), 1);
    // Nobody was told to look for what no replica can answer.
    let told = |path: &str| {
        server
            .asked()
            .iter()
            .any(|asked| asked.path.starts_with(path))
    };
    assert!(!told("/chalZ/") && !told("/authZ/"));

    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(world.client.clone());
    bindings
        .delete("refused", &DeleteParams::default())
        .await
        .unwrap();
    world.ready("web", 1).await;
    assert_eq!(orders(&server), 1);
    world.is_tidy().await;
}

async fn status_of(world: &World, name: &str) -> CertificateStatus {
    let certificates: Api<Certificate> = world.of();
    let found = certificates.get(name).await.unwrap();
    found.status.unwrap_or_default()
}

/// Has the API server refuse statuses of Certificates of which this is true, and waits until it does.
async fn refuse(world: &World, refused: &str) {
    let name = json!({ "name": "refused" });
    let rule = json!({
        "apiGroups": ["certwright.dev"], "apiVersions": ["*"],
        "resources": ["certificates/status"], "operations": ["UPDATE"],
    });
    world
        .apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": name,
            "spec": {
                "matchConstraints": { "resourceRules": [rule] },
                "validations": [{ "expression": format!("!({refused})"), "message": "No orders here." }],
            },
        }))
        .await;
    world
        .apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": name,
            "spec": { "policyName": "refused", "validationActions": ["Deny"] },
        }))
        .await;
    // Of an issuer that does not exist, so that nobody else writes its status.
    world
        .certificate_of("nobody", "probe", &["probe.example.com"])
        .await;
    let certificates: Api<Certificate> = world.of();
    let order: Value =
        json!({ "attempted": "x", "startedAt": "2026-11-02T10:00:00Z", "challenges": [] });
    let patch = Patch::Merge(json!({ "status": { "order": order } }));
    let parameters = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    eventually("the policy holds", async || {
        match certificates
            .patch_status("probe", &parameters, &patch)
            .await
        {
            Err(problem) if problem.to_string().contains("No orders here.") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}
