//! What DNS has against an order, told by a real server of zones.

use std::net::SocketAddr;

use certwright::outside::{Records, Wanted};
use certwright_core::acme::precheck::{Answer, Property};
use certwright_core::api::{Certificate, Condition, condition};
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;
use tokio::net::UdpSocket;

use crate::named::{Named, Zone};
use crate::operator::{World, eventually};

impl World {
    /// Waits until nothing is issued for this reason; what is said of it.
    async fn stops(&self, name: &str, reason: &str) -> Condition {
        let certificates: Api<Certificate> = self.of();
        eventually(&format!("{name} is stopped"), async || {
            let certificate = certificates.get(name).await.map_err(|p| p.to_string())?;
            let status = certificate.status.unwrap_or_default();
            assert_eq!(status.order, None);
            let issuing = condition::find(&status.conditions, "Issuing");
            issuing
                .filter(|issuing| issuing.reason == reason)
                .cloned()
                .ok_or_else(|| format!("{status:#?}\n{}", self.log()))
        })
        .await
    }

    /// Waits until somebody is told of this reason: once.
    async fn is_told(&self, reason: &str) {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "shop");
        eventually(&format!("{reason} is told"), async || {
            let found = events.list(&ListParams::default()).await;
            let found = found.map_err(|problem| problem.to_string())?;
            let same = |event: &&Event| event.reason.as_deref() == Some(reason);
            match found.iter().filter(same).count() {
                1 => Ok(()),
                count => Err(format!("{count} times")),
            }
        })
        .await;
    }
}

/// How many orders Pebble was asked for.
fn orders(world: &World) -> usize {
    let log = world.pebble.server.log().unwrap();
    log.matches("/order-plz").count()
}

#[tokio::test]
async fn what_dns_has_against_an_order_stops_it_until_the_record_is_there() {
    let excluding = "@ CAA 0 issue \"other.example\"\nwww A 192.0.2.1";
    let zones = [
        Zone::new("example.com", excluding),
        Zone::new("example.org", "www A 192.0.2.1"),
    ];
    let named = Named::start(&zones).await;
    let world = World::resolving(named.address()).await;
    world.issuer().await;
    world.certificate("excluded", &["www.example.com"]).await;
    world
        .certificate("missing", &["www.example.org", "shop.example.org"])
        .await;

    let excluded = world.stops("excluded", "ExcludedByCAA").await.message;
    let record = "Add the record example.com. CAA 0 issue \"pebble.example\"";
    assert!(excluded.contains(record), "{excluded}");
    assert!(excluded.contains("0 issue \"other.example\""), "{excluded}");
    let missing = world.stops("missing", "NoSuchName").await.message;
    let record = "Add an A or AAAA record for shop.example.org. ";
    assert!(missing.contains(record), "{missing}");
    for reason in ["ExcludedByCAA", "NoSuchName"] {
        world.is_told(reason).await;
    }
    assert_eq!(orders(&world), 0);

    let allowing = format!("{excluding}\n@ CAA 0 issue \"pebble.example\"");
    named.changes(&Zone::new("example.com", &allowing), 2).await;
    let both = "www A 192.0.2.1\nshop AAAA 2001:db8::1";
    named.changes(&Zone::new("example.org", both), 2).await;
    world.ready("excluded", 1).await;
    world.ready("missing", 1).await;
    assert_eq!(orders(&world), 2);

    // What was issued before is not held up by what DNS says now.
    named.changes(&Zone::new("example.com", excluding), 3).await;
    world.renew("excluded").await;
    world.ready("excluded", 2).await;
}

#[tokio::test]
async fn what_dns_does_not_know_stops_no_order() {
    let broken = Zone {
        records: None,
        ..Zone::new("example.com", "")
    };
    // Its server is said to be where the world doesn't reach it.
    let private = Zone {
        server: Some([10, 0, 0, 1].into()),
        ..Zone::new("example.org", "@ CAA 0 issue \";\"")
    };
    let named = Named::start(&[broken, private]).await;
    let world = World::resolving(named.address()).await;
    world.issuer().await;
    world.certificate("servfail", &["www.example.com"]).await;
    world.certificate("private", &["www.example.org"]).await;
    world.certificate("foreign", &["www.example.net"]).await;
    for name in ["servfail", "private", "foreign"] {
        world.ready(name, 1).await;
    }
}

fn records(at: SocketAddr) -> Records {
    Records::new(&[at]).unwrap()
}

#[tokio::test]
async fn a_zones_word_counts_where_its_servers_are_public() {
    let lines = "@ CAA 128 issue \"ca.example; accounturi=x\"\nwww A 192.0.2.1\nlost CNAME nowhere.example.net.";
    let private = Zone {
        server: Some([127, 0, 0, 1].into()),
        ..Zone::new("example.org", "")
    };
    let named = Named::start(&[Zone::new("example.com", lines), private]).await;
    let records = records(named.address());
    let caa = Answer::Records(vec![Property {
        critical: true,
        tag: "issue".to_owned(),
        value: "ca.example; accounturi=x".to_owned(),
    }]);
    let there = Answer::Records(Vec::new());
    for (name, wanted, answer) in [
        ("example.com", Wanted::Caa, &caa),
        ("www.example.com", Wanted::Caa, &Answer::Nothing),
        ("www.example.com", Wanted::Existence, &there),
        ("example.com", Wanted::Existence, &Answer::Nothing),
        ("a.b.example.com", Wanted::Existence, &Answer::NoSuchName),
        ("a.b.example.com", Wanted::Caa, &Answer::NoSuchName),
    ] {
        assert_eq!(records.resolved(name, wanted).await, *answer, "{name}");
        assert_eq!(records.published(name, wanted).await, *answer, "{name}");
    }
    let www = "www.example.org";
    let resolved = records.resolved(www, Wanted::Existence).await;
    assert_eq!(resolved, Answer::NoSuchName);
    for name in [www, "www.example.net", "lost.example.com"] {
        let published = records.published(name, Wanted::Existence).await;
        assert_ne!(published, Answer::NoSuchName, "{name}");
    }
}

#[tokio::test]
async fn a_resolver_that_is_silent_is_not_asked_again_soon() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let records = records(silent.local_addr().unwrap());
    let answer = records.resolved("first.example.com", Wanted::Caa).await;
    assert_eq!(answer, Answer::Unknown);
    let answer = records.published("second.example.com", Wanted::Caa).await;
    assert_eq!(answer, Answer::Unknown);
    let mut heard = Vec::new();
    let mut packet = [0; 1500];
    while let Ok(length) = silent.try_recv(&mut packet) {
        heard.extend_from_slice(&packet[..length]);
    }
    let asked = |label: &[u8]| heard.windows(label.len()).any(|part| part == label);
    assert!(asked(b"first"), "{heard:?}");
    assert!(!asked(b"second"), "{heard:?}");
}
