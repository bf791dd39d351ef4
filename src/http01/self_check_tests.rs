use std::collections::BTreeMap;
use std::sync::Mutex;

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::TlsAcceptor;

use super::*;

const EXPECTED: &str = "abc.thumb";

/// Answers by host and port, in memory; port 443 speaks TLS with a certificate that ended long ago.
#[derive(Default)]
struct Net {
    answers: BTreeMap<(String, u16), String>,
    asked: Mutex<Vec<String>>,
}

impl Net {
    fn with(mut self, host: &str, port: u16, answer: impl Into<String>) -> Self {
        self.answers.insert((host.to_owned(), port), answer.into());
        self
    }

    async fn look(&self, identifier: &str) -> Outcome {
        let challenge = Challenge::new(identifier, "abc").unwrap();
        look(self, &challenge, EXPECTED).await
    }
}

impl Dial for Net {
    type Stream = DuplexStream;

    async fn dial(&self, host: &str, port: u16) -> anyhow::Result<DuplexStream> {
        self.asked.lock().unwrap().push(format!("{host}:{port}"));
        let answer = self.answers.get(&(host.to_owned(), port)).cloned();
        let answer = answer.ok_or_else(|| anyhow::anyhow!("refused"))?;
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        tokio::spawn(async move {
            if port == 443 {
                let stream = acceptor().accept(theirs).await.unwrap();
                serve(stream, &answer).await;
            } else {
                serve(theirs, &answer).await;
            }
        });
        Ok(ours)
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    assert!(
        String::from_utf8(head)
            .unwrap()
            .to_lowercase()
            .contains("\r\nhost: ")
    );
    if answer.is_empty() {
        std::future::pending::<()>().await;
    }
    // Whoever has seen enough is gone already.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn acceptor() -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(["elsewhere.example".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let certificate = parameters.self_signed(&key).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn body(text: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 301 Moved\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

fn saw(outcome: Outcome) -> String {
    match outcome {
        Outcome::NotYet { saw } => saw,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_served_is_seen() {
    let net = Net::default()
        .with("shop.example", 80, body(EXPECTED))
        .with("2001:db8::1", 80, body(EXPECTED))
        .with(
            "192.0.2.1",
            80,
            format!("HTTP/1.0 200 OK\r\n\r\n{EXPECTED}"),
        );
    for identifier in ["shop.example", "2001:db8::1", "192.0.2.1"] {
        assert_eq!(net.look(identifier).await, Outcome::Served, "{identifier}");
    }
}

#[tokio::test]
async fn redirects_are_followed_to_80_and_443_whatever_the_certificate() {
    let net = Net::default()
        .with("shop.example", 80, redirect("https://www.shop.example/a#b"))
        .with("www.shop.example", 443, redirect("/c"))
        .with("plain.example", 80, redirect("https://last.example:443/"))
        .with("last.example", 443, body(EXPECTED));
    assert_eq!(net.look("plain.example").await, Outcome::Served);
    // A path at the same place leads in a circle here.
    assert!(saw(net.look("shop.example").await).contains("more than 10 redirects"));
    assert_eq!(net.asked.lock().unwrap().len(), 2 + 11);
}

#[tokio::test]
async fn a_redirect_leads_to_nothing_else() {
    for to in [
        "http://shop.example:8080/",
        "https://shop.example:22/",
        "ftp://shop.example/",
        "http://user@shop.example/",
        "relative",
        "",
        "http://",
        "//",
    ] {
        let net = Net::default().with("shop.example", 80, redirect(to));
        saw(net.look("shop.example").await);
        assert_eq!(*net.asked.lock().unwrap(), ["shop.example:80"], "{to}");
    }
}

#[tokio::test]
async fn what_is_seen_is_told_without_what_it_says() {
    let secret = "s3cret";
    for (answer, word) in [
        (body(secret), "something else, 6 bytes"),
        (body(&format!("{EXPECTED}\n")), "10 bytes"),
        (body(&secret.repeat(1000)), "1025 bytes"),
        (
            format!("HTTP/1.1 404 {secret}\r\ncontent-length: 6\r\n\r\n{secret}"),
            "404",
        ),
        (format!("HTTP/1.1 302 Found\r\nx: {secret}\r\n\r\n"), "302"),
    ] {
        let net = Net::default().with("shop.example", 80, answer);
        let saw = saw(net.look("shop.example").await);
        assert!(saw.contains(word) && !saw.contains(secret), "{saw}");
        assert!(saw.contains("http://shop.example"), "{saw}");
    }
}

#[tokio::test]
async fn who_cant_be_asked_is_named_with_the_reason() {
    let endless = format!(
        "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n",
        "a".repeat(2 * MAX_HEAD_BYTES)
    );
    let net = Net::default()
        .with("babbles.example", 80, "no HTTP at all\r\n\r\n")
        .with("endless.example", 80, endless)
        .with(
            "short.example",
            80,
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
        );
    for identifier in [
        "shop.example",
        "babbles.example",
        "endless.example",
        "short.example",
    ] {
        match net.look(identifier).await {
            Outcome::Unreachable { why } => assert!(why.contains(identifier), "{why}"),
            other => panic!("{identifier}: {other:?}"),
        }
    }
}

/// The clock runs by itself because nothing else is left to do.
#[tokio::test(start_paused = true)]
async fn who_never_answers_is_not_waited_for() {
    let net = Net::default().with("shop.example", 80, "");
    let outcome = net.look("shop.example").await;
    assert!(
        matches!(outcome, Outcome::Unreachable { .. }),
        "{outcome:?}"
    );
}
