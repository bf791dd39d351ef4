//! Certificates that are renewed while clients don't stop asking.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use certwright_core::api::{Certificate, ConditionStatus, condition};
use certwright_core::pki::facts::Fingerprint;
use certwright_test_cluster::{Load, Server};
use k8s_openapi::api::core::v1::Secret;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::availability::Scene;
use crate::harness::eventually;
use crate::installed::{Installed, text};
use crate::servers::{Deployed, Software};

/// So often all certificates are renewed.
const ROUNDS: u8 = 20;

/// The one that Traefik serves from outside the Pods, by the Secret itself.
const EDGE: &str = "edge";

#[tokio::test]
async fn renewed_certificates_are_served_by_every_pod_and_no_client_is_failed() {
    let scene = Scene::new("served").await;
    let (operator, namespace) = (&scene.operator, scene.namespace.as_str());
    let servers = started(&scene).await;
    let door = operator.cluster.control_plane().front_door().unwrap();
    servers[2].0.is_led_to(EDGE, door.class()).await;
    let door = SocketAddr::from(door.https());
    let roots = held(operator, namespace, "web", "ca.crt").await;
    let mut clients = Vec::new();
    let mut revisions = Vec::new();
    for (server, _) in &servers {
        all_serve(operator, namespace, server, &roots).await;
        leads_somewhere(server.address, server.name, &roots).await;
        revisions.push(server.revision().await);
        clients.push((server.name, server.address));
    }
    leads_somewhere(door, EDGE, &roots).await;
    clients.push((EDGE, door));
    let loads: Vec<_> = clients
        .iter()
        .map(|(name, address)| Load::start(*address, &host(name), &roots).unwrap())
        .collect();
    let mut leaves = BTreeSet::new();
    let mut projections = Vec::new();
    for round in 1..=i64::from(ROUNDS) {
        for (name, _) in &clients {
            ask_to_renew(operator, namespace, name, round).await;
        }
        for (name, _) in &clients {
            is_renewed(operator, namespace, name, round).await;
        }
        // Traefik reads its files as soon as the kubelet has brought them.
        let renewed = Instant::now();
        all_serve(operator, namespace, &servers[2].0, &roots).await;
        projections.push(renewed.elapsed());
        for ((server, rolls), before) in servers.iter().zip(&revisions) {
            let leaf = all_serve(operator, namespace, server, &roots).await;
            is_told_to_serve(operator, namespace, server.name, &leaf).await;
            leaves.insert(leaf);
            server.has_rolled().await;
            let rolls = if *rolls { round } else { 0 };
            assert_eq!(server.revision().await - before, rolls, "{}", server.name);
        }
        let leaf = leaf_of(operator, namespace, EDGE).await;
        let edge = [(EDGE.to_owned(), door)];
        all_show(EDGE, &leaf, &roots, async || edge.to_vec()).await;
        leaves.insert(leaf);
    }
    projections.sort();
    println!(
        "from a renewal until Traefik's Pods serve it by their files: {:.1?} at least, {:.1?} in the middle, {:.1?} at most",
        projections[0],
        projections[projections.len() / 2],
        projections[projections.len() - 1]
    );
    assert_eq!(leaves.len(), clients.len() * usize::from(ROUNDS));
    for ((name, _), load) in clients.iter().zip(loads) {
        let tally = load.stop().await;
        println!("{name}: {tally}");
        assert!(tally.failures.is_empty(), "{name}: {tally}");
        assert!(
            tally.handshakes > 0 && tally.answers > tally.handshakes,
            "{tally}"
        );
    }
}

/// Two replicas of each kind of server, each with a certificate of its own, and whether its Pods are replaced for it.
async fn started(scene: &Scene) -> Vec<(Deployed<'_>, bool)> {
    let (operator, namespace) = (&scene.operator, scene.namespace.as_str());
    operator.certificate(namespace, EDGE).await;
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
    operator.ready(namespace, EDGE).await;
    servers
}

/// Waits until what answers there serves this name: the first Pod that is ready is not known at once to all that send
/// connections.
pub(crate) async fn leads_somewhere(address: SocketAddr, name: &str, roots: &str) {
    let server = Server::new(address, &host(name), roots).unwrap();
    eventually("it leads somewhere", async || {
        server.shows().await.map_err(|problem| problem.to_string())
    })
    .await;
}

pub(crate) fn host(name: &str) -> String {
    format!("{name}.example.com")
}

/// Waits until each Pod of a server shows the certificate that its Secret holds; that certificate.
pub(crate) async fn all_serve(
    operator: &Installed<'_>,
    namespace: &str,
    server: &Deployed<'_>,
    roots: &str,
) -> Vec<u8> {
    let leaf = leaf_of(operator, namespace, server.name).await;
    let pods = async || {
        let pods = server.pods().await;
        // Fewer than there are to be count as none.
        if pods.len() < 2 { Vec::new() } else { pods }
    };
    all_show(server.name, &leaf, roots, pods).await;
    leaf
}

/// Waits until all of some endpoints show this leaf.
async fn all_show(
    name: &str,
    leaf: &[u8],
    roots: &str,
    endpoints: impl AsyncFn() -> Vec<(String, SocketAddr)>,
) {
    eventually(&format!("{name} shows what is held"), async || {
        let endpoints = endpoints().await;
        if endpoints.is_empty() {
            return Err("not all are there".to_owned());
        }
        for (endpoint, address) in endpoints {
            let server = Server::new(address, &host(name), roots).unwrap();
            match server.shows().await {
                Ok(shown) if shown == leaf => {}
                Ok(_) => return Err(format!("{endpoint} shows another")),
                Err(problem) => return Err(format!("{endpoint}: {problem}")),
            }
        }
        Ok(())
    })
    .await;
}

/// The leaf that a Certificate's Secret holds, in DER.
pub(crate) async fn leaf_of(operator: &Installed<'_>, namespace: &str, name: &str) -> Vec<u8> {
    let chain = held(operator, namespace, name, "tls.crt").await;
    CertificateDer::from_pem_slice(chain.as_bytes())
        .unwrap()
        .to_vec()
}

/// Waits until a Certificate says that this leaf was seen to be served by all.
pub(crate) async fn is_told_to_serve(
    operator: &Installed<'_>,
    namespace: &str,
    name: &str,
    leaf: &[u8],
) {
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

pub(crate) async fn held(
    operator: &Installed<'_>,
    namespace: &str,
    name: &str,
    key: &str,
) -> String {
    let secrets = operator.api::<Secret>(namespace);
    let secret = secrets.get(&format!("{name}-tls")).await.unwrap();
    text(&secret, key)
}

pub(crate) async fn ask_to_renew(
    operator: &Installed<'_>,
    namespace: &str,
    name: &str,
    round: i64,
) {
    let annotate = format!(
        "annotate certificate {name} --namespace {namespace} --overwrite certwright.dev/renew={round}"
    );
    operator.kubectl(&annotate, "").await;
}

pub(crate) async fn is_renewed(operator: &Installed<'_>, namespace: &str, name: &str, round: i64) {
    let revision = |certificate: Certificate| certificate.status.and_then(|status| status.revision);
    eventually("it is renewed", async || {
        match revision(operator.ready(namespace, name).await) {
            Some(revision) if revision > round => Ok(()),
            revision => Err(format!("{revision:?}")),
        }
    })
    .await;
}
