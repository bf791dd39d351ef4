//! What the operator makes of a CA's limits and outages.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use certwright::clock::{Clock as _, SystemClock};
use certwright_core::api::certificate::{Certificate, LastFailure};
use certwright_core::api::condition;
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use serde_json::json;

use crate::faulty::{Asked, Fault, Faulty, answer};
use crate::operator::{World, eventually};
use crate::pebble::Ways;

const PROBLEM: (&str, &str) = ("Content-Type", "application/problem+json");

/// The operator, with an issuer that asks Pebble by way of a server that is faulty as told.
async fn world() -> (World, Faulty) {
    let world = World::new(Ways::default()).await;
    let faulty = Faulty::before(world.pebble.listens).await;
    issuer(&world, &faulty, Some("0s")).await;
    (world, faulty)
}

async fn issuer(world: &World, faulty: &Faulty, instead_of_self_check: Option<&str>) {
    let mut solver = json!({ "http01": { "ingress": { "ingressClassName": "public" } } });
    if let Some(wait) = instead_of_self_check {
        solver["waitInsteadOfSelfCheck"] = json!(wait);
    }
    let issuer = json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": "Issuer",
        "metadata": { "name": "pebble", "namespace": "shop" },
        "spec": { "acme": {
            "server": faulty.directory,
            "caBundle": faulty.bundle,
            "privateKeySecretRef": { "name": "account" },
            "solvers": [solver],
        } },
    });
    world.apply(&issuer).await;
}

/// Waits until a Certificate's last try failed for this reason.
async fn fails(world: &World, name: &str, reason: &str) -> LastFailure {
    let certificates: Api<Certificate> = world.of();
    eventually(&format!("{name} fails: {reason}"), async || {
        let certificate = certificates.get(name).await.map_err(|p| p.to_string())?;
        let status = certificate.status.unwrap_or_default();
        let issuing = condition::find(&status.conditions, "Issuing").cloned();
        match (status.last_failure, issuing) {
            (Some(failure), Some(issuing)) if failure.reason == reason => {
                assert_eq!(issuing.reason, reason);
                assert!(issuing.message.contains(&failure.message), "{issuing:?}");
                Ok(failure)
            }
            other => Err(format!("{other:#?}\n{}", world.log())),
        }
    })
    .await
}

fn orders(faulty: &Faulty) -> usize {
    let is_order = |asked: &&Asked| asked.path == "/order-plz";
    faulty.asked().iter().filter(is_order).count()
}

/// The first order that is asked for comes to this instead.
fn first_order(faulty: &Faulty, instead: Vec<u8>) {
    let mut instead = Some(instead);
    faulty.fails(move |_, asked| {
        let is_order = asked.path == "/order-plz";
        is_order.then(|| instead.take().map(Fault::Says)).flatten()
    });
}

/// When the CA is told to look at which challenge for the first time.
fn first_looks(faulty: &Faulty) -> Arc<Mutex<BTreeMap<String, Timestamp>>> {
    let looks = Arc::new(Mutex::new(BTreeMap::new()));
    let notes = Arc::clone(&looks);
    faulty.fails(move |_, asked| {
        if asked.path.starts_with("/chalZ/") {
            let mut notes = notes.lock().unwrap();
            let first = notes.entry(asked.path.clone());
            first.or_insert_with(|| SystemClock.now());
        }
        None
    });
    looks
}

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

#[tokio::test]
async fn what_a_limit_names_is_not_asked_for_again_and_the_rest_is() {
    let (mut world, faulty) = world().await;
    world.certificate("before", &["www.example.com"]).await;
    world.ready("before", 1).await;
    let problem = json!({
        "type": "urn:ietf:params:acme:error:rateLimited",
        "detail": "too many certificates (50) already issued for \"example.com\" in the last 168h0m0s",
    });
    let headers = [PROBLEM, ("Retry-After", "86400")];
    let too_many = answer("429 Too Many Requests", &headers, &problem.to_string());
    first_order(&faulty, too_many);
    world.certificate("first", &["a.example.com"]).await;
    let limited = fails(&world, "first", "RateLimited").await;
    assert_eq!(
        limited.next_try.0,
        limited.time.0.checked_add(hours(24)).unwrap()
    );

    // Another name of the same domain waits for the same end, and says why.
    world.certificate("second", &["b.example.com"]).await;
    let held = fails(&world, "second", "WaitsForLimit").await;
    let until = limited.next_try.0;
    let about = SignedDuration::from_mins(5);
    let wait = held.next_try.0.duration_since(until);
    assert!(wait >= SignedDuration::ZERO && wait <= about, "{held:?}");
    assert_eq!(
        held.message,
        format!(
            "The CA limits how many certificates it signs for example.com; it is asked again after {until}."
        )
    );
    assert_eq!(orders(&faulty), 1);
    // Another domain does not.
    world.certificate("third", &["c.example.org"]).await;
    world.ready("third", 1).await;
    assert_eq!(orders(&faulty), 2);
    // Nor does a renewal that says what it replaces.
    world.renew("before").await;
    world.ready("before", 2).await;
    assert_eq!(orders(&faulty), 3);

    // What an operator that is new knows of it, it has from statuses.
    world.kill().await;
    world.start().await;
    world.certificate("twin", &["a.example.com"]).await;
    let held = fails(&world, "twin", "WaitsForLimit").await;
    assert!(held.next_try.0 > held.time.0, "{held:?}");
    assert_eq!(orders(&faulty), 3);
}

#[tokio::test]
async fn after_an_outage_issuance_goes_on_by_itself() {
    let (world, faulty) = world().await;
    world.certificate("before", &["before.example.com"]).await;
    world.ready("before", 1).await;
    faulty.fails(|_, _| {
        Some(Fault::Says(answer(
            "503 Service Unavailable",
            &[("Content-Type", "text/html")],
            "<html>We are away.</html>",
        )))
    });
    let names = ["one", "two", "three"];
    for name in names {
        world
            .certificate(name, &[&format!("{name}.example.com")])
            .await;
    }
    for name in names {
        let failure = fails(&world, name, "CAUnavailable").await;
        let wait = failure.next_try.0.duration_since(failure.time.0);
        assert!(wait <= SignedDuration::from_mins(5), "{failure:?}");
    }
    faulty.recovers();
    for name in names {
        world.ready(name, 1).await;
    }
    world.is_tidy().await;
}

#[tokio::test]
async fn the_moment_that_an_overloaded_ca_names_is_waited_for_and_shown() {
    let (world, faulty) = world().await;
    let back = SystemClock.now().checked_add(hours(3)).unwrap();
    let back = Timestamp::from_second(back.as_second()).unwrap();
    let date = back.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let headers = [PROBLEM, ("Retry-After", date.as_str())];
    let busy = answer("503 Service Unavailable", &headers, "{}");
    first_order(&faulty, busy);
    world.certificate("web", &["www.example.com"]).await;
    let failure = fails(&world, "web", "CAUnavailable").await;
    assert_eq!(failure.next_try.0, back, "{failure:?}");
    let certificates: Api<Certificate> = world.of();
    let status = certificates.get("web").await.unwrap().status.unwrap();
    let issuing = condition::find(&status.conditions, "Issuing").unwrap();
    assert!(issuing.message.contains(&back.to_string()), "{issuing:?}");
    assert_eq!(orders(&faulty), 1);
}

#[tokio::test]
async fn what_our_own_look_misses_is_told_once_and_left_to_the_ca_at_last() {
    let (world, faulty) = world().await;
    issuer(&world, &faulty, None).await;
    let certificate = json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate",
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": {
            "secretName": "web-tls", "issuerRef": { "name": "pebble" },
            // Nobody listens there.
            "ipAddresses": ["127.0.0.9"],
        },
    });
    world.apply(&certificate).await;
    let told_to_look = first_looks(&faulty);
    let certificates: Api<Certificate> = world.of();
    let look = async || certificates.get("web").await.map_err(|p| p.to_string());
    let told = eventually("it is told what is waited for", async || {
        let certificate = look().await?;
        let status = certificate.status.clone().unwrap_or_default();
        let issuing = condition::find(&status.conditions, "Issuing");
        let told = issuing.filter(|told| told.message.contains("Our answer is not seen from here"));
        let stands = || format!("{status:#?}\n{}", world.log());
        told.map(|_| certificate).ok_or_else(stands)
    })
    .await;
    let status = told.status.as_ref().unwrap();
    let order = status.order.as_ref().unwrap();
    let shown = &order.challenges[0];
    let patience = SignedDuration::from_mins(2);
    let since = shown.presented_at.as_ref().unwrap().0;
    let at_last = since.checked_add(patience).unwrap();
    let message = &condition::find(&status.conditions, "Issuing")
        .unwrap()
        .message;
    for part in [
        "http://127.0.0.9/.well-known/acme-challenge/… can't be reached",
        &format!("The CA is told to look at {at_last} all the same."),
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains(&shown.token), "{message}");
    // There the CA finds what we don't.
    world
        .certificate_with(
            "pebble",
            "hairpin",
            &json!({ "ipAddresses": ["127.0.0.1"] }),
        )
        .await;
    // The order is looked at again and again, and the status stays as it is.
    let before = faulty.asked().len();
    eventually("it is looked at again", async || {
        match faulty.asked().len() - before {
            4.. => Ok(()),
            asked => Err(format!("{asked}")),
        }
    })
    .await;
    assert_eq!(
        look().await.unwrap().metadata.resource_version,
        told.metadata.resource_version
    );

    // At last it is for the CA to say, which is told to look, and not before.
    let failure = eventually("the CA has looked in vain", async || {
        let status = look().await?.status.unwrap_or_default();
        let failure = status.last_failure.clone();
        // It may be under way again by now.
        let failure = failure.filter(|failure| failure.reason == "ConnectionProblem");
        failure.ok_or_else(|| format!("{status:#?}\n{}", world.log()))
    })
    .await;
    assert!(failure.message.contains("127.0.0.9"), "{failure:?}");
    world.ready("hairpin", 1).await;
    let told = told_to_look.lock().unwrap();
    assert!(told.len() >= 2);
    assert!(told.values().all(|moment| *moment >= at_last), "{told:?}");
}
