//! Real servers on this machine.

use futures::FutureExt as _;
use tokio::net::TcpListener;

use super::*;

/// A proxy knows names that we can't look up, and reaches addresses that must not be asked.
#[tokio::test]
async fn what_is_reached_directly_is_looked_at_and_no_proxy_is_asked() {
    let proxy = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = server.local_addr().unwrap().port();
    let outside = Outside::new(&OutsideSettings {
        https_proxy: Some(format!("http://{}", proxy.local_addr().unwrap())),
        ..OutsideSettings::default()
    })
    .unwrap();
    for host in [
        "localhost",
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "10.0.0.1",
    ] {
        let public = Allowed::default();
        let refused = outside.reach_directly(host, port, &public).await;
        let problem = refused.unwrap_err().to_string();
        assert!(
            problem.contains("own host") || problem.contains("private address"),
            "{host}: {problem}"
        );
    }
    assert!(server.accept().now_or_never().is_none());
    let loopback = Allowed::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let reached = outside.reach_directly("localhost", port, &loopback).await;
    assert_eq!(reached.unwrap().peer_addr().unwrap().port(), port);
    assert!(proxy.accept().now_or_never().is_none());
}
