//! The act in which certificates are renewed while clients don't stop asking.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use certwright_core::pki::{CertificateDer, Facts};
use certwright_test_cluster::{Load, Server, Tally};
use serde_json::Value;

use crate::{
    acts::{certificate, status_of},
    front::Front,
    kubectl::{Kubectl, Manifest, until},
    place::Place,
    voice::{answer, say, seen},
};

/// So often it is renewed.
const RENEWALS: usize = 3;
const NAME: &str = "till.example.com";

/// What the operator said, and when.
struct Said {
    serial: String,
    served: Duration,
}

/// The act.
pub(crate) async fn renews_under_load(place: &Place, front: &Front) -> anyhow::Result<()> {
    let kubectl = &place.kubectl;
    let door = SocketAddr::from(front.door.https());
    say(
        "A new certificate in a Secret proves nothing. Pods are only played here, so what serves is Traefik, which reads the \
         Secret by itself.\nThe operator looks from outside, as a client would, and says who serves what.",
    );
    kubectl
        .show_apply_filled(TILL, &[("HTTPS_PORT", &door.port().to_string())])
        .await?;
    // A load balancer would say so.
    kubectl
        .show(r#"patch ingress till -n certwright-demo --subresource=status --type=merge -p '{"status":{"loadBalancer":{"ingress":[{"ip":"127.0.0.1"}]}}}'"#)
        .await?;
    let first = is_served(kubectl, 1).await?;
    let roots = roots(kubectl).await?;
    let visitor = Server::new(door, NAME, &roots)?;
    until("the till answers by HTTPS", async || {
        let shown = visitor.shows().await.ok();
        Ok(shown.filter(|leaf| serial(leaf).ok().as_ref() == Some(&first)))
    })
    .await?;
    kubectl
        .show("wait -n certwright-demo --for=condition=Served certificate/till --timeout=60s")
        .await?;
    seen(&format!(
        "Traefik serves serial {first}, and the operator saw it"
    ));

    say(&format!(
        "\nNow clients: four that keep their connections and ask on them, and one that comes with a new handshake ten times a \
         second.\nMeanwhile the certificate is renewed {RENEWALS} times."
    ));
    let begun = Instant::now();
    let load = Load::start(door, NAME, &roots)?;
    let mut said = vec![Said {
        serial: first,
        served: Duration::ZERO,
    }];
    for number in 1..=RENEWALS {
        kubectl
            .show(&format!(
                "annotate certificate till -n certwright-demo --overwrite certwright.dev/renew=load-{number}"
            ))
            .await?;
        let serial = is_served(kubectl, 1 + number).await?;
        said.push(Said {
            serial,
            served: begun.elapsed(),
        });
    }
    let tally = load.stop().await;
    tell(&said, &tally)?;
    kubectl
        .show("get certificate till -n certwright-demo -o jsonpath='{.status.rollout.hosts}'")
        .await?;
    ensure!(
        tally.failures.is_empty(),
        "clients were failed: {}",
        tally.failures.join("; ")
    );
    seen(&format!(
        "handshakes: {} made, 0 failed; requests: {} answered, 0 failed, {} asked again on a connection that was closed",
        tally.handshakes, tally.answers, tally.retried
    ));
    Ok(())
}

/// Prints who was shown what and when, by the clients' own record, and when the operator said so.
fn tell(said: &[Said], tally: &Tally) -> anyhow::Result<()> {
    let mut shown = Vec::new();
    for one in &tally.shown {
        shown.push((serial(&one.leaf)?, one));
    }
    answer(
        "serial                            first seen  last seen  handshakes  the operator saw it",
    );
    for said in said {
        let (_, one) = shown
            .iter()
            .find(|(serial, _)| *serial == said.serial)
            .with_context(|| format!("no client was shown serial {}", said.serial))?;
        answer(&format!(
            "{:<32}  {:>8.1} s  {:>7.1} s  {:>10}  {:>17.1} s",
            said.serial,
            one.first.as_secs_f32(),
            one.last.as_secs_f32(),
            one.handshakes,
            said.served.as_secs_f32()
        ));
    }
    ensure!(
        shown.len() == said.len(),
        "clients were shown {} certificates, and {} were held",
        shown.len(),
        said.len()
    );
    ensure!(
        tally.handshakes > 0 && tally.answers > tally.handshakes,
        "the clients hardly asked: {} handshakes, {} answers",
        tally.handshakes,
        tally.answers
    );
    Ok(())
}

/// Waits until the operator saw this certificate, by its number, to be served; its serial number.
async fn is_served(kubectl: &Kubectl, revision: usize) -> anyhow::Result<String> {
    until(
        &format!("certificate {revision} is seen to be served"),
        async || {
            let till = certificate(kubectl, "till").await?;
            let status = &till["status"];
            let is_served = status["revision"] == revision
                && status["rollout"]["fingerprint"] == status["fingerprint"]
                && status_of(&till, "Served") == Some("True");
            let serial = status["serialNumber"].as_str();
            Ok(serial.filter(|_| is_served).map(str::to_owned))
        },
    )
    .await
}

/// What a client of the till trusts.
async fn roots(kubectl: &Kubectl) -> anyhow::Result<String> {
    let secret: Value = kubectl
        .json("get secret till-tls -n certwright-demo")
        .await?;
    let encoded = secret["data"]["ca.crt"].as_str().unwrap_or_default();
    let pem = BASE64_STANDARD
        .decode(encoded)
        .context("ca.crt is no base64")?;
    String::from_utf8(pem).context("ca.crt is no PEM")
}

fn serial(leaf: &[u8]) -> anyhow::Result<String> {
    let facts = Facts::read(&CertificateDer::from(leaf.to_vec()))?;
    Ok(facts.serial_hex())
}

const TILL: Manifest = Manifest {
    path: "examples/demo/till.yaml",
    text: include_str!("till.yaml"),
};
