//! When an issuer's CA is asked when to renew, and to whom an order says what it replaces.

use certwright_core::acme::ari;
use certwright_core::api::Certificate;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::faulty::{Fault, Faulty};
use crate::operator::{World, eventually, held};
use crate::pebble::Ways;

/// Where Pebble is asked when to renew.
const RENEWAL_INFO: &str = "/draft-ietf-acme-ari-03/renewalInfo/";

/// How often a server was asked when to renew a certificate, by what it knows it by.
fn polls(server: &Faulty, id: &str) -> usize {
    let all = server.asked();
    let is_it = |path: &str| path.strip_prefix(RENEWAL_INFO) == Some(id);
    all.iter().filter(|asked| is_it(&asked.path)).count()
}

/// What a certificate is known by, and itself as PEM.
fn known(secret: &Secret) -> (String, String) {
    let (_, certificates) = held(secret);
    let pem = pem::encode(&pem::Pem::new("CERTIFICATE", certificates[0].der.to_vec()));
    (ari::certificate_id(&certificates[0]).unwrap(), pem)
}

#[tokio::test]
async fn a_ca_is_asked_when_to_renew_as_often_as_it_says_and_only_where_the_issuer_wants_it() {
    let world = World::new(Ways::default()).await;
    let server = Faulty::before(world.pebble.listens).await;
    // A CA that wants to be asked more often than anybody asks: each minute.
    server.fails(|_, asked| {
        let is_asked = asked.path.starts_with(RENEWAL_INFO);
        let often = (
            "Retry-After: 21600".to_owned(),
            "Retry-After: 20".to_owned(),
        );
        is_asked.then_some(Fault::Replaced(often.0, often.1))
    });
    world
        .issuer_at("asks", &server.directory, &server.bundle)
        .await;
    let alone = json!({
        "server": server.directory, "caBundle": server.bundle, "renewalInformationSource": "None",
    });
    world.issuer_with("alone", &alone).await;
    for (issuer, name) in [("asks", "web"), ("alone", "still")] {
        let host = format!("{name}.example.com");
        world.certificate_of(issuer, name, &[&host]).await;
    }
    let (web, web_pem) = known(&world.ready("web", 1).await);
    let (still, still_pem) = known(&world.ready("still", 1).await);
    let past = json!({ "start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z" });
    world.pebble.suggest(&still_pem, &past).await;

    let certificates: Api<Certificate> = world.of();
    let look = async |name: &str| certificates.get(name).await.map_err(|p| p.to_string());
    let mut before = None;
    eventually("the CA is asked again", async || {
        let found = look("web").await?;
        match polls(&server, &web) {
            0 => {}
            1 => before = Some(found),
            _ => return Ok(()),
        }
        Err(world.log())
    })
    .await;
    let before = before.unwrap();
    let window = before.status.as_ref().unwrap().renewal_window.clone();
    assert!(window.is_some());

    // It said the same: nothing is written before it says something else, which is followed.
    world.pebble.suggest(&web_pem, &past).await;
    eventually("the CA is asked once more", async || {
        let found = look("web").await?;
        if found.status.as_ref().unwrap().renewal_window == window {
            assert_eq!(found.resource_version(), before.resource_version());
            return Err(world.log());
        }
        Ok(())
    })
    .await;
    let renewed = world.ready("web", 2).await;
    let annotations = renewed.metadata.annotations.unwrap();
    assert_eq!(annotations["certwright.dev/suggested"], "true");

    // Where the issuer doesn't want it, nobody is asked, however often the Certificate is looked at.
    let change = json!({ "spec": { "renewBefore": "240h" } });
    world
        .merge::<Certificate>(world.of(), "still", &change)
        .await;
    eventually("the change was seen", async || {
        let status = look("still").await?.status.unwrap_or_default();
        match status.observed_generation {
            Some(2) => Ok(()),
            _ => Err(format!("{status:#?}\n{}", world.log())),
        }
    })
    .await;
    let (id, _) = known(&world.ready("still", 1).await);
    assert_eq!((polls(&server, &still), id), (0, still));
    let status = look("still").await.unwrap().status.unwrap();
    assert_eq!(status.renewal_window, None);
}

/// What the orders that a server was asked for say that they replace, once where they agree; there was one at least.
fn replaced(server: &Faulty) -> Vec<Option<Value>> {
    let all = server.asked();
    let orders = all.iter().filter(|asked| asked.path == "/order-plz");
    let mut said: Vec<_> = orders
        .map(|asked| asked.payload().unwrap().get("replaces").cloned())
        .collect();
    assert!(!said.is_empty());
    said.dedup();
    said
}

#[tokio::test]
async fn what_an_order_replaces_is_said_only_to_the_account_that_ordered_it() {
    let world = World::new(Ways::default()).await;
    let server = Faulty::before(world.pebble.listens).await;
    for name in ["first", "second"] {
        world
            .issuer_at(name, &server.directory, &server.bundle)
            .await;
    }
    // Each time for a name more, and so for another certificate.
    let names: Vec<String> = (1..=5).map(|n| format!("web-{n}.example.com")).collect();
    let orders = async |issuer: &str, revision: usize| {
        server.recovers();
        let names: Vec<_> = names[..revision].iter().map(String::as_str).collect();
        world.certificate_of(issuer, "web", &names).await;
        let secret = world.ready("web", i64::try_from(revision).unwrap()).await;
        (replaced(&server), Some(json!(known(&secret).0)))
    };
    let (said, first) = orders("first", 1).await;
    assert_eq!(said, [None]);
    let (said, _) = orders("first", 2).await;
    assert_eq!(said, [first]);
    let (said, _) = orders("second", 3).await;
    assert_eq!(said, [None]);

    // The issuer is the same, and has another account.
    let uri = world.has_account("second").await.acme.unwrap().uri;
    let parameters = DeleteParams::default();
    let secrets = world.secrets();
    secrets.delete("second-account", &parameters).await.unwrap();
    world
        .issuer_is("second", "there is another account", |status| {
            let acme = status.acme.as_ref();
            acme.is_some_and(|acme| acme.uri.is_some() && acme.uri != uri)
        })
        .await;
    let (said, fourth) = orders("second", 4).await;
    assert_eq!(said, [None]);
    let (said, _) = orders("second", 5).await;
    assert_eq!(said, [fourth]);
}
