//! Real servers on this machine, and some that are none.

use std::sync::Arc;

use certwright_core::pki::CertificateDer;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::cli::OutsideSettings;

/// What a server of a protocol expects to hear, and what it answers.
type Script = &'static [(&'static [u8], &'static [u8])];

const SMTP: Script = &[
    (b"", b"220-mail.example.com\r\n220 waits\r\n"),
    (
        b"EHLO [127.0.0.1]\r\n",
        b"250-mail.example.com\r\n250-SIZE 1000\r\n250 starttls\r\n",
    ),
    (b"STARTTLS\r\n", b"220 go ahead\r\n"),
];
const IMAP: Script = &[
    (b"", b"* OK [CAPABILITY IMAP4rev2 STARTTLS] ready\r\n"),
    (b"a STARTTLS\r\n", b"* 1 EXISTS\r\na OK begin\r\n"),
];
const POSTGRES: Script = &[(b"\0\0\0\x08\x04\xd2\x16\x2f", b"S")];
const MYSQL: Script = &[
    (
        b"",
        b"\x4a\0\0\0\x0a8.0.36\0\x01\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0caching_sha2_password\0",
    ),
    (
        b"\x20\0\0\x01\0\x8a\0\0\0\0\0\x01\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"",
    ),
];
const LDAP_REQUEST: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
const LDAP: Script = &[(
    LDAP_REQUEST,
    b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00",
)];
/// Active Directory writes lengths in five octets, and repeats the name of what was asked for.
const LDAP_LONG: Script = &[(
    LDAP_REQUEST,
    b"\x30\x84\0\0\0\x28\x02\x01\x01\x78\x84\0\0\0\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a\x161.3.6.1.4.1.1466.20037",
)];

struct Server {
    port: u16,
    leaf: CertificateDer,
}

/// A server of `www.example.com`, behind the talk of `script`; whether it wants to know who its clients are.
async fn server(script: Script, asks: bool) -> Server {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["www.example.com".to_owned()])
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    let leaf = leaf.der().clone();
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
    let config = builder.with_single_cert(vec![leaf.clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            for (expected, answer) in script {
                let mut heard = vec![0; expected.len()];
                stream.read_exact(&mut heard).await.unwrap();
                assert_eq!(heard, *expected);
                stream.write_all(answer).await.unwrap();
            }
            // Whatever becomes of it, the next one is served.
            let _ = acceptor.accept(stream).await;
        }
    });
    Server { port, leaf }
}

fn asked(starttls: Option<StartTls>) -> Asked {
    Asked {
        name: ServerName::try_from("www.example.com").unwrap(),
        starttls,
    }
}

fn outside() -> Outside {
    Outside::new(&OutsideSettings::default()).unwrap()
}

#[tokio::test]
async fn a_server_shows_its_chain_by_name_and_by_address() {
    let server = server(&[], false).await;
    let presented = host(&outside(), "localhost", server.port, &asked(None)).await;
    let presented = presented.unwrap();
    assert_eq!(presented.chain, std::slice::from_ref(&server.leaf));
    assert_eq!(presented.protocol.as_deref(), Some("TLSv1_3"));
    assert_eq!(presented.holds_key, Some(true));
    let place = SocketAddr::from(([127, 0, 0, 1], server.port));
    let presented = address(place, &asked(None)).await.unwrap();
    assert_eq!(presented.at, place.to_string());
    assert_eq!(presented.chain, [server.leaf]);
}

#[tokio::test]
async fn one_that_wants_to_know_its_clients_shows_its_certificate_all_the_same() {
    let server = server(&[], true).await;
    let place = SocketAddr::from(([127, 0, 0, 1], server.port));
    let presented = address(place, &asked(None)).await.unwrap();
    assert_eq!(presented.chain, [server.leaf]);
}

#[tokio::test]
async fn protocols_that_begin_in_the_clear_lead_to_the_same() {
    for (starttls, script) in [
        (StartTls::Smtp, SMTP),
        (StartTls::Imap, IMAP),
        (StartTls::Postgres, POSTGRES),
        (StartTls::Mysql, MYSQL),
        (StartTls::Ldap, LDAP),
        (StartTls::Ldap, LDAP_LONG),
    ] {
        let server = server(script, false).await;
        let place = SocketAddr::from(([127, 0, 0, 1], server.port));
        let presented = address(place, &asked(Some(starttls))).await;
        assert_eq!(presented.unwrap().chain, [server.leaf], "{starttls}");
    }
}

#[tokio::test]
async fn what_is_no_tls_server_or_none_at_all_is_said() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let place = listener.local_addr().unwrap();
    let greeting = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example.com\r\n").await.unwrap();
    });
    let problem = address(place, &asked(None)).await.unwrap_err();
    assert!(matches!(problem, Unreached::NoTls { .. }), "{problem}");
    greeting.await.unwrap();
    // Held, so that nobody else listens there.
    let held = TcpSocket::new_v4().unwrap();
    held.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let place = held.local_addr().unwrap();
    let problem = address(place, &asked(None)).await.unwrap_err();
    assert!(matches!(problem, Unreached::Away { .. }), "{problem}");
    let problem = host(&outside(), "127.0.0.1", place.port(), &asked(None)).await;
    let problem = problem.unwrap_err().to_string();
    assert!(problem.contains("nobody takes a connection"), "{problem}");
}

/// Says `said` to whoever asks, hears what it will, and hangs up.
fn saying(said: Vec<u8>) -> DuplexStream {
    let (ours, mut theirs) = duplex(1 << 20);
    tokio::spawn(async move {
        theirs.write_all(&said).await.unwrap();
        theirs.shutdown().await.unwrap();
        let _ = tokio::io::copy(&mut theirs, &mut tokio::io::sink()).await;
    });
    ours
}

/// What `said` comes to.
async fn ends(starttls: StartTls, said: Vec<u8>, why: &str) {
    let ended = starttls::begin(saying(said), "there", starttls).await;
    let problem = ended.unwrap_err();
    assert!(matches!(problem, Unreached::NotStarted { .. }), "{problem}");
    let problem = problem.to_string();
    assert!(problem.contains(why), "{starttls}, {why}: {problem}");
}

#[tokio::test]
async fn a_hostile_server_of_lines_is_heard_for_so_long_only() {
    let endless = "* 220-still there\r\n".repeat(10_000).into_bytes();
    let reply = "220-still there\r\n".repeat(10_000).into_bytes();
    let untagged = ["* OK\r\n".as_bytes(), &endless].concat();
    let line = vec![b'2'; 100_000];
    for (starttls, said, why) in [
        (StartTls::Smtp, reply, "it says too much"),
        (StartTls::Smtp, line.clone(), "it says too much"),
        (
            StartTls::Smtp,
            b"554 no\r\n".to_vec(),
            r#"it says "554 no""#,
        ),
        (StartTls::Smtp, b"2200\r\n".to_vec(), r#"it says "2200""#),
        (
            StartTls::Smtp,
            b"220 hi\r\n250-mail\r\n250 SIZE\r\n".to_vec(),
            "does not offer STARTTLS",
        ),
        (
            StartTls::Smtp,
            b"220 hi\r\n250 STARTTLS\r\n454 not now\x1b[2J\r\n".to_vec(),
            r#"it says "454 not now\u{1b}[2J""#,
        ),
        (StartTls::Smtp, "220 ".repeat(3).into_bytes(), "it hung up"),
        (StartTls::Smtp, Vec::new(), "it hung up"),
        (StartTls::Imap, untagged, "it says too much"),
        (
            StartTls::Imap,
            b"* PREAUTH hi\r\n".to_vec(),
            "it greets with",
        ),
        (
            StartTls::Imap,
            b"* OK\r\na BAD what\r\n".to_vec(),
            "a BAD what",
        ),
    ] {
        ends(starttls, said, why).await;
    }
}

#[tokio::test]
async fn a_hostile_server_of_packets_is_heard_for_so_long_only() {
    for (starttls, said, why) in [
        (StartTls::Postgres, b"N".to_vec(), "without TLS"),
        (
            StartTls::Postgres,
            b"E".to_vec(),
            "otherwise than PostgreSQL",
        ),
        (StartTls::Mysql, vec![0xff; 4], "it says too much"),
        (StartTls::Mysql, vec![0; 4], "it greets with nothing"),
        (
            StartTls::Mysql,
            b"\x03\0\0\0\xff\x10\x04".to_vec(),
            "it refuses",
        ),
        (
            StartTls::Mysql,
            b"\x01\0\0\0\x09".to_vec(),
            "otherwise than MySQL",
        ),
        (StartTls::Mysql, b"\x03\0\0\0\x0a8\0".to_vec(), "breaks off"),
        (
            StartTls::Mysql,
            b"\x14\0\0\0\x0a8\0\x01\0\0\0abcdefgh\0\xff\xf7\xff\xff".to_vec(),
            "without TLS",
        ),
        (StartTls::Ldap, b"\x31\0".to_vec(), "otherwise than LDAP"),
        (StartTls::Ldap, b"\x30\x80".to_vec(), "no length"),
        (
            StartTls::Ldap,
            b"\x30\x84\xff\xff\xff\xff\x02\x01\x01\x78\x03\x0a\x01\x00".to_vec(),
            "it says too much",
        ),
        (
            StartTls::Ldap,
            b"\x30\x02\x02\x01\x01\x78\x03\x0a\x01\x00".to_vec(),
            "breaks off",
        ),
        (
            StartTls::Ldap,
            b"\x30\x08\x02\x01\x02\x78\x03\x0a\x01\x00".to_vec(),
            "something else",
        ),
        (
            StartTls::Ldap,
            b"\x30\x08\x02\x01\x01\x78\x03\x0a\x01\x34".to_vec(),
            "result code [52]",
        ),
    ] {
        ends(starttls, said, why).await;
    }
}

/// No socket is involved, so the clock may run ahead.
#[tokio::test(start_paused = true)]
async fn one_that_says_nothing_is_waited_for_so_long_only() {
    for starttls in [
        StartTls::Smtp,
        StartTls::Imap,
        StartTls::Postgres,
        StartTls::Mysql,
        StartTls::Ldap,
    ] {
        let (ours, _theirs) = duplex(1 << 10);
        let ended = starttls::begin(ours, "there", starttls).await;
        assert_eq!(
            ended.unwrap_err().to_string(),
            "there took longer than 10 s to lead to TLS"
        );
    }
}
