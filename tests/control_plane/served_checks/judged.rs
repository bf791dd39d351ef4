//! Real servers with each fault.

use jiff::SignedDuration;
use rcgen::{CertificateParams, SerialNumber};
use serde_json::json;

use super::{False, True, Way, bundle, codes, said, says, scene, serve, touch, watch};
use crate::harness::{Operator, Scene, eventually};
use crate::tls::authority::{Ca, NAME, answered_at, below, leaf, listed_at, root, signed, valid};
use crate::tls::responder::{Responder, own};
use crate::tls::revoking::{FOUND, list, published};
use crate::tls::server::Server;

/// A root that is trusted, and servers, by what is wrong with them.
struct World {
    root: Ca,
    servers: Vec<(&'static str, Server)>,
    _responder: Responder,
}

impl World {
    async fn new() -> Self {
        let root = root("Root");
        let below = below(&root, "Below");
        let stranger = crate::tls::authority::root("Other");
        let (above, strange) = (below.pem(), stranger.pem());
        let numbered = |mut parameters: CertificateParams, serial: u64| {
            parameters.serial_number = Some(SerialNumber::from(serial));
            signed(parameters, &below)
        };
        let crl = published(FOUND, list(&below, 2200, 7)).await;
        let responder = Responder::start(&below, &own(&below)).await;
        let mut servers = Vec::new();
        for (name, pair, above) in [
            ("fine", signed(valid(), &below), &[above.as_str()][..]),
            ("soon", signed(leaf(2020, 2100), &below), &[&above]),
            ("misnamed", signed(valid(), &below), &[&above]),
            ("expired", signed(leaf(2020, 2021), &below), &[&above]),
            ("stranger", signed(valid(), &stranger), &[&strange]),
            ("alone", signed(valid(), &below), &[]),
            ("by-list", numbered(listed_at(crl), 7), &[&above]),
            (
                "by-responder",
                numbered(answered_at(&responder.url), 8),
                &[&above],
            ),
        ] {
            servers.push((name, serve(&pair, above).await));
        }
        Self {
            root,
            servers,
            _responder: responder,
        }
    }

    async fn watch(&self, scene: &Scene<'_>) {
        for (name, server) in &self.servers {
            let mut spec = json!({ "caBundle": bundle(&self.root) });
            match *name {
                // That is 114 years.
                "soon" => spec["warnBefore"] = "999999h".into(),
                "misnamed" => spec["serverName"] = "shop.example.com".into(),
                _ => {}
            }
            watch(scene, name, &server.address, spec).await;
        }
    }

    /// The labels of the series of a server.
    fn labels(&self, scene: &Scene<'_>, name: &str) -> String {
        let mut servers = self.servers.iter();
        let (_, server) = servers.find(|(other, _)| *other == name).unwrap();
        let (namespace, target) = (&scene.namespace, &server.address);
        format!(r#"namespace="{namespace}",name="{name}",target="{target}""#)
    }
}

#[tokio::test]
async fn what_real_servers_show_is_judged_and_told_once() {
    let scene = scene("judged").await;
    let operator = Operator::start(&scene).await;
    let world = World::new().await;
    world.watch(&scene).await;
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
    for (name, reason, fault) in [
        ("soon", "EndsSoon", "ends-soon"),
        ("misnamed", "WrongName", "wrong-name"),
        ("expired", "Expired", "expired"),
        ("stranger", "UnknownCA", "unknown-ca"),
        ("alone", "MissingIntermediate", "missing-intermediate"),
        ("by-list", "Revoked", "revoked"),
        ("by-responder", "Revoked", "revoked"),
    ] {
        let check = says(&scene, name, "Ready", False, reason).await;
        assert_eq!(codes(&check), [fault], "{name}");
        scene.tells(name, &[reason]).await;
    }
    scene.tells("fine", &["Valid"]).await;

    let [fine, expired] = ["fine", "expired"].map(|name| world.labels(&scene, name));
    for (labels, sign) in [(&fine, 1.0), (&expired, -1.0)] {
        let left = operator
            .metric(&format!("ssl_certificate_expiry{{{labels}}}"))
            .await;
        assert_eq!(left.map(f64::signum), Some(sign), "{labels}");
    }
    let ready = format!(r#"certwright_served_check_ready{{{fine},condition="True"}}"#);
    assert_eq!(operator.metric(&ready).await, Some(1.0));
    let fault = format!(r#"certwright_served_check_faults{{{expired},fault="expired"}}"#);
    assert_eq!(operator.metric(&fault).await, Some(1.0));
    operator.stop().await;
}

#[tokio::test]
async fn a_look_that_finds_the_same_writes_nothing_and_one_that_does_not_is_told() {
    let scene = scene("again").await;
    let operator = Operator::start(&scene).await;
    let root = root("Root");
    let below = below(&root, "Below");
    let server = serve(&signed(valid(), &below), &[&below.pem()]).await;
    let way = Way::to(&server.address).await;
    let spec = json!({ "caBundle": bundle(&root) });
    watch(&scene, "shop", &way.address(), spec).await;
    says(&scene, "shop", "Ready", True, "Valid").await;
    scene.tells("shop", &["Valid"]).await;
    let writes = scene.writes();
    for looks in 2..5 {
        scene.clock.advance(SignedDuration::from_hours(25));
        touch(&scene, "shop").await;
        eventually("it is looked at again", async || match way.seen() {
            seen if seen >= looks => Ok(()),
            seen => Err(format!("{seen}")),
        })
        .await;
    }
    let other = serve(&signed(leaf(2020, 2021), &below), &[&below.pem()]).await;
    way.lead_to(&other.address);
    scene.clock.advance(SignedDuration::from_hours(25));
    touch(&scene, "shop").await;
    says(&scene, "shop", "Ready", False, "Expired").await;
    scene.tells("shop", &["Valid", "Expired"]).await;
    // Nothing but the last verdict and its Event was written meanwhile.
    let mut expected = writes;
    expected.extend(["servedchecks/status shop", "events"].map(str::to_owned));
    eventually("the API server has recorded it", async || {
        let writes = scene.writes();
        if writes == expected {
            Ok(())
        } else {
            Err(format!("{writes:?}"))
        }
    })
    .await;
    operator.stop().await;
}
