//! Certificates that are renewed while clients don't stop asking.

use std::collections::BTreeSet;

use certwright_core::api::{Certificate, ConditionStatus, condition};
use certwright_core::pki::facts::Fingerprint;
use k8s_openapi::api::core::v1::Secret;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::availability::Scene;
use crate::harness::eventually;
use crate::installed::{Installed, text};
use crate::load::{Load, Server};
use crate::servers::{Deployed, Software};

/// So often each certificate is renewed.
const ROUNDS: u8 = 5;

#[tokio::test]
async fn renewed_certificates_are_served_by_every_pod_and_no_client_is_failed() {
    let scene = Scene::new("served").await;
    let (operator, namespace) = (&scene.operator, scene.namespace.as_str());
    let mut servers = Vec::new();
    for (kind, name, software) in [
        ("Deployment", "web", Software::nginx()),
        ("StatefulSet", "store", Software::nginx()),
        ("Deployment", "proxy", Software::traefik()),
        (
            "Deployment",
            "door",
            Software::haproxy(operator.cluster.busybox()),
        ),
    ] {
        operator.certificate(namespace, name).await;
        operator.ready(namespace, name).await;
        let start = Deployed::start(operator, namespace, (kind, name), &software);
        servers.push((start.await, software.rolls));
    }
    let roots = held(operator, namespace, "web", "ca.crt").await;
    let mut clients = Vec::new();
    let mut revisions = Vec::new();
    for (server, _) in &servers {
        all_serve(operator, namespace, server, &roots).await;
        // The first Pod that is ready is not known at once to all that send connections.
        let service = Server::new(server.address, &host(server), &roots);
        eventually("the Service leads somewhere", async || {
            service.shows().await.map_err(|problem| problem.to_string())
        })
        .await;
        revisions.push(server.revision().await);
        clients.push(Load::start(server.address, &host(server), &roots));
    }
    let mut leaves = BTreeSet::new();
    for round in 1..=i64::from(ROUNDS) {
        for (server, _) in &servers {
            renew(operator, namespace, server.name, round).await;
        }
        for ((server, rolls), before) in servers.iter().zip(&revisions) {
            let leaf = all_serve(operator, namespace, server, &roots).await;
            is_told_to_serve(operator, namespace, server.name, &leaf).await;
            leaves.insert(leaf);
            server.has_rolled().await;
            let rolls = if *rolls { round } else { 0 };
            assert_eq!(server.revision().await - before, rolls, "{}", server.name);
        }
    }
    assert_eq!(leaves.len(), servers.len() * usize::from(ROUNDS));
    for ((server, _), clients) in servers.iter().zip(clients) {
        let tally = clients.stop().await;
        println!("{}: {tally:?}", server.name);
        assert!(tally.failures.is_empty(), "{}: {tally:?}", server.name);
        assert!(
            tally.handshakes > 0 && tally.answers > tally.handshakes,
            "{tally:?}"
        );
    }
}

fn host(server: &Deployed<'_>) -> String {
    format!("{}.example.com", server.name)
}

/// Waits until each Pod of a server shows the certificate that its Secret holds; that certificate.
async fn all_serve(
    operator: &Installed<'_>,
    namespace: &str,
    server: &Deployed<'_>,
    roots: &str,
) -> Vec<u8> {
    let chain = held(operator, namespace, server.name, "tls.crt").await;
    let leaf = CertificateDer::from_pem_slice(chain.as_bytes())
        .unwrap()
        .to_vec();
    eventually(&format!("{} shows what is held", server.name), async || {
        let pods = server.pods().await;
        if pods.len() < 2 {
            return Err(format!("{pods:?}"));
        }
        for (name, address) in pods {
            match Server::new(address, &host(server), roots).shows().await {
                Ok(shown) if shown == leaf => {}
                Ok(_) => return Err(format!("{name} shows another")),
                Err(problem) => return Err(format!("{name}: {problem}")),
            }
        }
        Ok(())
    })
    .await;
    leaf
}

/// Waits until a Certificate says that this leaf was seen to be served by all.
async fn is_told_to_serve(operator: &Installed<'_>, namespace: &str, name: &str, leaf: &[u8]) {
    let fingerprint = Fingerprint::of(leaf).to_string();
    eventually(&format!("{name} is told to serve it"), async || {
        let status = operator.ready(namespace, name).await.status.unwrap();
        let rollout = status.rollout.unwrap_or_default();
        let served = condition::find(&status.conditions, "Served");
        let is_served = rollout.fingerprint.as_ref() == Some(&fingerprint)
            && served.is_some_and(|served| served.status == ConditionStatus::True);
        is_served
            .then_some(())
            .ok_or_else(|| format!("{rollout:?}, {served:?}"))
    })
    .await;
}

async fn held(operator: &Installed<'_>, namespace: &str, name: &str, key: &str) -> String {
    let secrets = operator.api::<Secret>(namespace);
    let secret = secrets.get(&format!("{name}-tls")).await.unwrap();
    text(&secret, key)
}

/// Has a certificate renewed, and waits until it is.
async fn renew(operator: &Installed<'_>, namespace: &str, name: &str, round: i64) {
    let annotate = format!(
        "annotate certificate {name} --namespace {namespace} --overwrite certwright.dev/renew={round}"
    );
    operator.kubectl(&annotate, "").await;
    let revision = |certificate: Certificate| certificate.status.and_then(|status| status.revision);
    eventually("it is renewed", async || {
        match revision(operator.ready(namespace, name).await) {
            Some(revision) if revision > round => Ok(()),
            revision => Err(format!("{revision:?}")),
        }
    })
    .await;
}
