//! An operator that is killed in the midst of a change of key, whatever the CA heard of it.

use std::collections::BTreeMap;

use certwright_core::acme::AccountKey;
use serde_json::json;

use crate::account::key;
use crate::client::kind;
use crate::faulty::Faulty;
use crate::killed::{Stop, are_reached};
use crate::operator::{World, field};
use crate::pebble::Ways;
use crate::rollover::CHANGE;

/// The requests of a change of key, once the next one is stored: the CA is told, it is asked by which key it knows the account,
/// and when that is written down, the account is looked for anew.
const REQUESTS: [(&str, usize); 5] = [
    (CHANGE, 0),
    ("/sign-me-up", 0),
    ("/dir", 0),
    ("/nonce-plz", 0),
    ("/sign-me-up", 1),
];

/// The keys of an account as they are stored: the present one, and the one that is to follow it.
async fn keys(world: &World, secret: &str) -> (AccountKey, Option<AccountKey>) {
    let stored = world.secrets().get(secret).await.unwrap();
    let next = field(&stored, "tls.key.next");
    (
        key(&field(&stored, "tls.key").unwrap()),
        next.map(|pem| key(&pem)),
    )
}

#[tokio::test]
async fn an_operator_killed_at_any_request_of_a_change_of_key_brings_it_to_its_end_with_the_stored_key()
 {
    let mut world = World::new(Ways::default()).await;
    let mut servers = BTreeMap::new();
    for request in REQUESTS {
        for heard in [true, false] {
            let name = format!("stop-{}", servers.len());
            let server = Faulty::before(world.pebble.listens).await;
            world
                .issuer_at(&name, &server.directory, &server.bundle)
                .await;
            servers.insert(name, (server, request, heard));
        }
    }
    let mut stops = BTreeMap::new();
    for (name, (server, request, heard)) in servers {
        let uri = world.has_account(&name).await.acme.unwrap().uri.unwrap();
        let (first, _) = keys(&world, &format!("{name}-account")).await;
        stops.insert(name, (Stop::at(server, CHANGE, request, heard), uri, first));
    }
    for name in stops.keys() {
        world.ask_for_another_key(name, "1").await;
    }
    are_reached(&world, stops.values().map(|(stop, ..)| stop)).await;
    world.kill().await;

    let mut stored = BTreeMap::new();
    for (name, (stop, ..)) in &stops {
        stop.goes_on();
        stored.insert(name, keys(&world, &format!("{name}-account")).await);
    }
    world.start().await;
    for (name, (stop, uri, first)) in &stops {
        let what = &stop.what;
        let secret = format!("{name}-account");
        let status = world.has_status(name, "1").await;
        let (now, follows) = keys(&world, &secret).await;
        // The one that was stored before the CA heard of it, wherever it stood by then.
        let (present, next) = &stored[name];
        let expected = next.as_ref().unwrap_or(present);
        assert_eq!(now.thumbprint(), expected.thumbprint(), "{what}");
        assert_ne!(now.thumbprint(), first.thumbprint(), "{what}");
        assert!(follows.is_none(), "{what}");
        // It is the same account, and nobody has it by the old one.
        let acme = status.acme.unwrap();
        assert_eq!(acme.uri.as_ref(), Some(uri), "{what}");
        let hash = acme.last_private_key_hash.as_deref();
        assert_eq!(hash, Some(now.thumbprint()), "{what}");
        let client = stop.server.client();
        assert_eq!(client.find_account(&now).await.unwrap().url, *uri, "{what}");
        let problem = client.find_account(first).await.unwrap_err();
        assert_eq!(kind(&problem), "accountDoesNotExist", "{what}");

        let names = json!({ "dnsNames": [format!("{name}.example.com")] });
        world.certificate_with(name, name, &names).await;
    }
    for name in stops.keys() {
        world.ready(name, 1).await;
    }
    world.is_tidy().await;
    assert!(!world.log().contains("PRIVATE KEY"));
}
