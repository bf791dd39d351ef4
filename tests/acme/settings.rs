//! What an issuer's fields change in what is asked of a CA, and in who proves a name.

use std::collections::BTreeMap;

use certwright::clock::{Clock as _, SystemClock};
use certwright_core::api::condition;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::faulty::{Asked, Faulty};
use crate::operator::{World, eventually, held};
use crate::pebble::Ways;

/// Until when each order for a name is to be valid that a server was asked for; there was one at least.
fn ends(server: &Faulty, name: &str) -> Vec<Option<Timestamp>> {
    let all = server.asked();
    let orders = all.iter().filter(|asked| asked.path == "/order-plz");
    let payloads = orders.map(|asked| asked.payload().unwrap());
    let ends: Vec<_> = payloads
        .filter(|payload| payload["identifiers"][0]["value"] == name)
        .map(|payload| payload["notAfter"].as_str().map(|end| end.parse().unwrap()))
        .collect();
    assert!(!ends.is_empty(), "{name}");
    ends
}

#[tokio::test]
async fn a_duration_is_asked_for_where_the_issuer_says_so_and_a_server_verified_unless_it_says_not()
{
    let world = World::new(Ways::default()).await;
    let server = Faulty::before(world.pebble.listens).await;
    let behind = json!({ "server": server.directory, "caBundle": server.bundle });
    world.issuer_with("plain", &behind).await;
    let mut lasts = behind.clone();
    lasts["enableDurationFeature"] = json!(true);
    world.issuer_with("lasts", &lasts).await;
    let unverified = json!({ "server": server.directory, "skipTLSVerify": true });
    world.issuer_with("unverified", &unverified).await;
    let unknown = json!({ "server": server.directory });
    world.issuer_with("unknown", &unknown).await;

    let begun = SystemClock.now();
    for name in ["plain", "lasts", "unverified"] {
        let more = json!({ "dnsNames": [format!("{name}.example.com")], "duration": "240h" });
        world.certificate_with(name, name, &more).await;
    }
    for name in ["plain", "lasts", "unverified"] {
        let (key, issued) = held(&world.ready(name, 1).await);
        assert_eq!(issued[0].public_key, *key.public(), "{name}");
    }
    let asked = SignedDuration::from_hours(240);
    for end in ends(&server, "lasts.example.com") {
        let lasts = end.unwrap().duration_since(begun);
        let late = SignedDuration::from_hours(1);
        // To the second, as the wire has it.
        let least = asked - SignedDuration::from_secs(1);
        assert!(least <= lasts && lasts <= asked + late, "{lasts:?}");
    }
    for name in ["plain.example.com", "unverified.example.com"] {
        assert!(ends(&server, name).iter().all(Option::is_none), "{name}");
    }

    // Nobody vouches for this server.
    let status = world
        .issuer_is("unknown", "the server is not trusted", |status| {
            condition::find(&status.conditions, "Ready").is_some()
        })
        .await;
    let ready = condition::find(&status.conditions, "Ready").unwrap();
    assert_eq!(ready.reason, "Unreachable", "{ready:?}");
    assert!(ready.message.contains("certificate"), "{ready:?}");
    assert_eq!(status.acme, None);
    world.is_tidy().await;
}

/// A solver with an ingress class and a selector, that waits for as long as it is looked at.
fn solver(class: &str, selector: Option<Value>) -> Value {
    let mut solver = json!({
        "waitInsteadOfSelfCheck": "1h", "http01": { "ingress": { "ingressClassName": class } },
    });
    if let Some(selector) = selector {
        solver["selector"] = selector;
    }
    solver
}

impl World {
    /// Through which class of Ingress each host is led in, once there are so many.
    async fn classes(&self, hosts: usize) -> BTreeMap<String, String> {
        let ingresses: Api<Ingress> = Api::namespaced(self.client.clone(), "shop");
        let labelled = ListParams::default().labels("certwright.dev/http01-solver");
        eventually("all hosts are led in", async || {
            let found = ingresses.list(&labelled).await.map_err(|p| p.to_string())?;
            let mut classes = BTreeMap::new();
            for ingress in found {
                let spec = ingress.spec.unwrap();
                let class = spec.ingress_class_name.unwrap();
                for rule in spec.rules.unwrap() {
                    classes.insert(rule.host.unwrap(), class.clone());
                }
            }
            match classes.len() == hosts {
                true => Ok(classes),
                false => Err(format!("{classes:?}\n{}", self.log())),
            }
        })
        .await
    }
}

#[tokio::test]
async fn a_solver_is_chosen_by_name_before_zone_before_label_before_its_place() {
    let world = World::new(Ways::default()).await;
    let server = Faulty::before(world.pebble.listens).await;
    let issuer = json!({
        "server": server.directory, "caBundle": server.bundle,
        "solvers": [
            solver("any", None),
            solver("team", Some(json!({ "matchLabels": { "team": "shop" } }))),
            solver("zone", Some(json!({ "dnsZones": ["example.com"] }))),
            solver("inner", Some(json!({ "dnsZones": ["inner.example.com", "example.com"] }))),
            solver("name", Some(json!({ "dnsNames": ["www.inner.example.com"] }))),
            solver("last", None),
        ],
    });
    world.issuer_with("choosy", &issuer).await;
    let certificate = |name: &str, labels: Value, names: &[&str]| {
        json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate",
            "metadata": { "name": name, "namespace": "shop", "labels": labels },
            "spec": {
                "secretName": format!("{name}-tls"), "dnsNames": names,
                "issuerRef": { "name": "choosy" },
            },
        })
    };
    let plain = [
        "a.inner.example.com",
        "b.example.com",
        "c.example.org",
        "www.inner.example.com",
    ];
    world.apply(&certificate("plain", json!({}), &plain)).await;
    let team = ["d.example.com", "e.example.org"];
    let labels = json!({ "team": "shop" });
    world.apply(&certificate("team", labels, &team)).await;
    let other = json!({ "team": "other" });
    let names = ["f.example.org"];
    world.apply(&certificate("other", other, &names)).await;

    let expected = [
        ("a.inner.example.com", "inner"),
        ("b.example.com", "zone"),
        ("c.example.org", "any"),
        ("d.example.com", "zone"),
        ("e.example.org", "team"),
        ("f.example.org", "any"),
        ("www.inner.example.com", "name"),
    ];
    let expected = expected.map(|(host, class)| (host.to_owned(), class.to_owned()));
    assert_eq!(world.classes(7).await, BTreeMap::from(expected));

    // None of them proves a wildcard, and no order is spent on it.
    let names = ["www.example.com", "*.example.com"];
    world.apply(&certificate("wild", json!({}), &names)).await;
    let failure = eventually("no solver is found", async || {
        let status = world.status_in("shop", "wild").await;
        let failure = status.last_failure.clone();
        failure.ok_or_else(|| format!("{status:#?}\n{}", world.log()))
    })
    .await;
    assert_eq!(failure.reason, "NoSolver", "{failure:?}");
    let words = "*.example.com is a wildcard, which HTTP-01 can't prove: write the hosts one by one, or use an issuer with a \
                 solver for DNS-01.";
    assert_eq!(failure.message, words);
    let asked = server.asked();
    let orders = asked.iter().filter(|asked| asked.path == "/order-plz");
    let for_it = |asked: &Asked| {
        asked
            .payload()
            .unwrap()
            .to_string()
            .contains("*.example.com")
    };
    assert!(!orders.clone().any(for_it));
    // Those of the others are not hidden from us.
    assert!(orders.count() >= 3);
}
