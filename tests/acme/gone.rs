//! A CA that says once that it does not know an account, or an order, any more.

use serde_json::json;

use crate::faulty::{Asked, Fault, Faulty, answer};
use crate::operator::{World, held};
use crate::pebble::Ways;

/// Has a server say this to the first request for a path that begins so.
fn once(server: &Faulty, path: &'static str, (status, kind): (&str, &str)) {
    let problem = json!({
        "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "never heard of it",
    });
    let headers = [("Content-Type", "application/problem+json")];
    let mut said = Some(answer(status, &headers, &problem.to_string()));
    server.fails(move |_, asked| {
        let is_it = asked.method == "POST" && asked.path.starts_with(path);
        is_it.then(|| said.take().map(Fault::Says)).flatten()
    });
}

fn orders(server: &Faulty) -> usize {
    let is_order = |asked: &&Asked| asked.path == "/order-plz";
    server.asked().iter().filter(is_order).count()
}

#[tokio::test]
async fn an_account_or_an_order_that_a_ca_does_not_know_for_once_costs_no_certificate() {
    let world = World::new(Ways::default()).await;
    let server = Faulty::before(world.pebble.listens).await;
    world
        .issuer_at("ours", &server.directory, &server.bundle)
        .await;
    let uri = world.has_account("ours").await.acme.unwrap().uri;
    let unknown = ("400 Bad Request", "accountDoesNotExist");
    let lost = ("404 Not Found", "malformed");
    for (name, path, said, reason, expected) in [
        ("ordering", "/order-plz", unknown, "AccountGone", 2),
        // An order is gone on with once the account is found again.
        ("following", "/my-order/", unknown, "AccountGone", 1),
        ("lost", "/my-order/", lost, "OrderGone", 2),
    ] {
        once(&server, path, said);
        let host = format!("{name}.example.com");
        world.certificate_of("ours", name, &[&host]).await;
        let (key, issued) = held(&world.ready(name, 1).await);
        assert_eq!(issued[0].public_key, *key.public(), "{name}");
        assert_eq!(orders(&server), expected, "{name}");
        assert!(world.events(reason).await > 0, "{name}");
        // It was looked for by its key, and no other was made.
        let asked = server.asked();
        let mut accounts = asked.iter().filter(|asked| asked.path == "/sign-me-up");
        let only_looks = |asked: &Asked| {
            let payload = asked.payload().unwrap();
            payload["onlyReturnExisting"] == true
        };
        assert!(accounts.all(only_looks), "{name}");
    }
    assert_eq!(world.has_account("ours").await.acme.unwrap().uri, uri);
    world.is_tidy().await;
}
