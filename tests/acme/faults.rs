//! What the client makes of a server's faults: an error that says what was wrong, and nothing worse.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use certwright::acme::{AcmeError, Client, Verification};
use certwright_core::acme::AccountKey;
use certwright_core::pki::KeySpec;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::client::{key, kind, names};
use crate::faulty::{Asked, Fault, Faulty, Part, answer};
use crate::pebble::{Pebble, Ways, transport};

const SHORT: Duration = Duration::from_millis(1500);

async fn servers() -> (Pebble, Faulty) {
    let pebble = Pebble::start(Ways::default()).await;
    let faulty = Faulty::before(pebble.listens).await;
    (pebble, faulty)
}

/// An account at a server without a fault.
async fn account(client: &Client) -> (AccountKey, String) {
    let key = key(KeySpec::Ecdsa(256));
    let account = client.account(&key, None, None).await.unwrap();
    (key, account.url)
}

fn unreachable(problem: AcmeError) -> String {
    match problem {
        AcmeError::Unreachable { why, .. } => why,
        other => panic!("{other}"),
    }
}

fn nonsense(problem: AcmeError) -> String {
    match problem {
        AcmeError::Nonsense { why, .. } => why,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_breaks_off_anywhere_is_said_and_the_next_try_succeeds() {
    let (_pebble, faulty) = servers().await;
    let client = faulty.client();
    for part in Part::ALL {
        faulty.fails_at("/dir", Fault::BreaksOff(part));
        let why = unreachable(client.offer().await.unwrap_err());
        assert!(!why.is_empty() && why.len() < 300, "{part:?}: {why}");
    }
    faulty.recovers();
    client.offer().await.unwrap();
}

#[tokio::test]
async fn what_hangs_anywhere_ends_with_the_clients_patience() {
    let (_pebble, faulty) = servers().await;
    let client = faulty.client_within(SHORT);
    let ways = Part::ALL.map(Fault::Hangs);
    for fault in ways.into_iter().chain([Fault::Trickles]) {
        faulty.fails_at("/dir", fault.clone());
        let problem = client.offer().await.unwrap_err();
        assert!(
            matches!(problem, AcmeError::TimedOut { within, .. } if within == SHORT),
            "{fault:?}: {problem}"
        );
    }
    // One that never begins with TLS.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://{}/dir", listener.local_addr().unwrap());
    let silent = Client::new(transport(&Verification::None).within(SHORT), &url);
    let problem = silent.offer().await.unwrap_err();
    assert!(matches!(problem, AcmeError::TimedOut { .. }), "{problem}");
}

#[tokio::test]
async fn a_server_that_takes_no_nonce_and_its_time_is_not_waited_for_for_ever() {
    let (_pebble, faulty) = servers().await;
    let client = faulty.client_within(SHORT);
    let (key, url) = account(&client).await;
    let problem = r#"{ "type": "urn:ietf:params:acme:error:badNonce", "detail": "another" }"#;
    let json = [("Content-Type", "application/problem+json")];
    let refused = answer("400 Bad Request", &json, problem);
    // All tries of it together would take more than three times what is waited for.
    faulty.fails_at("/order-plz", Fault::SaysLate(refused, SHORT * 4 / 5));
    let asked = names(&["www.example.com"]);
    let problem = client.new_order(&key, &url, &asked).await.unwrap_err();
    // On a machine that is busy, one of them may be too late by itself.
    assert!(
        matches!(
            problem,
            AcmeError::TooSlow { .. } | AcmeError::TimedOut { .. }
        ),
        "{problem}"
    );
}

#[tokio::test]
async fn what_is_too_long_is_not_read_to_its_end() {
    let (_pebble, faulty) = servers().await;
    let client = faulty.client();
    let long = "x".repeat(10 << 20);
    let json = [("Content-Type", "application/json")];
    for fault in [
        Fault::Says(answer("200 OK", &json, &long)),
        Fault::Says(answer("500 Internal Server Error", &json, &long)),
        Fault::Endless("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"),
    ] {
        faulty.fails_at("/dir", fault);
        let why = nonsense(client.offer().await.unwrap_err());
        assert_eq!(why, "it is longer than 262144 bytes");
    }
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Type: ",
        "HTTP/1.1 200 ",
        "not HTTP at all",
    ] {
        faulty.fails_at("/dir", Fault::Endless(head));
        let why = unreachable(client.offer().await.unwrap_err());
        assert!(why.len() < 300, "{why}");
    }
}

#[tokio::test]
async fn what_is_of_another_type_or_shape_is_quoted_in_few_plain_words() {
    let (_pebble, faulty) = servers().await;
    let client = faulty.client();
    let json = [("Content-Type", "application/json")];
    let long = format!(r#"{{"newNonce":{:?},"newOrder":1}}"#, "n".repeat(100_000));
    let steering = "{\"newNonce\":{\"\\u001b[2J\\u202e\":1}}";
    for (headers, body, part) in [
        (
            &[("Content-Type", "text/html")][..],
            "{}",
            "of type \"text/html\"",
        ),
        (&[], "{}", "of type \"\""),
        (&json[..], "<html>", "can't be read"),
        (&json[..], "", "can't be read"),
        (&json[..], "[]", "can't be read"),
        (&json[..], "{}", "missing field"),
        (&json[..], long.as_str(), "can't be read"),
        (&json[..], steering, "can't be read"),
        (&json[..], "\u{feff}{}", "can't be read"),
    ] {
        faulty.fails_at("/dir", Fault::Says(answer("200 OK", headers, body)));
        let why = nonsense(client.offer().await.unwrap_err());
        assert!(why.contains(part) && why.len() < 600, "{part}: {why}");
        assert!(!why.contains(|c: char| c.is_control()), "{why:?}");
    }
    let long = "t".repeat(3000);
    let headers = [("Content-Type", long.as_str())];
    faulty.fails_at("/dir", Fault::Says(answer("200 OK", &headers, "{}")));
    assert!(nonsense(client.offer().await.unwrap_err()).len() < 600);
    for depth in [1_000, 100_000] {
        let deep = "[".repeat(depth);
        faulty.fails_at("/dir", Fault::Says(answer("200 OK", &json, &deep)));
        assert!(nonsense(client.offer().await.unwrap_err()).contains("can't be read"));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (_pebble, faulty) = servers().await;
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let to = format!("https://{}/dir", elsewhere.local_addr().unwrap());
    let client = faulty.client();
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Here",
        "308 There",
    ] {
        let headers = [("Location", to.as_str())];
        faulty.fails_at("/dir", Fault::Says(answer(status, &headers, "")));
        let why = nonsense(client.offer().await.unwrap_err());
        assert_eq!(why, format!("status {}", &status[..3]));
        assert_eq!(faulty.asked().len(), 1);
    }
    let visit = futures::FutureExt::now_or_never(elsewhere.accept());
    assert!(visit.is_none());
}

#[tokio::test]
async fn limits_and_outages_come_with_the_moment_to_come_back() {
    let (_pebble, faulty) = servers().await;
    let client = faulty.client();
    let (key, account) = account(&client).await;
    let problem = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}"#;
    for (status, kind_, body, expected) in [
        (429, "application/problem+json", problem, "rateLimited"),
        (503, "application/problem+json", problem, "rateLimited"),
        // What stands before a CA has words of its own.
        (503, "text/html", "<h1>later</h1>", ""),
        (429, "application/problem+json", "no JSON", ""),
        (502, "application/json", problem, ""),
    ] {
        for after in ["120", "Fri, 06 Nov 2026 08:49:37 GMT", ""] {
            let headers = [("Content-Type", kind_), ("Retry-After", after)];
            let said = answer(&format!("{status} No"), &headers, body);
            faulty.fails_at("/order", Fault::Says(said));
            let asked = names(&["www.example.com"]);
            let refused = client.new_order(&key, &account, &asked).await.unwrap_err();
            assert_eq!(kind(&refused), expected);
            let AcmeError::Problem {
                status: got,
                retry_after,
                ..
            } = refused
            else {
                panic!("{refused}");
            };
            assert_eq!((got, retry_after.as_deref()), (status, Some(after)));
        }
    }
    faulty.recovers();
    let asked = names(&["www.example.com"]);
    client.new_order(&key, &account, &asked).await.unwrap();
}

#[tokio::test]
async fn nonces_that_are_unsound_are_not_signed_and_rejections_end() {
    let (_pebble, faulty) = servers().await;
    let client = faulty.client();
    let account_key = key(KeySpec::Ecdsa(256));
    let long = "n".repeat(600);
    for nonce in ["", "a b", "a=", "a/b", "ä", "a\"b", long.as_str()] {
        let headers = [("Replay-Nonce", nonce)];
        faulty.fails_at("/nonce", Fault::Says(answer("200 OK", &headers, "")));
        let refused = client.account(&account_key, None, None).await.unwrap_err();
        assert_eq!(nonsense(refused), "no sound nonce", "{nonce}");
        assert!(faulty.asked().iter().all(|asked| asked.method != "POST"));
    }
    faulty.recovers();
    let account = client.account(&account_key, None, None).await.unwrap().url;

    let bad = r#"{"type":"urn:ietf:params:acme:error:badNonce","detail":"no"}"#;
    let headers = |nonce: &'static str| {
        [
            ("Content-Type", "application/problem+json"),
            ("Replay-Nonce", nonce),
        ]
    };
    // A nonce for each rejection, each used once.
    let mut told = 0;
    faulty.fails(move |_, asked| {
        told += 1;
        let nonce: &'static str = Box::leak(format!("nonce{told}").into_boxed_str());
        (asked.path.starts_with("/order"))
            .then(|| Fault::Says(answer("400 Bad Request", &headers(nonce), bad)))
    });
    let asked = names(&["www.example.com"]);
    let refused = client.new_order(&account_key, &account, &asked).await;
    assert_eq!(kind(&refused.unwrap_err()), "badNonce");
    let nonces: Vec<_> = faulty.asked().iter().map(nonce).collect();
    assert_eq!(nonces.len(), 8, "{nonces:?}");
    assert_eq!(
        nonces[1..],
        (1..8)
            .map(|told| format!("nonce{told}"))
            .collect::<Vec<_>>()
    );
}

/// The nonce that a request was signed with.
fn nonce(asked: &Asked) -> String {
    let (_, body) = asked.text.split_once("\r\n\r\n").unwrap();
    let signed: Value = serde_json::from_str(body).unwrap();
    let protected = BASE64_URL_SAFE_NO_PAD.decode(signed["protected"].as_str().unwrap());
    let protected: Value = serde_json::from_slice(&protected.unwrap()).unwrap();
    protected["nonce"].as_str().unwrap().to_owned()
}
