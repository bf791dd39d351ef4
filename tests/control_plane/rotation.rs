//! A CA replaced, as servers and clients live through it; and clocks that jump.

mod tls;

use std::time::Duration;

use certwright::clock::Clock as _;
use certwright_core::api::ConditionStatus;
use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use rustls::{CertificateError, Error};
use serde_json::json;

use self::tls::{Fleet, shakes_hands};
use crate::harness::{Held, Made, Operator, Scene};
use crate::rollout::{Workload, pod};

const OVERLAP: SignedDuration = SignedDuration::from_hours(1);

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// Certificates `web-0`, `web-1` and so on of the Issuer `corp`, all ready.
async fn certificates(scene: &Scene<'_>, count: usize) -> Vec<String> {
    scene
        .issuer("corp", json!({ "ca": { "secretName": "corp" } }))
        .await;
    let names: Vec<_> = (0..count).map(|number| format!("web-{number}")).collect();
    for name in &names {
        let dns = format!("{name}.example.com");
        let spec = json!({ "dnsNames": [dns], "issuerRef": { "name": "corp" } });
        scene.certificate(name, spec).await;
    }
    for name in &names {
        scene.ready(name).await;
    }
    names
}

async fn wait_for_roots(scene: &Scene<'_>, names: &[String], count: usize) {
    for name in names {
        let what = format!("{count} roots");
        let holds = |held: &Held| held.ca.len() == count;
        scene.holds(&format!("{name}-tls"), &what, holds).await;
    }
}

/// Lets the operator look at each of them, which a label shows, and waits for so many roots.
async fn looked_at(scene: &Scene<'_>, names: &[String], roots: usize) {
    for name in names {
        let labels = json!({ "looked": roots.to_string() });
        let change = json!({ "secretTemplate": { "labels": labels } });
        scene.change(name, change).await;
    }
    for name in names {
        let what = format!("labelled, with {roots} roots");
        let holds = |held: &Held| {
            held.label("looked") == Some(&roots.to_string()) && held.ca.len() == roots
        };
        scene.holds(&format!("{name}-tls"), &what, holds).await;
    }
}

#[tokio::test]
async fn a_client_that_reads_its_ca_anew_verifies_every_server_while_the_key_is_replaced() {
    let scene = Scene::new("overlap").await;
    let operator = Operator::start(&scene).await;
    Made::ca(date(2060, 1, 1)).put(&scene, "corp").await;
    let names = certificates(&scene, 8).await;
    let mut fleet = Fleet::new(&scene, &names).await;
    let before = scene.held("web-0-tls").await;
    fleet.call_all(scene.clock.now());

    let replaced = scene.clock.now();
    Made::ca(date(2060, 1, 1)).put(&scene, "corp").await;
    wait_for_roots(&scene, &names, 2).await;
    let found = scene.clock.now();
    let mut dues = Vec::new();
    for name in &names {
        let waits = scene
            .says(name, "Issuing", ConditionStatus::False, "CAReplaced")
            .await;
        let due = waits.status.unwrap().renewal_time.unwrap().0;
        assert!(
            due >= replaced + minutes(5) - SignedDuration::from_secs(1),
            "{due}"
        );
        assert!(due <= found + OVERLAP, "{due}");
        dues.push((due, name));
    }
    dues.sort();

    // Whoever never reads its `ca.crt` again verifies a server until that shows its new certificate.
    let settled = |fleet: &Fleet<'_>, now: Timestamp| {
        let mut changed = 0;
        for pair in fleet.pairs(&before.ca) {
            let answer = shakes_hands(now, &pair);
            if pair.server.leaf().is_signed_by(&before.ca[0]) {
                assert_eq!(answer, Ok(()), "{} at {now}", pair.name);
            } else {
                changed += 1;
                // The new root has the old one's name.
                let bad = Error::InvalidCertificate(CertificateError::BadSignature);
                assert_eq!(answer, Err(bad), "{} at {now}", pair.name);
            }
        }
        changed
    };
    for (due, name) in &dues {
        let secret = format!("{name}-tls");
        let old = scene.held(&secret).await.serial();
        fleet
            .until((*due - SignedDuration::from_secs(5)).max(scene.clock.now()))
            .await;
        settled(&fleet, scene.clock.now());
        scene
            .clock
            .set((*due + SignedDuration::from_secs(1)).max(scene.clock.now()));
        scene.touch(name).await;
        let what = "signed by the new key";
        scene
            .holds(&secret, what, |held| held.serial() != old)
            .await;
    }
    let last = scene.clock.now();
    fleet.until(last + minutes(3)).await;
    assert_eq!(settled(&fleet, scene.clock.now()), names.len());

    // The operator looks at all of them, early and at last.
    for (moment, roots) in [
        (scene.clock.now(), 2),
        ((last + minutes(12)).max(found + OVERLAP + minutes(2)), 1),
    ] {
        fleet.until(moment).await;
        looked_at(&scene, &names, roots).await;
    }
    fleet.until(scene.clock.now() + minutes(3)).await;
    for name in &names {
        let status = scene.ready(name).await.status.unwrap();
        assert_eq!(status.revision, Some(2), "{name}");
    }
    operator.stop().await;
}

#[tokio::test]
async fn a_new_certificate_for_the_same_key_issues_and_rolls_nothing() {
    let scene = Scene::new("same-key").await;
    let operator = Operator::start(&scene).await;
    let first = Made::ca(date(2060, 1, 1));
    first.put(&scene, "corp").await;
    let names = certificates(&scene, 3).await;
    let mut fleet = Fleet::new(&scene, &names).await;
    let before = scene.held("web-0-tls").await;
    let reader = Workload::new(&scene, "Deployment", "reader");
    reader.apply(pod("volume", "web-0-tls"), json!({})).await;
    let web = scene.ready("web-0").await;
    reader.noted(&web).await;

    let second = first.renewed(date(2061, 1, 1));
    second.put(&scene, "corp").await;
    for name in &names {
        let what = "the new certificate of the CA";
        scene
            .holds(&format!("{name}-tls"), what, |held| {
                held.ca.len() == 1 && held.ca[0] != before.ca[0]
            })
            .await;
    }
    fleet.until(scene.clock.now() + minutes(5)).await;
    let after = scene.held("web-0-tls").await;
    assert_eq!(after.serial(), before.serial());
    assert_eq!(scene.ready("web-0").await.status.unwrap().revision, Some(1));
    scene.tells("web-0", &["Issued", "Repaired"]).await;
    // The next certificate is the first roll.
    scene.clock.advance(OVERLAP);
    scene.renew("web-0", "one").await;
    let second = scene.renewed(&web).await;
    reader.rolled(&second, 2).await;
    operator.stop().await;
}

#[tokio::test]
async fn an_expired_ca_is_replaced_and_everybody_comes_back() {
    let scene = Scene::new("expired-ca").await;
    let operator = Operator::start(&scene).await;
    let end = scene.clock.now().to_zoned(TimeZone::UTC).date() + 20.days();
    Made::ca(end).put(&scene, "corp").await;
    let names = certificates(&scene, 3).await;
    let mut fleet = Fleet::new(&scene, &names).await;
    fleet.call_all(scene.clock.now());
    let before = scene.held("web-0-tls").await;

    let ended = before.ca[0].not_after + SignedDuration::from_mins(1);
    scene.clock.set(ended);
    for name in &names {
        scene.touch(name).await;
        scene.refused(name, "Expired").await;
    }
    for pair in fleet.pairs(&before.ca) {
        let answer = shakes_hands(scene.clock.now(), &pair);
        assert!(answer.is_err(), "{} is expired", pair.name);
    }

    Made::ca(date(2060, 1, 1)).put(&scene, "corp").await;
    for name in &names {
        scene.ready(name).await;
        let held = scene.held(&format!("{name}-tls")).await;
        assert_ne!(held.serial(), before.serial());
        assert!(held.ca.iter().any(|ca| held.leaf().is_signed_by(ca)));
    }
    // As soon as the slowest volume shows it.
    let slowest = scene.clock.now() + minutes(3);
    fleet.quietly_until(slowest).await;
    fleet.until(slowest + OVERLAP + minutes(10)).await;
    for name in &names {
        scene.touch(name).await;
    }
    wait_for_roots(&scene, &names, 1).await;
    fleet.until(scene.clock.now() + minutes(3)).await;
    assert_eq!(scene.ready("web-0").await.status.unwrap().revision, Some(2));
    operator.stop().await;
}

#[tokio::test]
async fn a_machine_that_slept_over_the_renewal_renews_within_an_hour_of_waking() {
    let scene = Scene::new("asleep").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let renewal = web.status.as_ref().unwrap().renewal_time.clone().unwrap().0;
    // Timers stood still meanwhile, and nothing else tells that it is time.
    scene.clock.set(renewal + SignedDuration::from_hours(5));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let held = scene.held("web-tls").await;
    assert_eq!(
        Some(held.serial()),
        web.status.as_ref().unwrap().serial_number
    );

    // The hour that timers take at most.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3601)).await;
    tokio::time::resume();
    scene.renewed(&web).await;
    assert!(operator.runs());
    operator.stop().await;
}

#[tokio::test]
async fn a_clock_set_by_a_day_and_back_issues_nothing() {
    let scene = Scene::new("stepped").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let day = SignedDuration::from_hours(24);
    let secrets = || {
        let writes = scene.writes().into_iter();
        writes.filter(|write| write.starts_with("secrets")).count()
    };
    let before = secrets();
    for (number, step) in [day, -day, -day, day].into_iter().enumerate() {
        scene.clock.advance(step);
        let number = number.to_string();
        let labels = json!({ "looked": number });
        let change = json!({ "secretTemplate": { "labels": labels } });
        scene.change("web", change).await;
        scene
            .holds("web-tls", "looked at", |held| {
                held.label("looked") == Some(&number)
            })
            .await;
        match number.as_str() {
            // Before its time.
            "2" => drop(scene.refused("web", "NotYetValid").await),
            _ => drop(scene.ready("web").await),
        }
    }
    assert_eq!(secrets() - before, 4, "a label each time");
    let status = scene.ready("web").await.status.unwrap();
    assert_eq!(status.revision, Some(1));
    assert_eq!(status.serial_number, web.status.unwrap().serial_number);
    operator.stop().await;
}
