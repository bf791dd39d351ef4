//! What goes wrong with a new certificate, on real servers.

use std::collections::BTreeSet;

use certwright_core::api::{Certificate, Condition, ConditionStatus, condition};
use certwright_test_cluster::{Load, Server};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;

use crate::availability::Scene;
use crate::harness::{eventually, ran};
use crate::installed::NAMESPACE;
use crate::renewals::{
    all_serve, ask_to_renew, held, host, is_renewed, is_told_to_serve, leads_somewhere, leaf_of,
};
use crate::servers::{Deployed, Software};

fn says<'c>(certificate: &'c Certificate, type_: &str) -> Option<&'c Condition> {
    let status = certificate.status.as_ref()?;
    condition::find(&status.conditions, type_)
}

/// Whether a condition has this reason.
fn is(certificate: &Certificate, type_: &str, reason: &str) -> bool {
    says(certificate, type_).is_some_and(|said| said.reason == reason)
}

fn names(pods: &[(String, std::net::SocketAddr)]) -> BTreeSet<String> {
    pods.iter().map(|(name, _)| name.clone()).collect()
}

#[tokio::test]
async fn a_server_that_can_not_take_the_new_key_goes_on_with_the_one_before() {
    let scene = Scene::new("refused").await;
    let (operator, namespace) = (&scene.operator, scene.namespace.as_str());
    let rsa = json!({
        "privateKey": { "algorithm": "RSA" },
        "rollout": { "rollBack": "Enabled", "healthTimeout": "20s" },
    });
    operator.certificate_with(namespace, "legacy", rsa).await;
    operator.ready(namespace, "legacy").await;
    let software = Software::nginx_for_rsa();
    let place = ("Deployment", "legacy");
    let server = Deployed::start(operator, namespace, place, &software).await;
    let roots = roots(&scene, "legacy").await;
    let first = all_serve(operator, namespace, &server, &roots).await;
    is_told_to_serve(operator, namespace, "legacy", &first).await;
    ask_to_renew(operator, namespace, "legacy", 1).await;
    is_renewed(operator, namespace, "legacy", 1).await;
    let good = all_serve(operator, namespace, &server, &roots).await;
    is_told_to_serve(operator, namespace, "legacy", &good).await;
    server.has_rolled().await;
    leads_somewhere(server.address, "legacy", &roots).await;
    let pods = names(&server.pods().await);
    let load = Load::start(server.address, &host("legacy"), &roots).unwrap();

    let ecdsa = json!({ "privateKey": { "algorithm": "ECDSA" } });
    operator.change(namespace, "legacy", ecdsa).await;
    let went_back = |certificate: &Certificate| {
        let status = certificate.status.as_ref();
        status.is_some_and(|status| status.held_back.is_some())
            && is(certificate, "RolledOut", "RolledOut")
            && is(certificate, "Served", "Served")
    };
    let legacy = operator
        .sees(namespace, "legacy", "it went back", went_back)
        .await;
    let held_back = legacy.status.as_ref().unwrap().held_back.as_ref().unwrap();
    assert!(
        held_back.message.ends_with("runs and does not get ready"),
        "{held_back:?}"
    );
    assert!(is(&legacy, "Ready", "HeldBack"), "{legacy:?}");
    assert_eq!(leaf_of(operator, namespace, "legacy").await, good);
    // The Pods of before were never touched.
    server.has_rolled().await;
    assert_eq!(names(&server.pods().await), pods);
    assert_eq!(all_serve(operator, namespace, &server, &roots).await, good);
    for reason in ["RolledBack", "Halted"] {
        assert_eq!(
            operator.told(namespace, "legacy", reason).await,
            1,
            "{reason}"
        );
    }
    let tally = load.stop().await;
    println!("legacy: {tally}");
    assert!(tally.failures.is_empty(), "{tally}");
    assert!(
        tally.handshakes > 0 && tally.answers > tally.handshakes,
        "{tally}"
    );
}

#[tokio::test]
async fn an_image_that_is_not_there_halts_and_what_serves_goes_on() {
    let scene = Scene::new("no-image").await;
    let (operator, namespace) = (&scene.operator, scene.namespace.as_str());
    let rollout = json!({ "rollBack": "Enabled", "healthTimeout": "15s" });
    let more = json!({ "rollout": rollout });
    operator.certificate_with(namespace, "gone", more).await;
    operator.ready(namespace, "gone").await;
    let software = Software::nginx_as("certwright.test/gone:1");
    let gone = Deployed::start(operator, namespace, ("Deployment", "gone"), &software).await;
    let next = Software::nginx_later("gone");
    let later = Deployed::start(operator, namespace, ("Deployment", "later"), &next).await;
    let first = leaf_of(operator, namespace, "gone").await;
    is_told_to_serve(operator, namespace, "gone", &first).await;
    let pods = names(&gone.pods().await);
    let of_later = names(&later.pods().await);
    let before = [gone.revision().await, later.revision().await];
    forget(&scene, "certwright.test/gone:1").await;

    ask_to_renew(operator, namespace, "gone", 1).await;
    let halted = |certificate: &Certificate| is(certificate, "RolledOut", "Halted");
    let certificate = operator
        .sees(namespace, "gone", "it has come to a halt", halted)
        .await;
    let says_who = &says(&certificate, "RolledOut").unwrap().message;
    assert!(
        says_who.contains("the Pods of Deployment gone did not come up"),
        "{says_who}"
    );
    eventually("the halt is told and counted", async || {
        let told = operator.told(namespace, "gone", "Halted").await;
        let leader = operator.leader().await;
        let series = format!("certwright_rollouts_halted{{namespace=\"{namespace}\"");
        let counted = operator.metric(&leader, &series).await;
        match (told, counted) {
            (1, Some(1.0)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // Whoever serves goes on, and nothing is taken back: it isn't the certificate's fault.
    let left = names(&gone.pods().await);
    assert!(left.is_superset(&pods), "{left:?}, {pods:?}");
    assert_eq!(names(&later.pods().await), of_later);
    assert_eq!(later.revision().await, before[1]);
    let certificate = operator.certificates(namespace).get("gone").await.unwrap();
    let status = certificate.status.unwrap();
    assert_eq!(status.held_back, None);
    let rollout = status.rollout.unwrap();
    assert_eq!(rollout.refused, None);
    let mut reasons: Vec<_> = rollout.workloads.iter().collect();
    reasons.sort_by_key(|told| &told.name);
    let reasons: Vec<_> = reasons.iter().map(|told| told.reason.as_deref()).collect();
    assert_eq!(reasons, [Some("Unavailable"), Some("Halted")]);
    assert_ne!(leaf_of(operator, namespace, "gone").await, first);

    // Once it is there, all of it goes on. The other's image is the same by another name.
    for software in [&software, &next] {
        operator.cluster.import(software.image()).await.unwrap();
    }
    operator
        .sees(namespace, "gone", "it is rolled out", |certificate| {
            is(certificate, "RolledOut", "RolledOut")
        })
        .await;
    gone.has_rolled().await;
    all_serve(operator, namespace, &gone, &roots(&scene, "gone").await).await;
    let leaf = leaf_of(operator, namespace, "gone").await;
    is_told_to_serve(operator, namespace, "gone", &leaf).await;
    // Each was restarted once.
    let after = [gone.revision().await, later.revision().await];
    assert_eq!(after, before.map(|revision| revision + 1));
}

#[tokio::test]
async fn who_serves_the_one_before_is_told_and_who_is_not_reached_is_no_alarm() {
    let scene = Scene::new("stale").await;
    let (operator, namespace) = (&scene.operator, scene.namespace.as_str());
    operator.certificate(namespace, "still").await;
    operator.ready(namespace, "still").await;
    let software = Software::nginx_by_hand();
    let server = Deployed::start(operator, namespace, ("Deployment", "still"), &software).await;
    let leaf = leaf_of(operator, namespace, "still").await;
    is_told_to_serve(operator, namespace, "still", &leaf).await;

    ask_to_renew(operator, namespace, "still", 1).await;
    is_renewed(operator, namespace, "still", 1).await;
    let stale = |certificate: &Certificate| is(certificate, "Served", "Stale");
    let certificate = operator
        .sees(namespace, "still", "it is stale", stale)
        .await;
    let served = says(&certificate, "Served").unwrap();
    assert_eq!(served.status, ConditionStatus::False);
    let series = format!("certwright_stale_endpoints{{namespace=\"{namespace}\"");
    let counted = async || operator.metric(&operator.leader().await, &series).await;
    eventually("it is told and counted", async || {
        let told = operator.told(namespace, "still", "Stale").await;
        match (told, counted().await) {
            (1, Some(endpoints)) if endpoints >= 2.0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    reload(&scene, &server).await;
    let leaf = leaf_of(operator, namespace, "still").await;
    is_told_to_serve(operator, namespace, "still", &leaf).await;
    assert_eq!(counted().await, Some(0.0));

    // What a NetworkPolicy that lets nobody in does.
    deny(&scene, &server, "--insert").await;
    ask_to_renew(operator, namespace, "still", 2).await;
    is_renewed(operator, namespace, "still", 2).await;
    let unseen = |certificate: &Certificate| {
        let status = certificate.status.clone().unwrap_or_default();
        let workloads = status.rollout.unwrap_or_default().workloads;
        let told = workloads.first().and_then(|told| told.reason.as_deref());
        is(certificate, "Served", "NotSeen") && told == Some("NotSeen")
    };
    let certificate = operator
        .sees(namespace, "still", "it is not seen", unseen)
        .await;
    let served = says(&certificate, "Served").unwrap();
    assert_eq!(served.status, ConditionStatus::Unknown);
    let rollout = certificate
        .status
        .as_ref()
        .unwrap()
        .rollout
        .as_ref()
        .unwrap();
    assert_eq!(rollout.stale_endpoints, 0);
    assert_eq!(operator.told(namespace, "still", "Stale").await, 1);
    assert_eq!(counted().await, Some(0.0));
    reload(&scene, &server).await;
    deny(&scene, &server, "--delete").await;
    let leaf = leaf_of(operator, namespace, "still").await;
    is_told_to_serve(operator, namespace, "still", &leaf).await;
}

async fn roots(scene: &Scene, name: &str) -> String {
    held(&scene.operator, &scene.namespace, name, "ca.crt").await
}

/// Has the node forget an image, by whatever name it knows it.
async fn forget(scene: &Scene, image: &str) {
    let cluster = scene.operator.cluster;
    let all = ran(cluster.ctr().unwrap(), &["images", "list"], "").await;
    let known = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.nth(1)?.to_owned()))
    };
    let known: Vec<(String, String)> = all.lines().filter_map(known).collect();
    let (_, digest) = known.iter().find(|(name, _)| name == image).unwrap();
    for (name, of) in &known {
        if of == digest {
            ran(
                cluster.ctr().unwrap(),
                &["images", "remove", "--sync", name],
                "",
            )
            .await;
        }
    }
}

/// Has each nginx read its files again, once the kubelet has brought them.
async fn reload(scene: &Scene, server: &Deployed<'_>) {
    let (operator, namespace) = (&scene.operator, scene.namespace.as_str());
    let roots = roots(scene, server.name).await;
    let leaf = leaf_of(operator, namespace, server.name).await;
    for (pod, address) in server.pods().await {
        eventually(&format!("{pod} shows what is held"), async || {
            let reload = format!(
                "exec --namespace {namespace} {pod} -- /nginx -s reload -c /served/nginx.conf"
            );
            operator.kubectl(&reload, "").await;
            let shown = Server::new(address, &host(server.name), &roots).unwrap();
            match shown.shows().await {
                Ok(shown) if shown == leaf => Ok(()),
                other => Err(format!("{:?}", other.map(|_| "another"))),
            }
        })
        .await;
    }
}

/// Keeps the operator away from a server's Pods, or no longer.
async fn deny(scene: &Scene, server: &Deployed<'_>, how: &str) {
    let cluster = scene.operator.cluster;
    let address = |pod: &Pod| pod.status.clone().unwrap().pod_ip.unwrap();
    for operator in scene.operator.pods().await {
        let from = address(&operator);
        assert_eq!(operator.namespace().as_deref(), Some(NAMESPACE));
        for (_, to) in server.pods().await {
            let to = to.ip().to_string();
            let rule = [
                how,
                "FORWARD",
                "--source",
                &from,
                "--destination",
                &to,
                "--jump",
                "DROP",
            ];
            ran(cluster.command("iptables"), &rule, "").await;
        }
    }
}
