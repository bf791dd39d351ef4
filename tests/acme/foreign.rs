//! Servers that are not the CA's, and servers that are not to be asked: nothing goes there.

use std::sync::Arc;

use certwright::acme::{AcmeError, Client, Transport, Verification};
use certwright::cli::OutsideSettings;
use certwright::cluster::api_server::ApiServer;
use certwright::outside::{Allowed, Outside};
use certwright_core::acme::origin::UrlProblem;
use certwright_core::pki::KeySpec;
use futures::FutureExt as _;
use tokio::net::TcpListener;

use crate::client::{key, names};
use crate::faulty::{Fault, Faulty};
use crate::pebble::{Pebble, Ways, transport};

fn is_foreign(problem: &AcmeError) -> bool {
    matches!(problem, AcmeError::Url(UrlProblem::Foreign { .. }))
}

#[tokio::test]
async fn urls_of_other_servers_are_refused_and_nothing_is_sent_there() {
    let pebble = Pebble::start(Ways::default()).await;
    let faulty = Faulty::before(pebble.listens).await;
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let foreign = format!("https://{}", elsewhere.local_addr().unwrap());
    let client = faulty.client();
    let account_key = key(KeySpec::Ecdsa(256));
    let own = faulty.directory.trim_end_matches("/dir").to_owned();
    let location = |path: &str| {
        let from = format!("Location: {own}{path}");
        Fault::Replaced(from, format!("Location: {foreign}{path}"))
    };
    client.offer().await.unwrap();

    faulty.fails_at("/sign-me-up", location("/my-account/"));
    let refused = client.account(&account_key, None, None).await.unwrap_err();
    assert!(is_foreign(&refused), "{refused}");
    faulty.recovers();
    let account = client.account(&account_key, None, None).await.unwrap().url;

    faulty.fails_at("/order-plz", location("/my-order/"));
    let asked = names(&["www.example.com"]);
    let refused = client.new_order(&account_key, &account, &asked).await;
    assert!(is_foreign(&refused.unwrap_err()));

    // Whoever names it: a status, or the CA's own objects.
    faulty.recovers();
    let url = format!("{foreign}/my-order/1");
    let order = client.order(&account_key, &account, &url).await;
    let authorization = client.authorization(&account_key, &account, &url).await;
    let accepted = client.accept(&account_key, &account, &url).await;
    let finalized = client.finalize(&account_key, &account, &url, b"csr").await;
    let chain = client.chain(&account_key, &account, &url).await;
    let told = client.set_contact(&account_key, &url, None).await;
    for refused in [
        order.unwrap_err(),
        authorization.unwrap_err(),
        accepted.unwrap_err(),
        finalized.unwrap_err(),
        chain.unwrap_err(),
        told.unwrap_err(),
    ] {
        assert!(is_foreign(&refused), "{refused}");
    }
    assert!(faulty.asked().is_empty());
    assert!(elsewhere.accept().now_or_never().is_none());
}

#[tokio::test]
async fn a_directory_that_names_anything_but_https_is_no_directory() {
    let pebble = Pebble::start(Ways::default()).await;
    let faulty = Faulty::before(pebble.listens).await;
    for url in [
        "http://127.0.0.1/order",
        "ftp://ca.example/",
        "",
        "https://a@b/",
    ] {
        let from = format!("{}/order-plz", faulty.directory.trim_end_matches("/dir"));
        faulty.fails_at("/dir", Fault::Replaced(from, url.to_owned()));
        let refused = faulty.client().offer().await.unwrap_err();
        assert!(
            matches!(refused, AcmeError::Url(UrlProblem::Unsound { .. })),
            "{refused}"
        );
    }
    for url in ["http://127.0.0.1/dir", "127.0.0.1", ""] {
        let refused = Client::new(transport(&Verification::None), url);
        let refused = refused.offer().await.unwrap_err();
        assert!(matches!(refused, AcmeError::Url(_)), "{url}: {refused}");
    }
}

#[tokio::test]
async fn a_server_is_known_by_its_root_unless_anybody_may_be_it() {
    let pebble = Pebble::start(Ways::default()).await;
    let faulty = Faulty::before(pebble.listens).await;
    let other = Verification::Roots(Some(pebble.bundle.clone()));
    for verification in [other, Verification::Roots(None)] {
        let stranger = Client::new(transport(&verification), &faulty.directory);
        let problem = stranger.offer().await.unwrap_err().to_string();
        assert!(
            problem.contains("TLS failed: invalid peer certificate"),
            "{problem}"
        );
    }
    assert!(faulty.asked().is_empty());
    let anybody = Client::new(transport(&Verification::None), &faulty.directory);
    anybody.offer().await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_not_dialled_by_whatever_name() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let outside = Arc::new(Outside::new(&OutsideSettings::default()).unwrap());
    for host in [
        "127.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "169.254.169.254",
    ] {
        let allowed = Allowed::default();
        let transport = Transport::new(Arc::clone(&outside), allowed, &Verification::None);
        let client = Client::new(transport.unwrap(), &format!("https://{host}:{port}/dir"));
        let problem = client.offer().await.unwrap_err().to_string();
        assert!(problem.contains("own host"), "{host}: {problem}");
    }
    // An administrator's word counts for all but the API server.
    let loopback = vec!["127.0.0.0/8".parse().unwrap()];
    let url = format!("https://127.0.0.1:{port}").parse().unwrap();
    let client = kube::Client::try_from(kube::Config::new(url)).unwrap();
    let url = format!("https://localhost:{port}").parse().unwrap();
    let api_server = Arc::new(ApiServer::new(client, &url));
    let allowed = Allowed::new(loopback).but_not(api_server);
    let transport = Transport::new(outside, allowed, &Verification::None).unwrap();
    let client = Client::new(transport, &format!("https://127.0.0.1:{port}/dir"));
    let problem = client.offer().await.unwrap_err().to_string();
    assert!(problem.contains("API server"), "{problem}");
    assert!(listener.accept().now_or_never().is_none());
}
