//! What Argo CD makes of our objects: its Lua runs here over real ones.

use certwright_core::api::ConditionStatus;
use mlua::{Lua, LuaSerdeExt as _};
use serde::Serialize;
use serde_json::{Value, json};

use crate::harness::{Operator, Scene};

#[tokio::test]
async fn health_is_what_the_conditions_say() {
    let scene = Scene::new("argo").await;
    // Before the operator has looked at anything.
    scene.apply_ca().await;
    let certificates = scene.certificates();
    let root = certificates.get("root").await.unwrap();
    assert_eq!(health("Certificate", &root).0, "Progressing");
    let issuer = scene.issuers().get("ca").await.unwrap();
    assert_eq!(health("Issuer", &issuer).0, "Progressing");

    let operator = Operator::start(&scene).await;
    let spec = json!({ "dnsNames": ["web.example.com"], "issuerRef": { "name": "late" } });
    scene.certificate("web", spec).await;
    scene.refused("web", "IssuerNotFound").await;
    let waiting = health("Certificate", &certificates.get("web").await.unwrap());
    assert_eq!(waiting.0, "Progressing", "{}", waiting.1);
    scene
        .issuer("late", json!({ "ca": { "secretName": "missing" } }))
        .await;
    let message = scene.issuer_says("late", "False", "SecretNotFound").await;
    let waiting = health("Issuer", &scene.issuers().get("late").await.unwrap());
    assert_eq!(waiting, ("Progressing".to_owned(), message));
    scene
        .secret(
            "missing",
            "kubernetes.io/tls",
            &[("tls.crt", b"x"), ("tls.key", b"x")],
        )
        .await;
    let message = scene
        .issuer_says("late", "False", "InvalidCertificate")
        .await;
    let broken = scene.issuers().get("late").await.unwrap();
    assert_eq!(
        health("Issuer", &broken),
        ("Degraded".to_owned(), message.clone())
    );
    assert_eq!(
        health("ClusterIssuer", &broken),
        ("Degraded".to_owned(), message)
    );

    scene.issuer_says("ca", "True", "KeyPairVerified").await;
    let issuer = scene.issuers().get("ca").await.unwrap();
    assert_eq!(health("Issuer", &issuer).0, "Healthy");
    scene
        .change("web", json!({ "issuerRef": { "name": "ca" } }))
        .await;
    let mut web = scene.ready("web").await;
    assert_eq!(health("Certificate", &web).0, "Healthy");
    // A spec that nobody has looked at yet must not pass with what was said of the one before.
    *web.metadata.generation.as_mut().unwrap() += 1;
    assert_eq!(health("Certificate", &web).0, "Progressing");

    scene.secret("taken", "Opaque", &[("password", b"x")]).await;
    scene
        .certificate(
            "refused",
            json!({ "dnsNames": ["a.example.com"], "secretName": "taken" }),
        )
        .await;
    let message = scene.refused("refused", "ForeignSecret").await;
    let refused = certificates.get("refused").await.unwrap();
    assert_eq!(
        health("Certificate", &refused),
        ("Degraded".to_owned(), message)
    );
    operator.stop().await;
}

#[tokio::test]
async fn the_action_renews() {
    let scene = Scene::new("argo-action").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let actions =
        customization("actions", "Certificate").replace("certwright.dev", scene.group.name());
    let actions: Value = serde_yaml::from_str(&actions).unwrap();
    let offered = lua(actions["discovery.lua"].as_str().unwrap(), &web);
    assert_eq!(offered, json!({ "renew": { "disabled": false } }));
    let definition = &actions["definitions"][0];
    assert_eq!(definition["name"], "renew");
    let asked = lua(definition["action.lua"].as_str().unwrap(), &web);
    let key = scene.group.key("renew");
    let annotation = asked["metadata"]["annotations"][&key].as_str().unwrap();
    scene.renew("web", annotation).await;
    let renewed = scene.renewed(&web).await;
    assert_eq!(
        renewed.status.unwrap().last_renew_request.as_deref(),
        Some(annotation)
    );
    scene
        .says("web", "Issuing", ConditionStatus::False, "UpToDate")
        .await;
    operator.stop().await;
}

/// Status and message.
fn health(kind: &str, object: &impl Serialize) -> (String, String) {
    let health = lua(&customization("health", kind), object);
    let text = |field: &str| health[field].as_str().unwrap().to_owned();
    (text("status"), text("message"))
}

fn customization(what: &str, kind: &str) -> String {
    let file: Value =
        serde_yaml::from_str(include_str!("../../deploy/argocd/argocd-cm.yaml")).unwrap();
    let key = format!("resource.customizations.{what}.certwright.dev_{kind}");
    file["data"][&key].as_str().unwrap().to_owned()
}

/// What a script of Argo CD returns for an object. Argo CD's Lua is 5.1, too.
fn lua(script: &str, object: &impl Serialize) -> Value {
    let lua = Lua::new();
    // Absent fields are nil, as they are in JSON.
    let object = serde_json::to_value(object).unwrap();
    lua.globals()
        .set("obj", lua.to_value(&object).unwrap())
        .unwrap();
    let returned: mlua::Value = lua.load(script).eval().unwrap();
    lua.from_value(returned).unwrap()
}
