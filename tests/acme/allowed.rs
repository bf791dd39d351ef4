//! A ClusterIssuer of an ACME CA that serves some namespaces only.

use certwright_core::api::condition;
use serde_json::json;

use crate::hostile::asked;
use crate::operator::{World, eventually};
use crate::tenants::BANK;

#[tokio::test]
async fn an_order_for_a_namespace_that_is_not_served_any_more_is_given_up_and_not_answered() {
    let world = World::shared("1h").await;
    world
        .shares_certificate(BANK, "bank", "bank.example.com")
        .await;
    let order = world.under_way(BANK, "bank").await;
    let path = format!("/.well-known/acme-challenge/{}", order.challenges[0].token);
    eventually("the CA would be answered", async || {
        let answer = asked(world.answers, "bank.example.com", &path).await;
        match answer.starts_with("HTTP/1.1 200 ") {
            true => Ok(()),
            false => Err(answer),
        }
    })
    .await;

    let solver = |wait: &str| {
        json!({
            "waitInsteadOfSelfCheck": wait,
            "http01": { "ingress": { "ingressClassName": "public" } },
        })
    };
    world.shares_with(solver("1h"), Some(&["shop"])).await;
    eventually("the bank is refused", async || {
        let status = world.status_in(BANK, "bank").await;
        let issuing = condition::find(&status.conditions, "Issuing");
        let refused = issuing.is_some_and(|issuing| issuing.reason == "IssuerNotAllowed");
        match refused && status.order.is_none() {
            true => Ok(()),
            false => Err(format!("{status:#?}\n{}", world.log())),
        }
    })
    .await;
    assert_eq!(world.ways_in(BANK).await, []);
    eventually("the CA is not answered", async || {
        let answer = asked(world.answers, "bank.example.com", &path).await;
        match answer.starts_with("HTTP/1.1 200 ") {
            true => Err(answer),
            false => Ok(()),
        }
    })
    .await;

    world.shares_with(solver("0s"), Some(&["shop", BANK])).await;
    world.bank_has_its_certificate().await;
}
