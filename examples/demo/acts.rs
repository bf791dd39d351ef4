//! The first five acts. Each fails unless what it tells was really seen.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::{process::Command, time::sleep};

use crate::{
    kubectl::{Kubectl, Manifest, succeed, until},
    operator::Operator,
    voice::{answer, command, say, seen},
};

/// Act 1.
pub(crate) async fn becomes_ready(kubectl: &Kubectl) -> anyhow::Result<()> {
    say(
        "A root that signs itself, an issuer that signs with it, and a certificate for a shop, all at once.",
    );
    kubectl.show_apply(CERTIFICATES).await?;
    kubectl
        .show("wait -n certwright-demo --for=condition=Ready certificate --all --timeout=60s")
        .await?;
    kubectl.show("get certificates -n certwright-demo").await?;
    for name in ["root", "shop"] {
        let certificate = certificate(kubectl, name).await?;
        ensure!(
            is_ready(&certificate),
            "Certificate {name} is not Ready: {certificate:#}"
        );
    }
    let secret = kubectl
        .json("get secret shop-tls -n certwright-demo")
        .await?;
    ensure!(
        ["tls.crt", "tls.key", "ca.crt"]
            .iter()
            .all(|key| secret["data"][key].is_string()),
        "Secret shop-tls lacks data"
    );
    seen("both are Ready, and Secret shop-tls holds tls.crt, tls.key and ca.crt");

    say("\nNow a Deployment that mounts the Secret. Nothing in it speaks of Certwright.");
    kubectl.show_apply(SHOP).await?;
    kubectl
        .show("rollout status deployment/shop -n certwright-demo --timeout=60s")
        .await?;
    until(
        "status.rollout counts the Deployment as up to date",
        async || {
            let rollout = &certificate(kubectl, "shop").await?["status"]["rollout"];
            Ok((rollout["dependents"] == 1 && rollout["upToDate"] == 1).then_some(()))
        },
    )
    .await?;
    ensure!(
        replica_sets(kubectl).await? == 1,
        "the Deployment was rolled at its installation"
    );
    seen(
        "Certwright counts the Deployment as one that runs with this certificate, and restarted nothing",
    );
    Ok(())
}

/// Act 2.
pub(crate) async fn shows_its_chain(kubectl: &Kubectl, certwright: &Path) -> anyhow::Result<()> {
    say("What is in that Secret? The same binary tells, and never prints the key.");
    command("certwright inspect secret/shop-tls -n certwright-demo");
    let mut inspect = Command::new(certwright);
    inspect
        .args(["inspect", "secret/shop-tls", "-n", "certwright-demo"])
        .env("KUBECONFIG", kubectl.kubeconfig());
    let text = succeed(inspect, None)
        .await
        .context("certwright inspect failed")?;
    answer(&text);
    for expected in ["shop.example.com", "Demo Root"] {
        ensure!(text.contains(expected), "it doesn't name {expected}");
    }
    ensure!(!text.contains("PRIVATE KEY"), "it prints the private key");
    seen("the shop's certificate, signed by Demo Root");
    Ok(())
}

/// Act 3.
pub(crate) async fn renews_by_hand(kubectl: &Kubectl) -> anyhow::Result<()> {
    say(
        "A key may have leaked. One annotation asks for a new certificate, once for each new text.",
    );
    let (serial, pair) = held(kubectl).await?;
    kubectl
        .show("annotate certificate shop -n certwright-demo certwright.dev/renew=please")
        .await?;
    let after = until("the Certificate has a new serial number", async || {
        let shop = certificate(kubectl, "shop").await?;
        let answered = shop["status"]["lastRenewRequest"] == "please";
        let renewed = shop["status"]["serialNumber"] != serial;
        Ok((answered && renewed && is_ready(&shop)).then_some(shop))
    })
    .await?;
    let (new_serial, new_pair) = held(kubectl).await?;
    ensure!(
        after["status"]["revision"] == 2,
        "expected the second certificate, and this is {}",
        after["status"]["revision"]
    );
    for key in ["tls.crt", "tls.key"] {
        ensure!(
            pair[key] != new_pair[key],
            "{key} in the Secret is the old one"
        );
    }
    until("an Event tells of the renewal", async || {
        let events = kubectl
            .run("events -n certwright-demo --for=certificate/shop", None)
            .await?;
        Ok((events
            .lines()
            .filter(|line| line.contains("Issued"))
            .count()
            >= 2)
            .then_some(()))
    })
    .await?;
    kubectl
        .show("events -n certwright-demo --for=certificate/shop")
        .await?;
    seen(&format!("serial {} became", text(&serial)));
    seen(&format!("serial {}, with a new key", text(&new_serial)));
    Ok(())
}

/// Act 4.
pub(crate) async fn rolls_once(kubectl: &Kubectl, operator: &mut Operator) -> anyhow::Result<()> {
    say(
        "The shop's Pods read the old certificate when they started. Certwright restarts them, as kubectl would.",
    );
    until("the Pod template names the new certificate", async || {
        let held = certificate(kubectl, "shop").await?["status"]["fingerprint"].clone();
        let marked =
            template(kubectl).await?["metadata"]["annotations"]["certwright.dev/secret-shop-tls"]
                .clone();
        Ok((marked.is_string() && marked == held).then_some(()))
    })
    .await?;
    kubectl
        .show("rollout status deployment/shop -n certwright-demo --timeout=60s")
        .await?;
    kubectl.show("get replicasets -n certwright-demo").await?;
    let rolled = template(kubectl).await?;
    ensure!(
        replica_sets(kubectl).await? == 2,
        "expected the ReplicaSet of the start and one more"
    );
    seen("one roll: the ReplicaSet of the start, and the one of the new certificate");

    say(
        "\nExactly once? Let the Secret get a label, and the operator be killed and started again.",
    );
    kubectl
        .show(r#"patch certificate shop -n certwright-demo --type=merge -p '{"spec":{"secretTemplate":{"labels":{"team":"web"}}}}'"#)
        .await?;
    until("the Secret has the label", async || {
        let secret = kubectl
            .json("get secret shop-tls -n certwright-demo")
            .await?;
        Ok((secret["metadata"]["labels"]["team"] == "web").then_some(()))
    })
    .await?;
    operator.start_again().await?;
    sleep(QUIET).await;
    ensure!(
        template(kubectl).await? == rolled && replica_sets(kubectl).await? == 2,
        "the Deployment was rolled again"
    );
    until("the condition RolledOut is True", async || {
        let shop = certificate(kubectl, "shop").await?;
        Ok((status_of(&shop, "RolledOut") == Some("True")).then_some(()))
    })
    .await?;
    seen(&format!(
        "the label is on the Secret, the operator is back, and {} s later it is still one roll",
        QUIET.as_secs()
    ));
    Ok(())
}

/// Act 5.
pub(crate) async fn explains_what_is_wrong(kubectl: &Kubectl) -> anyhow::Result<()> {
    say(
        "What can be refused at once is, by the API server: a certificate of 90 days, renewed 375 days before its end.",
    );
    let words = kubectl.show_refusal(REFUSED).await?;
    ensure!(
        words.contains("spec.renewBefore") && words.contains("duration"),
        "the refusal doesn't say what to change"
    );
    seen("refused, with the field and what to write");

    say("\nOther things only the operator can tell. Here someone made the Secret by hand before.");
    kubectl.show_apply(FOREIGN).await?;
    until("Ready is False with the reason ForeignSecret", async || {
        let legacy = certificate(kubectl, "legacy").await?;
        Ok(condition(&legacy, "Ready")
            .filter(|ready| ready["status"] == "False" && ready["reason"] == "ForeignSecret")
            .map(|_| ()))
    })
    .await?;
    let message = kubectl
        .show(r#"get certificate legacy -n certwright-demo -o jsonpath='{.status.conditions[?(@.type=="Ready")].message}'"#)
        .await?;
    ensure!(message.contains("legacy-tls"), "it doesn't name the Secret");
    let secret = kubectl
        .json("get secret legacy-tls -n certwright-demo")
        .await?;
    ensure!(
        secret["data"]["precious"].is_string() && secret["data"]["tls.crt"].is_null(),
        "the foreign Secret was changed"
    );
    seen("the Secret is untouched, and the message names the ways out. One of them:");
    kubectl
        .show("delete secret legacy-tls -n certwright-demo")
        .await?;
    kubectl
        .show("wait -n certwright-demo --for=condition=Ready certificate/legacy --timeout=60s")
        .await?;
    seen("the cause is gone, and so is the trouble: nobody had to ask again");
    Ok(())
}

pub(crate) async fn certificate(kubectl: &Kubectl, name: &str) -> anyhow::Result<Value> {
    kubectl
        .json(&format!("get certificate {name} -n certwright-demo"))
        .await
}

fn condition<'c>(certificate: &'c Value, kind: &str) -> Option<&'c Value> {
    certificate["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)
}

pub(crate) fn status_of<'c>(certificate: &'c Value, kind: &str) -> Option<&'c str> {
    condition(certificate, kind)?["status"].as_str()
}

fn is_ready(certificate: &Value) -> bool {
    status_of(certificate, "Ready") == Some("True")
        && certificate["status"]["observedGeneration"] == certificate["metadata"]["generation"]
}

/// The serial number, and the data of the Secret.
async fn held(kubectl: &Kubectl) -> anyhow::Result<(Value, Value)> {
    let mut shop = certificate(kubectl, "shop").await?;
    let mut secret = kubectl
        .json("get secret shop-tls -n certwright-demo")
        .await?;
    Ok((shop["status"]["serialNumber"].take(), secret["data"].take()))
}

async fn template(kubectl: &Kubectl) -> anyhow::Result<Value> {
    let mut shop = kubectl
        .json("get deployment shop -n certwright-demo")
        .await?;
    Ok(shop["spec"]["template"].take())
}

/// Each change of a Deployment's Pod template makes one.
async fn replica_sets(kubectl: &Kubectl) -> anyhow::Result<usize> {
    let sets = kubectl
        .json("get replicasets -n certwright-demo -l app=shop")
        .await?;
    Ok(sets["items"].as_array().map_or(0, Vec::len))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

const CERTIFICATES: Manifest = Manifest {
    path: "examples/demo/certificates.yaml",
    text: include_str!("certificates.yaml"),
};
const SHOP: Manifest = Manifest {
    path: "examples/demo/shop.yaml",
    text: include_str!("shop.yaml"),
};
const REFUSED: Manifest = Manifest {
    path: "examples/demo/refused.yaml",
    text: include_str!("refused.yaml"),
};
const FOREIGN: Manifest = Manifest {
    path: "examples/demo/foreign.yaml",
    text: include_str!("foreign.yaml"),
};
/// Longer than Certwright lets a new certificate settle before it restarts anything.
const QUIET: Duration = Duration::from_secs(10);
