//! A CA that answers nobody, with many Certificates that wait for it, holds up only these.

use serde_json::json;

use crate::faulty::{Fault, Faulty};
use crate::operator::{World, eventually};
use crate::pebble::Ways;

/// So many Certificates the operator works on at once.
const PLACES: usize = 32;
/// More than that.
const MANY: usize = 60;

#[tokio::test]
async fn a_ca_that_hangs_with_many_certificates_holds_up_no_others() {
    let mut world = World::new(Ways::default()).await;
    world.kill().await;
    world.concurrency = PLACES;
    world.start().await;
    let faulty = Faulty::before(world.pebble.listens).await;
    world
        .issuer_at("hanging", &faulty.directory, &faulty.bundle)
        .await;
    world.has_account("hanging").await;
    faulty.fails_at("/order-plz", Fault::Silent);
    for count in 0..MANY {
        let name = format!("many-{count}");
        let address = format!("127.0.1.{}", count + 1);
        world
            .certificate_with("hanging", &name, &json!({ "ipAddresses": [address] }))
            .await;
    }
    let orders = || {
        let asked = faulty.asked().into_iter();
        asked.filter(|asked| asked.path == "/order-plz").count()
    };
    eventually("the CA is waited for", async || match orders() {
        0 => Err("nobody has ordered yet".to_owned()),
        _ => Ok(()),
    })
    .await;

    let root = json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": "Issuer",
        "metadata": { "name": "root", "namespace": "shop" },
        "spec": { "selfSigned": {} },
    });
    world.apply(&root).await;
    world
        .certificate_with("root", "inside", &json!({ "dnsNames": ["inside.example"] }))
        .await;
    world.ready("inside", 1).await;
    let asked = orders();
    assert!(asked < PLACES, "{asked} places were taken by them");
}
