//! A whole issuance, at every request of which something goes wrong.

use std::time::Duration;

use certwright_core::acme::wire::OrderStatus;
use certwright_core::pki::KeySpec;

use crate::client::{key, names};
use crate::customer::Customer;
use crate::faulty::{Fault, Faulty, Part, answer};
use crate::pebble::{Pebble, Ways};

/// Issues with the n-th request failing so; how many steps failed, and how many requests there were.
async fn issued(pebble: &Pebble, faulty: &Faulty, n: usize, fault: &Fault) -> (usize, usize) {
    let fault_ = fault.clone();
    faulty.fails(move |number, _| (number == n).then(|| fault_.clone()));
    let client = faulty.client_within(Duration::from_secs(10));
    let mut customer = Customer::new(client, pebble.answers);
    let mut failures = 0;
    for _ in 0..500 {
        match customer.step().await {
            Ok(None) => {}
            Ok(Some(chain)) => {
                assert_eq!(chain[0].public_key, *customer.leaf_key.public());
                return (failures, faulty.asked().len());
            }
            // A request may have been heard whose answer was lost: the next look tells.
            Err(problem) => {
                failures += 1;
                assert_eq!(failures, 1, "{n} {fault:?}: {problem}");
            }
        }
    }
    panic!("{n} {fault:?}: no certificate in 500 steps")
}

/// How many requests an issuance takes before anything is waited for.
const REQUESTS: usize = 9;

#[tokio::test]
async fn whichever_answer_is_lost_the_certificate_arrives_after_one_more_try() {
    let pebble = Pebble::start(Ways::default()).await;
    let faulty = Faulty::before(pebble.listens).await;
    let json = [("Content-Type", "application/json")];
    let html = [("Content-Type", "text/html")];
    let faults = [
        Fault::BreaksOff(Part::Nothing),
        Fault::BreaksOff(Part::Headers),
        Fault::BreaksOff(Part::Body),
        Fault::Says(answer("503 Later", &html, "<h1>later</h1>")),
        Fault::Says(answer("200 OK", &json, "[]")),
        Fault::Endless("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"),
    ];
    for fault in &faults {
        for n in 0..REQUESTS {
            let (failures, requests) = issued(&pebble, &faulty, n, fault).await;
            assert!(requests > REQUESTS, "{n} {fault:?}: {requests} requests");
            assert!(failures <= 1);
        }
    }
}

#[tokio::test]
async fn a_server_whose_clock_is_hours_off_issues_all_the_same() {
    let pebble = Pebble::start(Ways::default()).await;
    let faulty = Faulty::before(pebble.listens).await;
    // Nothing of the client's depends on the server's clock, whatever it says.
    for date in [
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "yesterday",
    ] {
        let fault = Fault::Dated(date);
        faulty.fails(move |_, _| Some(fault.clone()));
        let client = faulty.client();
        let account_key = key(KeySpec::Ecdsa(256));
        let account = client.account(&account_key, None, None).await.unwrap().url;
        let asked = names(&["www.example.com"]);
        let order = client.new_order(&account_key, &account, &asked).await;
        assert_eq!(order.unwrap().object.status, OrderStatus::Pending);
        assert!(faulty.asked().len() > 3);
    }
}
