//! Real servers on this machine.

use std::io::Write as _;

use futures::FutureExt as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// A server of `www.example.com`; whether it wants to know who its clients are.
async fn server(ca: &CertifiedIssuer<'static, KeyPair>, asks: bool) -> u16 {
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["www.example.com".to_owned()])
        .unwrap()
        .signed_by(&key, ca)
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(clients.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = builder
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Whatever becomes of it, the next one is served.
            let _ = acceptor.accept(stream).await;
        }
    });
    port
}

/// Trusts this CA besides the public ones.
fn outside(ca: Option<&CertifiedIssuer<'static, KeyPair>>) -> Outside {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let file = ca.map(|ca| {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(ca.pem().as_bytes()).unwrap();
        file
    });
    Outside::new(&OutsideSettings {
        extra_ca_file: file.as_ref().map(|file| file.path().to_owned()),
        ..OutsideSettings::default()
    })
    .unwrap()
}

#[tokio::test]
async fn a_server_is_trusted_by_the_added_ca_for_its_own_name_only() {
    let ca = authority();
    let port = server(&ca, false).await;
    let trusting = outside(Some(&ca));
    // Found by its name, asked by another.
    let served = trusting
        .served("localhost", port, "www.example.com")
        .await
        .unwrap();
    assert_eq!(served.verdict, Ok(()));
    assert_eq!(served.chain.len(), 1);
    assert_eq!(served.protocol.as_deref(), Some("TLSv1_3"));
    assert!(served.at.ends_with(&format!(":{port}")), "{}", served.at);

    let served = trusting.served("127.0.0.1", port, "127.0.0.1").await;
    let verdict = served.unwrap().verdict.unwrap_err();
    assert_eq!(verdict, "it is not for this name");

    let served = outside(None)
        .served("127.0.0.1", port, "www.example.com")
        .await;
    let verdict = served.unwrap().verdict.unwrap_err();
    assert!(verdict.contains("no CA that is trusted here"), "{verdict}");
}

#[tokio::test]
async fn one_that_wants_to_know_its_clients_shows_its_certificate_all_the_same() {
    let ca = authority();
    let port = server(&ca, true).await;
    let outside = outside(Some(&ca));
    let served = outside.served("127.0.0.1", port, "www.example.com");
    let served = served.await.unwrap();
    assert_eq!((served.verdict, served.chain.len()), (Ok(()), 1));
}

#[tokio::test]
async fn what_is_no_tls_server_or_none_at_all_is_said() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let greeting = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example.com\r\n").await.unwrap();
    });
    let outside = outside(None);
    let problem = outside
        .served("127.0.0.1", port, "mail.example.com")
        .await
        .unwrap_err();
    assert!(
        format!("{problem:#}").contains("speaks no TLS"),
        "{problem:#}"
    );
    greeting.await.unwrap();
    let problem = outside.served("127.0.0.1", port, "a").await.unwrap_err();
    assert!(
        problem.to_string().contains("nobody takes a connection"),
        "{problem:#}"
    );
    let problem = outside.served("127.0.0.1", 1, "a b").await.unwrap_err();
    assert!(!problem.to_string().is_empty());
}

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
