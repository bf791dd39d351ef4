//! An ACME server that claims another issuer's account to be its own.

use certwright_core::api::condition;
use serde_json::json;

use crate::faulty::{Fault, Faulty, Rewrite, answer};
use crate::operator::{World, eventually};
use crate::pebble::Ways;

#[tokio::test]
async fn whoever_claims_anothers_account_holds_up_nobody_but_himself() {
    let world = World::new(Ways::default()).await;
    world.issuer().await;
    let account = world.has_account("pebble").await.acme.unwrap().uri.unwrap();

    // His directory lists the other CA too, so that the account's URL is one that he may name.
    let thief = Faulty::before(world.pebble.listens).await;
    let origin = world.pebble.directory.trim_end_matches("/dir").to_owned();
    let listing = Rewrite::by(move |directory| {
        directory["revokeCert"] = format!("{origin}/revoke-cert").into();
    });
    let claims = answer(
        "200 OK",
        &[
            ("Content-Type", "application/json"),
            ("Location", account.as_str()),
        ],
        &json!({ "status": "valid" }).to_string(),
    );
    let problem = json!({
        "type": "urn:ietf:params:acme:error:rateLimited",
        "detail": "too many new orders (300) from this account in the last 3h0m0s",
    });
    let too_many = answer(
        "429 Too Many Requests",
        &[
            ("Content-Type", "application/problem+json"),
            ("Retry-After", "86400"),
        ],
        &problem.to_string(),
    );
    thief.fails(move |_, asked| match asked.path.as_str() {
        "/dir" => Some(Fault::Rewritten(listing.clone())),
        "/sign-me-up" => Some(Fault::Says(claims.clone())),
        "/order-plz" => Some(Fault::Says(too_many.clone())),
        _ => None,
    });
    world
        .issuer_with(
            "thief",
            &json!({ "server": thief.directory, "caBundle": thief.bundle }),
        )
        .await;
    let claimed = world.has_account("thief").await.acme.unwrap().uri;
    assert_eq!(claimed.as_ref(), Some(&account));
    for (name, reason) in [("first", "RateLimited"), ("second", "WaitsForLimit")] {
        let host = format!("{name}.example.com");
        world.certificate_of("thief", name, &[&host]).await;
        eventually(&format!("{name} fails: {reason}"), async || {
            let status = world.status_in("shop", name).await;
            match status.last_failure.as_ref() {
                Some(failure) if failure.reason == reason => Ok(()),
                _ => Err(format!("{status:#?}\n{}", world.log())),
            }
        })
        .await;
    }

    // The account orders all the same, and is given another key when that is asked for.
    world.certificate("web", &["www.example.com"]).await;
    world.ready("web", 1).await;
    world.ask_for_another_key("pebble", "1").await;
    world.has_other_key("pebble", "account", "1").await;
    let status = world.has_account("pebble").await;
    let failed = condition::find(&status.conditions, "KeyRolloverFailed");
    assert_eq!(failed, None);
    world.renew("web").await;
    world.ready("web", 2).await;
}
