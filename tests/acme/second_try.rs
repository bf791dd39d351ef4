//! Names that the CA could not be shown, and when it is asked again.

use certwright_core::api::Certificate;
use certwright_core::api::certificate::LastFailure;
use kube::Api;
use serde_json::json;

use crate::faulty::{Fault, Faulty, Rewrite};
use crate::operator::{World, eventually};
use crate::pebble::Ways;

/// Waits until so many tries failed; the last of them.
async fn failed(world: &World, name: &str, times: i32) -> LastFailure {
    let certificates: Api<Certificate> = world.of();
    eventually(&format!("{name} fails {times} times"), async || {
        let found = certificates.get(name).await;
        let status = found.map_err(|p| p.to_string())?.status.unwrap_or_default();
        let failure = status.last_failure.clone();
        failure
            .filter(|failure| failure.attempts == times)
            .ok_or_else(|| format!("{status:#?}\n{}", world.log()))
    })
    .await
}

fn wait(failure: &LastFailure) -> i64 {
    failure.next_try.0.duration_since(failure.time.0).as_secs()
}

#[tokio::test]
async fn the_first_time_that_a_name_is_not_shown_is_tried_again_soon_and_the_second_is_not() {
    let world = World::new(Ways::default()).await;
    let server = Faulty::before(world.pebble.listens).await;
    let refused = Rewrite::by(|object| {
        object["status"] = "invalid".into();
        object["challenges"][0]["status"] = "invalid".into();
        object["challenges"][0]["error"] = json!({
            "type": "urn:ietf:params:acme:error:connection",
            "detail": "connection refused",
        });
    });
    server.fails(move |_, asked| {
        let ours = asked.path.starts_with("/authZ/");
        ours.then(|| Fault::Rewritten(refused.clone()))
    });
    world
        .issuer_at("shy", &server.directory, &server.bundle)
        .await;
    world
        .certificate_of("shy", "web", &["www.example.com"])
        .await;
    let first = failed(&world, "web", 1).await;
    assert_eq!(first.reason, "ConnectionProblem", "{first:?}");
    assert_eq!(wait(&first), 60, "{first:?}");
    // Whoever doesn't want to wait even that long is not led to think that it was the first time.
    world.renew("web").await;
    let second = failed(&world, "web", 2).await;
    assert!(wait(&second) >= 11 * 60, "{second:?}");
    // What was in the way is gone: nothing of it stays.
    server.recovers();
    world.renew_for("web", "again").await;
    world.ready("web", 1).await;
    world.is_tidy().await;
}
