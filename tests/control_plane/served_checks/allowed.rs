//! Who is connected to, and who is not.

use std::net::SocketAddr;

use futures::FutureExt as _;
use serde_json::json;
use tokio::net::TcpListener;

use super::{False, True, Unknown, said, says, scene, serve, watch};
use crate::harness::{Operator, Scene};
use crate::tls::authority::{listed_at, root, signed};

/// Nothing has come in.
fn nobody_came(listener: &TcpListener) {
    assert!(listener.accept().now_or_never().is_none(), "somebody came");
}

#[tokio::test]
async fn whom_nobody_allows_nobody_dials() {
    let mut scene = Scene::new("unallowed").await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let private = elsewhere.local_addr().unwrap();
    let api_server: SocketAddr = {
        let url = scene
            .cluster
            .service_account_config(&scene.system, &scene.account);
        let url = url.await.unwrap().cluster_url;
        let authority = url.authority().unwrap().to_string();
        authority.parse().unwrap()
    };
    // A name that is listed does not lead to the operator's own host; nor does a network that holds more than it.
    scene.watched = [
        "localhost:*".to_owned(),
        format!("0.0.0.0/0:{port}"),
        format!("{api_server}"),
    ]
    .map(|text| text.parse().unwrap())
    .into();
    let operator = Operator::start(&scene).await;
    watch(&scene, "unlisted", &private.to_string(), json!({})).await;
    watch(&scene, "by-name", &format!("localhost:{port}"), json!({})).await;
    watch(
        &scene,
        "by-network",
        &format!("127.0.0.1:{port}"),
        json!({}),
    )
    .await;
    watch(&scene, "api-server", &api_server.to_string(), json!({})).await;
    let check = says(&scene, "unlisted", "Ready", False, "TargetNotAllowed").await;
    let message = &said(&check, "Ready").unwrap().message;
    assert!(message.contains("--served-check-targets"), "{message}");
    for (name, why) in [
        ("by-name", "own host"),
        ("by-network", "own host"),
        ("api-server", "is the API server's"),
    ] {
        let check = says(&scene, name, "Ready", Unknown, "Unreachable").await;
        let message = &said(&check, "Ready").unwrap().message;
        assert!(message.contains(why), "{name}: {message}");
    }
    nobody_came(&listener);
    nobody_came(&elsewhere);
    operator.stop().await;

    // Once it is allowed, it is looked at without any change.
    scene.watched = vec![format!("127.0.0.1:{}", private.port()).parse().unwrap()];
    let operator = Operator::start(&scene).await;
    elsewhere.accept().await.unwrap();
    operator.stop().await;
}

#[tokio::test]
async fn whom_a_certificate_names_is_not_asked_at_private_addresses() {
    let mut scene = scene("strangers").await;
    scene.private_networks.clear();
    let operator = Operator::start(&scene).await;
    let root = root("Root");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/ca.crl", listener.local_addr().unwrap());
    let server = serve(&signed(listed_at(url), &root), &[]).await;
    let mut spec = json!({ "caBundleSecretRef": { "name": "corp" } });
    watch(&scene, "named", &server.address, spec.clone()).await;
    let check = says(&scene, "named", "Ready", False, "InvalidCABundle").await;
    let message = &said(&check, "Ready").unwrap().message;
    assert!(message.contains("no Secret corp"), "{message}");
    let data = [("ca.crt", root.pem().into_bytes())];
    let data = data.each_ref().map(|(key, pem)| (*key, pem.as_slice()));
    scene.secret("corp", "Opaque", &data).await;
    spec["interval"] = "23h".into();
    watch(&scene, "named", &server.address, spec.clone()).await;
    let check = says(&scene, "named", "Ready", True, "Valid").await;
    let revocation = said(&check, "RevocationChecked").unwrap();
    assert_eq!(
        (revocation.status, &*revocation.reason),
        (False, "NoAnswer")
    );
    assert!(
        revocation.message.contains("own host"),
        "{}",
        revocation.message
    );
    nobody_came(&listener);

    spec["revocation"] = json!({ "crl": false, "ocsp": false });
    watch(&scene, "named", &server.address, spec).await;
    scene
        .wait(
            &scene.served_checks(),
            "named",
            "nothing of revocation",
            |check| {
                said(check, "Ready")
                    .is_some_and(|ready| ready.observed_generation == check.metadata.generation)
                    && said(check, "RevocationChecked").is_none()
            },
        )
        .await;
    operator.stop().await;
}
