//! What workloads serve is looked at from outside, and told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use certwright_core::api::certificate::{HostState, RolloutStatus, WorkloadState};
use certwright_core::api::{Certificate, ConditionStatus};
use certwright_test_cluster::{TlsServer, free_ports};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::harness::{Held, Operator, Scene, condition, eventually};
use crate::rollout::{Workload, pod};

/// A TLS server, as a Pod's process would be one.
struct Server(TlsServer);

impl Server {
    async fn start(address: SocketAddr) -> Self {
        Self(TlsServer::start(address).await.unwrap())
    }

    /// From now on it serves what a Secret holds, the first so many certificates of it.
    fn serve(&self, held: &Held, certificates: usize) {
        let data = |key| held.data(key).unwrap();
        let served = self.0.serve(data("tls.crt"), certificates, data("tls.key"));
        served.unwrap();
    }
}

/// A scene whose operator may ask servers on this host, and in which every certificate reaches files at once.
pub(crate) async fn scene(name: &str) -> Scene<'static> {
    let mut scene = Scene::new(name).await;
    scene.private_networks = vec!["127.0.0.0/8".parse().unwrap()];
    scene.rollout.defaults.volume_delay = SignedDuration::ZERO;
    scene
}

/// The Pods of a workload, each given the address of one server.
pub(crate) async fn settle(scene: &Scene<'_>, workload: &str, addresses: &[IpAddr]) {
    let of = ListParams::default().labels(&format!("app={workload}"));
    let pods = scene.api::<Pod>();
    let all = pods.list(&of).await.unwrap().items;
    assert_eq!(all.len(), addresses.len());
    for (pod, address) in all.iter().zip(addresses) {
        let status = json!({ "status": { "podIP": address, "podIPs": [{ "ip": address }] } });
        pods.patch_status(
            &pod.name_any(),
            &PatchParams::default(),
            &Patch::Merge(&status),
        )
        .await
        .unwrap();
    }
}

/// A workload that mounts `web-tls`, and whose containers name this port; it reads its files again by itself.
async fn site(scene: &Scene<'_>, kind: &'static str, port: u16, annotations: Value) {
    site_named(scene, kind, "site", port, annotations).await;
}

async fn site_named(
    scene: &Scene<'_>,
    kind: &'static str,
    name: &str,
    port: u16,
    annotations: Value,
) {
    let mut spec = pod("volume", "web-tls");
    spec["containers"][0]["ports"] = json!([{ "name": "https", "containerPort": port }]);
    let mut all = json!({ scene.group.key("rollout"): "Reload" });
    for (key, value) in annotations.as_object().unwrap() {
        all[scene.group.key(key)] = value.clone();
    }
    let workload = Workload::new(scene, kind, name);
    workload.apply(spec, all).await;
    workload.up().await;
}

fn told(certificate: &Certificate) -> RolloutStatus {
    let status = certificate.status.clone();
    status.and_then(|status| status.rollout).unwrap_or_default()
}

async fn is_told(scene: &Scene<'_>, status: ConditionStatus, reason: &str) -> Certificate {
    let told = format!("it is {reason}");
    scene
        .sees("web", &told, |web| {
            condition(web, "Served")
                .is_some_and(|served| served.status == status && served.reason == reason)
        })
        .await
}

async fn one_event(scene: &Scene<'_>, wanted: &str) {
    eventually("it is told by one Event", async || {
        let reasons = scene.event_reasons("web").await;
        match reasons.iter().filter(|reason| *reason == wanted).count() {
            1 => Ok(()),
            _ => Err(format!("{reasons:?}")),
        }
    })
    .await;
}

/// The series of stale endpoints of `web`.
fn stale(scene: &Scene<'_>) -> String {
    let namespace = &scene.namespace;
    format!("certwright_stale_endpoints{{namespace=\"{namespace}\",name=\"web\"}}")
}

pub(crate) fn on(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port))
}

#[tokio::test]
async fn who_serves_the_certificate_and_who_another_one_is_told() {
    let scene = scene("proof").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let [port] = free_ports().unwrap();
    let servers = [
        Server::start(on(2, port)).await,
        Server::start(on(3, port)).await,
    ];
    let first = scene.held("web-tls").await;
    for server in &servers {
        server.serve(&first, 9);
    }
    site(&scene, "Deployment", port, json!({})).await;
    settle(&scene, "site", &[on(2, port).ip(), on(3, port).ip()]).await;
    let served = is_told(&scene, ConditionStatus::True, "Served").await;
    assert_eq!(
        (told(&served).served, told(&served).stale_endpoints),
        (1, 0)
    );
    assert_eq!(told(&served).workloads[0].state, WorkloadState::Served);
    assert_eq!(
        operator
            .metric("certwright_issue_to_served_seconds_count")
            .await,
        Some(1.0)
    );
    assert_eq!(operator.metric(&stale(&scene)).await, Some(0.0));

    // A new certificate, which neither reads.
    scene.clock.advance(SignedDuration::from_mins(6));
    scene.renew("web", "one").await;
    let second = scene.renewed(&web).await;
    let fingerprint = &second.status.as_ref().unwrap().fingerprint;
    let both = scene
        .sees("web", "two endpoints are stale", |web| {
            let status = web
                .status
                .as_ref()
                .and_then(|status| status.rollout.as_ref());
            status.is_some_and(|told| told.fingerprint == *fingerprint && told.stale_endpoints == 2)
        })
        .await;
    assert_eq!(told(&both).workloads[0].state, WorkloadState::Stale);
    let both = condition(&both, "Served").unwrap();
    assert_eq!(
        (both.status, both.reason.as_str()),
        (ConditionStatus::False, "Stale")
    );
    assert!(
        both.message
            .contains("serves another certificate, for web.example.com"),
        "{}",
        both.message
    );
    assert_eq!(operator.metric(&stale(&scene)).await, Some(2.0));
    one_event(&scene, "Stale").await;

    // One has read it; then the other, which leaves out nothing either.
    let held = scene.held("web-tls").await;
    servers[0].serve(&held, 9);
    scene.clock.advance(SignedDuration::from_mins(6));
    scene.touch("web").await;
    scene
        .sees("web", "one endpoint is stale", |web| {
            told(web).stale_endpoints == 1
        })
        .await;
    servers[1].serve(&held, 9);
    scene.clock.advance(SignedDuration::from_mins(6));
    scene.touch("web").await;
    is_told(&scene, ConditionStatus::True, "Served").await;
    assert_eq!(
        operator
            .metric("certwright_issue_to_served_seconds_count")
            .await,
        Some(2.0)
    );
    operator.stop().await;
}

#[tokio::test]
async fn one_that_shows_nothing_any_more_is_no_alarm() {
    let scene = scene("silent").await;
    let operator = Operator::start(&scene).await;
    scene.web().await;
    let [port] = free_ports().unwrap();
    let server = Server::start(on(2, port)).await;
    server.serve(&scene.held("web-tls").await, 9);
    site(&scene, "StatefulSet", port, json!({})).await;
    settle(&scene, "site", &[on(2, port).ip()]).await;
    is_told(&scene, ConditionStatus::True, "Served").await;
    operator.kill().await;
    server.0.serve_nothing();
    let operator = Operator::start(&scene).await;
    // Whoever leads next has looked at all by then.
    scene.clock.advance(SignedDuration::from_hours(2));
    scene.touch("web").await;
    let silent = is_told(&scene, ConditionStatus::Unknown, "NotSeen").await;
    let workload = &told(&silent).workloads[0];
    assert_eq!(workload.state, WorkloadState::Healthy);
    let message = workload.message.as_deref().unwrap_or_default();
    assert!(message.contains("speaks no TLS"), "{message}");
    assert_eq!(operator.metric(&stale(&scene)).await, Some(0.0));
    operator.stop().await;
}

#[tokio::test]
async fn whoever_leads_next_tells_what_was_seen_before_and_writes_nothing() {
    let scene = scene("next").await;
    let operator = Operator::start(&scene).await;
    scene.web().await;
    let [port] = free_ports().unwrap();
    let server = Server::start(on(2, port)).await;
    server.serve(&scene.held("web-tls").await, 9);
    site(
        &scene,
        "StatefulSet",
        port,
        json!({ "rollout-probe": "https" }),
    )
    .await;
    settle(&scene, "site", &[on(2, port).ip()]).await;
    let served = is_told(&scene, ConditionStatus::True, "Served").await;
    operator.kill().await;
    let operator = Operator::start(&scene).await;
    // It has looked at each once it has looked at this one.
    scene
        .certificate("other", json!({ "dnsNames": ["other.example.com"] }))
        .await;
    scene.ready("other").await;
    let after = scene.certificates().get("web").await.unwrap();
    assert_eq!(after.status, served.status);
    operator.stop().await;
}

#[tokio::test]
async fn hosts_are_looked_at_and_what_is_left_out_is_told() {
    let scene = scene("places").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    let spec = json!({ "dnsNames": ["sub.example.com"], "isCA": true, "commonName": "sub" });
    scene.certificate("sub", spec).await;
    scene.ready("sub").await;
    scene
        .issuer("below", json!({ "ca": { "secretName": "sub-tls" } }))
        .await;
    scene.issuer_says("below", "True", "KeyPairVerified").await;
    let spec = json!({ "dnsNames": ["web.example.com"], "issuerRef": { "name": "below" } });
    scene.certificate("web", spec).await;
    scene.ready("web").await;
    let held = scene.held("web-tls").await;
    assert_eq!(held.chain.len(), 2, "there is something to leave out");
    let [port] = free_ports().unwrap();
    let server = Server::start(on(2, port)).await;
    server.serve(&held, 1);
    site(&scene, "StatefulSet", port, json!({})).await;
    settle(&scene, "site", &[on(2, port).ip()]).await;
    let incomplete = is_told(&scene, ConditionStatus::False, "IncompleteChain").await;
    let message = &condition(&incomplete, "Served").unwrap().message;
    assert!(
        message.contains("without 1 of the 1 that lead to its CA"),
        "{message}"
    );
    server.serve(&held, 2);
    scene.clock.advance(SignedDuration::from_mins(6));
    scene.touch("web").await;
    is_told(&scene, ConditionStatus::True, "Served").await;

    // A host that nobody leads to is no alarm, and is told.
    let tls = json!([{ "hosts": ["web.example.com"], "secretName": "web-tls" }]);
    let backend = json!({ "service": { "name": "site", "port": { "number": 443 } } });
    scene
        .apply(&json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "web" },
            "spec": { "tls": tls, "defaultBackend": backend },
        }))
        .await;
    let address =
        json!({ "status": { "loadBalancer": { "ingress": [{ "ip": "192.168.77.77" }] } } });
    scene
        .api::<Ingress>()
        .patch_status("web", &PatchParams::default(), &Patch::Merge(&address))
        .await
        .unwrap();
    let with_host = scene
        .sees("web", "the host is told", |web| {
            let hosts = &told(web).hosts;
            hosts.first().is_some_and(|host| {
                host.message
                    .as_ref()
                    .is_some_and(|text| text.contains("private"))
            })
        })
        .await;
    let host = &told(&with_host).hosts[0];
    assert_eq!(
        (host.host.as_str(), host.ingress.as_str()),
        ("web.example.com", "web")
    );
    assert_eq!(host.state, HostState::Unknown);
    assert_eq!(
        condition(&with_host, "Served").unwrap().status,
        ConditionStatus::True
    );
    scene
        .api::<Ingress>()
        .delete("web", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    scene
        .sees("web", "the host has gone", |web| told(web).hosts.is_empty())
        .await;
    operator.stop().await;
}

#[tokio::test]
async fn of_many_workloads_each_is_told_by_its_own_pods() {
    let scene = scene("many").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let [port] = free_ports().unwrap();
    let held = scene.held("web-tls").await;
    let mut servers = Vec::new();
    for last in 10..16 {
        let server = Server::start(on(last, port)).await;
        server.serve(&held, 9);
        servers.push(server);
        let name = format!("site-{last}");
        site_named(&scene, "StatefulSet", &name, port, json!({})).await;
        settle(&scene, &name, &[on(last, port).ip()]).await;
    }
    scene
        .sees("web", "all six serve it", |web| told(web).served == 6)
        .await;
    // Five read the next one.
    scene.clock.advance(SignedDuration::from_mins(6));
    scene.renew("web", "one").await;
    let second = scene.renewed(&web).await;
    let held = scene.held("web-tls").await;
    for server in &servers[1..] {
        server.serve(&held, 9);
    }
    let fingerprint = second.status.unwrap().fingerprint;
    scene.clock.advance(SignedDuration::from_mins(6));
    scene.touch("web").await;
    let stale = scene
        .sees("web", "one is stale", |web| {
            let told = told(web);
            told.fingerprint == fingerprint && (told.served, told.stale_endpoints) == (5, 1)
        })
        .await;
    let first = &told(&stale).workloads[0];
    assert_eq!(
        (first.name.as_str(), first.state),
        ("site-10", WorkloadState::Stale)
    );
    operator.stop().await;
}

#[tokio::test]
async fn an_ingress_controller_is_seen_to_serve_a_host() {
    let cluster = crate::http01::traefik::CLUSTER.start().await.unwrap();
    let door = cluster.front_door().unwrap();
    let mut scene = Scene::on(cluster, "host").await;
    scene.private_networks = vec!["127.0.0.0/8".parse().unwrap()];
    scene.rollout.defaults.volume_delay = SignedDuration::ZERO;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let probe = scene.group.key("rollout-probe");
    let backend = json!({ "service": { "name": "none", "port": { "number": 80 } } });
    scene
        .apply(&json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": { "name": "web", "annotations": { probe: door.https().port().to_string() } },
            "spec": {
                "ingressClassName": door.class(),
                "tls": [{ "hosts": ["web.example.com"], "secretName": "web-tls" }],
                "rules": [{
                    "host": "web.example.com",
                    "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] },
                }],
            },
        }))
        .await;
    let address = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": "127.0.0.1" }] } } });
    scene
        .api::<Ingress>()
        .patch_status("web", &PatchParams::default(), &Patch::Merge(&address))
        .await
        .unwrap();
    let serves = |fingerprint: Option<String>| {
        move |web: &Certificate| {
            let told = told(web);
            told.fingerprint == fingerprint
                && told
                    .hosts
                    .iter()
                    .any(|host| host.state == HostState::Served)
                && condition(web, "Served")
                    .is_some_and(|served| served.status == ConditionStatus::True)
        }
    };
    let first = web.status.clone().unwrap().fingerprint;
    scene.sees("web", "Traefik serves it", serves(first)).await;
    scene.clock.advance(SignedDuration::from_mins(6));
    scene.renew("web", "one").await;
    let second = scene.renewed(&web).await.status.unwrap().fingerprint;
    scene
        .sees("web", "Traefik serves the next one", serves(second))
        .await;
    operator.stop().await;
}

#[tokio::test]
async fn where_the_definition_is_older_conditions_tell_of_a_rollout() {
    let scene = scene("older").await;
    let definitions: Api<CustomResourceDefinition> = Api::all(scene.client.clone());
    let name = format!("certificates.{}", scene.group.name());
    let definition = definitions.get(&name).await.unwrap();
    let mut definition = serde_json::to_value(definition).unwrap();
    let rollout = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/rollout";
    let rollout = definition.pointer_mut(rollout).unwrap();
    rollout["properties"]
        .as_object_mut()
        .unwrap()
        .remove("workloads");
    let definition = serde_json::from_value(definition).unwrap();
    definitions
        .replace(&name, &PostParams::default(), &definition)
        .await
        .unwrap();
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let [port] = free_ports().unwrap();
    site(&scene, "StatefulSet", port, json!({})).await;
    let told = scene
        .sees("web", "its conditions tell", |web| {
            condition(web, "RolledOut").is_some_and(|told| told.status == ConditionStatus::True)
        })
        .await;
    assert_eq!(told.status.unwrap().rollout, None);
    assert!(web.status.is_some());
    operator.stop().await;
}
