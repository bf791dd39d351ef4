//! Servers that are watched for those who wrote ServedChecks: real ones, with each fault.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certwright::clock::{Clock as _, SystemClock};
use certwright_core::api::{Condition, ConditionStatus, ServedCheck, condition as conditions};
use futures::FutureExt as _;
use jiff::SignedDuration;
use kube::api::{Patch, PatchParams};
use rcgen::SerialNumber;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tower::layer::util::Identity;

use crate::harness::{Operator, Scene, eventually};
use crate::tls::authority::{
    Ca, NAME, Pair, answered_at, below, leaf, listed_at, root, signed, valid,
};
use crate::tls::responder::{Responder, own};
use crate::tls::revoking::{FOUND, list, published};
use crate::tls::server::Server;

use ConditionStatus::{False, True, Unknown};

/// A scene in which servers on this machine may be watched, and asked about revocation.
async fn scene(name: &str) -> Scene<'static> {
    let mut scene = Scene::new(name).await;
    scene.watched = vec!["127.0.0.1:*".parse().unwrap()];
    scene.private_networks = vec!["127.0.0.1".parse().unwrap()];
    scene
}

fn bundle(ca: &Ca) -> Value {
    BASE64_STANDARD.encode(ca.pem()).into()
}

async fn watch(scene: &Scene<'_>, name: &str, target: &str, more: Value) {
    let mut spec = json!({ "target": target, "serverName": NAME, "interval": "24h" });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    scene
        .apply(&json!({ "kind": "ServedCheck", "metadata": { "name": name }, "spec": spec }))
        .await;
}

fn said<'a>(check: &'a ServedCheck, type_: &str) -> Option<&'a Condition> {
    conditions::find(&check.status.as_ref()?.conditions, type_)
}

/// Waits until a condition of a check says this of its present spec.
async fn says(
    scene: &Scene<'_>,
    name: &str,
    type_: &str,
    status: ConditionStatus,
    reason: &str,
) -> ServedCheck {
    let what = format!("{type_} {status:?} {reason}");
    let holds = |check: &ServedCheck| {
        said(check, type_).is_some_and(|said| {
            said.status == status
                && said.reason == reason
                && said.observed_generation == check.metadata.generation
        })
    };
    scene.wait(&scene.served_checks(), name, &what, holds).await
}

/// Makes the operator look whether a check is due.
async fn touch(scene: &Scene<'_>, name: &str) {
    let moment = SystemClock.now().to_string();
    let patch = json!({ "metadata": { "annotations": { "test/touched": moment } } });
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
    let checks = scene.served_checks();
    checks.patch(name, &parameters, &patch).await.unwrap();
}

fn codes(check: &ServedCheck) -> Vec<&str> {
    let faults = &check.status.as_ref().unwrap().faults;
    faults.iter().map(|fault| fault.code.as_str()).collect()
}

async fn serve(pair: &Pair, above: &[&str]) -> Server {
    Server::start(&pair.certificate, above, &pair.key, &[]).await
}

#[tokio::test]
async fn what_real_servers_show_is_judged_and_told_once() {
    let scene = scene("judged").await;
    let operator = Operator::start(&scene).await;
    let root = root("Root");
    let below = below(&root, "Below");
    let above = below.pem();
    let above = [above.as_str()];
    let fine = serve(&signed(valid(), &below), &above).await;
    let ending = serve(&signed(leaf(2020, 2100), &below), &above).await;
    let expired = serve(&signed(leaf(2020, 2021), &below), &above).await;
    let stranger = crate::tls::authority::root("Other");
    let other = serve(&signed(valid(), &stranger), &[&stranger.pem()]).await;
    let alone = serve(&signed(valid(), &below), &[]).await;
    let serial = |mut parameters: rcgen::CertificateParams, serial: u64| {
        parameters.serial_number = Some(SerialNumber::from(serial));
        signed(parameters, &below)
    };
    let crl = published(FOUND, list(&below, 2200, 7)).await;
    let by_list = serve(&serial(listed_at(crl), 7), &above).await;
    let responder = Responder::start(&below, &own(&below)).await;
    let by_responder = serve(&serial(answered_at(&responder.url), 8), &above).await;

    let trusting = json!({ "caBundle": bundle(&root) });
    let mut soon = trusting.clone();
    // That is 114 years.
    soon["warnBefore"] = "999999h".into();
    let mut misnamed = trusting.clone();
    misnamed["serverName"] = "shop.example.com".into();
    for (name, server, spec) in [
        ("fine", &fine, &trusting),
        ("soon", &ending, &soon),
        ("misnamed", &fine, &misnamed),
        ("expired", &expired, &trusting),
        ("other", &other, &trusting),
        ("alone", &alone, &trusting),
        ("by-list", &by_list, &trusting),
        ("by-responder", &by_responder, &trusting),
    ] {
        watch(&scene, name, &server.address, spec.clone()).await;
    }
    let check = says(&scene, "fine", "Ready", True, "Valid").await;
    assert_eq!(said(&check, "Reachable").unwrap().reason, "Reached");
    let revocation = said(&check, "RevocationChecked").unwrap();
    assert_eq!(
        (revocation.status, &*revocation.reason),
        (True, "NobodyToAsk")
    );
    let status = check.status.clone().unwrap();
    let presented = status.presented.unwrap();
    assert_eq!(
        (presented.names, presented.chain_length),
        (vec![NAME.to_owned()], 2)
    );
    assert_eq!(presented.issuer, "CN=Below");
    let ends = "2200-01-01T00:00:00Z";
    assert_eq!(status.not_after.unwrap().0.to_string(), ends);
    for (name, reason, faults) in [
        ("soon", "EndsSoon", ["ends-soon"]),
        ("misnamed", "WrongName", ["wrong-name"]),
        ("expired", "Expired", ["expired"]),
        ("other", "UnknownCA", ["unknown-ca"]),
        ("alone", "MissingIntermediate", ["missing-intermediate"]),
        ("by-list", "Revoked", ["revoked"]),
        ("by-responder", "Revoked", ["revoked"]),
    ] {
        let check = says(&scene, name, "Ready", False, reason).await;
        assert_eq!(codes(&check), faults, "{name}");
        scene.tells(name, &[reason]).await;
    }
    scene.tells("fine", &["Valid"]).await;

    // A second look finds the same, and says nothing.
    let writes = scene.writes();
    scene.clock.advance(SignedDuration::from_hours(25));
    let looks = r#"certwright_reconciles_total{controller="servedcheck",outcome="success"}"#;
    let before = operator.metric(looks).await.unwrap();
    for name in ["fine", "expired", "by-list"] {
        touch(&scene, name).await;
    }
    eventually("all were looked at again", async || {
        let now = operator.metric(looks).await.unwrap();
        if now >= before + 3.0 {
            Ok(())
        } else {
            Err(format!("{now}"))
        }
    })
    .await;
    assert_eq!(scene.writes(), writes);

    let of = |name: &str, server: &Server| {
        let target = &server.address;
        format!(
            r#"namespace="{}",name="{name}",target="{target}""#,
            scene.namespace
        )
    };
    let fine = of("fine", &fine);
    let expired = of("expired", &expired);
    for (series, sign) in [(&fine, 1.0), (&expired, -1.0)] {
        let left = operator
            .metric(&format!("ssl_certificate_expiry{{{series}}}"))
            .await;
        assert_eq!(left.map(f64::signum), Some(sign), "{series}");
    }
    let ready = format!(r#"certwright_served_check_ready{{{fine},condition="True"}}"#);
    assert_eq!(operator.metric(&ready).await, Some(1.0));
    let fault = format!(r#"certwright_served_check_faults{{{expired},fault="expired"}}"#);
    assert_eq!(operator.metric(&fault).await, Some(1.0));
    operator.stop().await;
}

#[tokio::test]
async fn a_server_that_is_away_or_hangs_says_nothing_of_its_certificate() {
    let scene = scene("away").await;
    let operator = Operator::start(&scene).await;
    let root = root("Root");
    let trusting = json!({ "caBundle": bundle(&root) });
    // Held, so that nobody else listens there.
    let held = TcpSocket::new_v4().unwrap();
    held.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let away = held.local_addr().unwrap().to_string();
    let hanging = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let hangs = hanging.local_addr().unwrap().to_string();
    watch(&scene, "away", &away, trusting.clone()).await;
    watch(&scene, "hangs", &hangs, trusting.clone()).await;
    let check = says(&scene, "away", "Ready", Unknown, "Unreachable").await;
    assert_eq!(said(&check, "Reachable").unwrap().status, False);
    let check = says(&scene, "hangs", "Ready", Unknown, "TooSlow").await;
    let message = &said(&check, "Reachable").unwrap().message;
    assert!(message.contains("shake hands"), "{message}");
    scene.tells("away", &["Unreachable"]).await;

    // What was once known is taken back only after several looks, and the certificate is not blamed.
    let server = serve(&signed(leaf(2020, 2021), &root), &[]).await;
    let way = Way::to(&server.address).await;
    watch(&scene, "goes", &way.address(), trusting).await;
    says(&scene, "goes", "Ready", False, "Expired").await;
    let target = way.address();
    let fault = format!(
        r#"certwright_served_check_faults{{namespace="{}",name="goes",target="{target}",fault="expired"}}"#,
        scene.namespace
    );
    assert_eq!(operator.metric(&fault).await, Some(1.0));
    way.close();
    scene.clock.advance(SignedDuration::from_hours(25));
    eventually("it is unknown", async || {
        let seen = way.seen();
        touch(&scene, "goes").await;
        scene.clock.advance(SignedDuration::from_hours(25));
        let check = scene.served_checks().get("goes").await.unwrap();
        match said(&check, "Ready") {
            Some(ready) if ready.status == Unknown => Ok(()),
            other => Err(format!("{other:?} after {seen}")),
        }
    })
    .await;
    assert!(
        way.seen() >= 4,
        "one that came through, and three that did not: {}",
        way.seen()
    );
    let check = says(&scene, "goes", "Ready", Unknown, "NoTLS").await;
    assert_eq!(codes(&check), Vec::<&str>::new());
    assert!(check.status.unwrap().presented.is_some());
    assert_eq!(operator.metric(&fault).await, None);
    scene.tells("goes", &["Expired", "NoTLS"]).await;
    operator.stop().await;
}

/// Nothing has come in.
fn nobody_came(listener: &TcpListener) {
    assert!(listener.accept().now_or_never().is_none(), "somebody came");
}

#[tokio::test]
async fn whom_nobody_allows_nobody_dials() {
    let mut scene = Scene::new("unallowed").await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let private = elsewhere.local_addr().unwrap();
    let api_server: SocketAddr = {
        let url = scene
            .cluster
            .service_account_config(&scene.system, &scene.account);
        let url = url.await.unwrap().cluster_url;
        let authority = url.authority().unwrap().to_string();
        authority.parse().unwrap()
    };
    // A name that is listed does not lead to the operator's own host; nor does a network that holds more than it.
    scene.watched = [
        "localhost:*".to_owned(),
        format!("0.0.0.0/0:{port}"),
        format!("{api_server}"),
    ]
    .map(|text| text.parse().unwrap())
    .into();
    let operator = Operator::start(&scene).await;
    watch(&scene, "unlisted", &private.to_string(), json!({})).await;
    watch(&scene, "by-name", &format!("localhost:{port}"), json!({})).await;
    watch(
        &scene,
        "by-network",
        &format!("127.0.0.1:{port}"),
        json!({}),
    )
    .await;
    watch(&scene, "api-server", &api_server.to_string(), json!({})).await;
    let check = says(&scene, "unlisted", "Ready", False, "TargetNotAllowed").await;
    let message = &said(&check, "Ready").unwrap().message;
    assert!(message.contains("--served-check-targets"), "{message}");
    for (name, why) in [
        ("by-name", "own host"),
        ("by-network", "own host"),
        ("api-server", "is the API server's"),
    ] {
        let check = says(&scene, name, "Ready", Unknown, "Unreachable").await;
        let message = &said(&check, "Ready").unwrap().message;
        assert!(message.contains(why), "{name}: {message}");
    }
    nobody_came(&listener);
    nobody_came(&elsewhere);
    operator.stop().await;

    // Once it is allowed, it is looked at without any change.
    scene.watched = vec![format!("127.0.0.1:{}", private.port()).parse().unwrap()];
    let operator = Operator::start(&scene).await;
    elsewhere.accept().await.unwrap();
    operator.stop().await;
}

#[tokio::test]
async fn whom_a_certificate_names_is_not_asked_at_private_addresses() {
    let mut scene = scene("strangers").await;
    scene.private_networks.clear();
    let operator = Operator::start(&scene).await;
    let root = root("Root");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/ca.crl", listener.local_addr().unwrap());
    let server = serve(&signed(listed_at(url), &root), &[]).await;
    let mut spec = json!({ "caBundleSecretRef": { "name": "corp" } });
    watch(&scene, "named", &server.address, spec.clone()).await;
    let check = says(&scene, "named", "Ready", False, "InvalidCABundle").await;
    let message = &said(&check, "Ready").unwrap().message;
    assert!(message.contains("no Secret corp"), "{message}");
    let data = [("ca.crt", root.pem().into_bytes())];
    let data = data.each_ref().map(|(key, pem)| (*key, pem.as_slice()));
    scene.secret("corp", "Opaque", &data).await;
    spec["interval"] = "23h".into();
    watch(&scene, "named", &server.address, spec.clone()).await;
    let check = says(&scene, "named", "Ready", True, "Valid").await;
    let revocation = said(&check, "RevocationChecked").unwrap();
    assert_eq!(
        (revocation.status, &*revocation.reason),
        (False, "NoAnswer")
    );
    assert!(
        revocation.message.contains("own host"),
        "{}",
        revocation.message
    );
    nobody_came(&listener);

    spec["revocation"] = json!({ "crl": false, "ocsp": false });
    watch(&scene, "named", &server.address, spec).await;
    scene
        .wait(
            &scene.served_checks(),
            "named",
            "nothing of revocation",
            |check| {
                said(check, "Ready")
                    .is_some_and(|ready| ready.observed_generation == check.metadata.generation)
                    && said(check, "RevocationChecked").is_none()
            },
        )
        .await;
    operator.stop().await;
}

/// A way to a server that counts who takes it, and can be closed.
struct Way {
    at: SocketAddr,
    taken: Arc<AtomicUsize>,
    closed: Arc<std::sync::atomic::AtomicBool>,
}

impl Way {
    async fn to(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let way = Self {
            at: listener.local_addr().unwrap(),
            taken: Arc::default(),
            closed: Arc::default(),
        };
        let (taken, closed) = (Arc::clone(&way.taken), Arc::clone(&way.closed));
        let server = server.to_owned();
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                taken.fetch_add(1, Ordering::SeqCst);
                if closed.load(Ordering::SeqCst) {
                    continue;
                }
                let server = server.clone();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(server).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        way
    }

    fn address(&self) -> String {
        self.at.to_string()
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    fn seen(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn who_comes_to_lead_does_not_look_at_all_at_once() {
    const COUNT: usize = 20;
    let scene = scene("takeover").await;
    let root = root("Root");
    let server = serve(&signed(valid(), &root), &[]).await;
    let way = Way::to(&server.address).await;
    let trusting = json!({ "caBundle": bundle(&root) });
    let first = Operator::replica(&scene, "first", Identity::new()).await;
    for number in 0..COUNT {
        let name = format!("check-{number}");
        watch(&scene, &name, &way.address(), trusting.clone()).await;
    }
    for number in 0..COUNT {
        says(&scene, &format!("check-{number}"), "Ready", True, "Valid").await;
    }
    assert_eq!(way.seen(), COUNT);
    let second = Operator::replica(&scene, "second", Identity::new()).await;
    let series = format!(
        r#"certwright_served_check_ready{{namespace="{}",name="check-0",target="{}",condition="True"}}"#,
        scene.namespace,
        way.address()
    );
    assert_eq!(second.metric(&series).await, None, "told once");
    first.stop().await;
    // It leads, and looks at what is new.
    watch(&scene, "new", &way.address(), trusting).await;
    says(&scene, "new", "Ready", True, "Valid").await;
    assert_eq!(second.metric(&series).await, Some(1.0));
    let anew = way.seen() - COUNT - 1;
    assert!(
        anew < COUNT / 2,
        "{anew} were looked at again, whose turn it hardly was"
    );
    let statuses = |scene: &Scene<'_>| {
        let writes = scene.writes();
        let statuses = writes
            .iter()
            .filter(|write| write.starts_with("servedchecks/status"));
        statuses.count()
    };
    assert_eq!(statuses(&scene), COUNT + 1);

    // A day later, it is everybody's turn.
    scene.clock.advance(SignedDuration::from_hours(25));
    for number in 0..COUNT {
        touch(&scene, &format!("check-{number}")).await;
    }
    eventually("all were looked at again", async || match way.seen() {
        seen if seen >= 2 * COUNT + 1 => Ok(()),
        seen => Err(format!("{seen}")),
    })
    .await;
    assert_eq!(statuses(&scene), COUNT + 1, "nothing new was found");
    second.stop().await;
}
