//! Real servers on this machine, under whatever names and ports a test gives them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use futures::FutureExt as _;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const ANSWER: &str = "token.thumbprint";
const PATH: &str = "/.well-known/acme-challenge/token";

/// Who is where, and what they were asked.
#[derive(Default)]
struct World {
    servers: BTreeMap<(String, u16), SocketAddr>,
    dialled: Mutex<Vec<String>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Dial for World {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, anyhow::Result<TcpStream>> {
        async move {
            self.dialled.lock().unwrap().push(format!("{host} {port}"));
            let server = self.servers.get(&(host.to_owned(), port));
            let server = server.context("nobody is there")?;
            Ok(TcpStream::connect(server).await?)
        }
        .boxed()
    }
}

impl World {
    /// One that gives everybody this answer.
    async fn with(mut self, host: &str, port: u16, answer: impl Into<String>) -> Self {
        let answer = answer.into();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::clone(&self.heads);
        let tls = (port == 443).then(acceptor);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Whatever becomes of it, the next one is served.
                let _ = match &tls {
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => converse(stream, &answer, &heads).await,
                        Err(problem) => Err(problem),
                    },
                    None => converse(stream, &answer, &heads).await,
                };
            }
        });
        self.servers.insert((host.to_owned(), port), address);
        self
    }

    async fn look(&self, identifier: &str) -> Outcome {
        look(self, &Challenge::new(identifier, "token").unwrap(), ANSWER).await
    }

    fn dialled(&self) -> Vec<String> {
        self.dialled.lock().unwrap().clone()
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &str,
    heads: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    heads.lock().unwrap().push(head.to_ascii_lowercase());
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// A certificate for another name, by nobody that anybody trusts, long expired.
fn acceptor() -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(["elsewhere.example".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let leaf = parameters.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn text(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 301 Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

fn seen(outcome: Outcome) -> String {
    match outcome {
        Outcome::NotYet { saw } => saw,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_answer_is_found_as_a_ca_asks_for_it() {
    let world = World::default()
        .with("www.example.com", 80, text(ANSWER))
        .await;
    assert_eq!(world.look("www.example.com").await, Outcome::Served);
    let head = &world.heads()[0];
    assert!(
        head.starts_with(&format!("get {PATH} http/1.1\r\n")),
        "{head}"
    );
    assert!(head.contains("\r\nhost: www.example.com\r\n"), "{head}");
    assert_eq!(world.dialled(), ["www.example.com 80"]);
}

#[tokio::test]
async fn addresses_of_both_families_are_asked_by_themselves() {
    for (address, host) in [("192.0.2.7", "192.0.2.7"), ("2001:db8::7", "[2001:db8::7]")] {
        let world = World::default().with(address, 80, text(ANSWER)).await;
        assert_eq!(world.look(address).await, Outcome::Served);
        let head = &world.heads()[0];
        assert!(head.contains(&format!("\r\nhost: {host}\r\n")), "{head}");
    }
}

#[tokio::test]
async fn redirects_are_followed_also_to_tls_whose_certificate_nobody_would_trust() {
    let world = World::default()
        .with(
            "example.com",
            80,
            redirect(&format!("https://www.example.com{PATH}?from=80")),
        )
        .await
        .with(
            "www.example.com",
            443,
            redirect("http://last.example.com/deep/er"),
        )
        .await
        .with("last.example.com", 80, text(ANSWER))
        .await;
    assert_eq!(world.look("example.com").await, Outcome::Served);
    let lines: Vec<String> = world
        .heads()
        .iter()
        .map(|head| head.lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(
        lines,
        [
            format!("get {PATH} http/1.1"),
            format!("get {PATH}?from=80 http/1.1"),
            "get /deep/er http/1.1".to_owned(),
        ]
    );
}

#[tokio::test]
async fn redirects_that_no_ca_follows_are_not_followed() {
    for (to, part) in [
        ("http://www.example.com:8080/", "on neither port 80 nor 443"),
        (
            "https://www.example.com:6443/api",
            "on neither port 80 nor 443",
        ),
        ("ftp://www.example.com/", "neither http nor https"),
        ("file:///etc/passwd", "neither http nor https"),
        ("http://[::1/", "no URL"),
    ] {
        let world = World::default().with("example.com", 80, redirect(to)).await;
        let seen = seen(world.look("example.com").await);
        assert!(seen.contains(part), "{to}: {seen}");
        assert!(!seen.contains("/api") && !seen.contains("passwd"), "{seen}");
        assert_eq!(world.dialled(), ["example.com 80"], "{to}");
    }
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let world = World::default()
        .with("example.com", 80, redirect(PATH))
        .await;
    let seen = seen(world.look("example.com").await);
    assert!(seen.contains("more than 10 times"), "{seen}");
    assert_eq!(world.dialled().len(), MAX_REDIRECTS + 1);
}

#[tokio::test]
async fn what_else_is_there_is_told_and_nothing_of_its_text() {
    let long = "hush".repeat(1 << 18);
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "hush".repeat(1 << 14));
    for (answer, part) in [
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nhush",
            "answered 404 Not Found",
        ),
        (
            "HTTP/1.1 201 Created\r\nContent-Length: 16\r\n\r\ntoken.thumbprint",
            "201",
        ),
        (
            "HTTP/1.1 304 Not Modified\r\nLocation: /hush\r\n\r\n",
            "answered 304",
        ),
        (
            "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
            "answered 302",
        ),
        (text("hush").as_str(), "with another text, of 4 bytes"),
        (
            text("token.thumbprint\n").as_str(),
            "with another text, of 17 bytes",
        ),
        (text(&long).as_str(), "with another text, a long one"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\ntoken",
            "breaks off",
        ),
        ("SSH-2.0-hush\r\n", "no answer that makes sense"),
        ("", "no answer that makes sense"),
        (endless.as_str(), "no answer that makes sense"),
    ] {
        let world = World::default().with("example.com", 80, answer).await;
        let seen = seen(world.look("example.com").await);
        assert!(seen.contains(part), "{seen}");
        assert!(!seen.contains("hush") && seen.len() < 400, "{seen}");
    }
}

#[tokio::test]
async fn who_is_not_there_is_named() {
    let world = World::default();
    let Outcome::Unreachable { why } = world.look("example.com").await else {
        panic!("nobody is there");
    };
    assert_eq!(
        why,
        "http://example.com/.well-known/acme-challenge/… can't be reached: nobody is there"
    );
}

#[tokio::test]
async fn what_a_redirect_says_to_its_server_alone_is_not_told() {
    let to = "http://user:hush@www.example.com/hush?key=hush#hush";
    let world = World::default().with("example.com", 80, redirect(to)).await;
    let Outcome::Unreachable { why } = world.look("example.com").await else {
        panic!("nobody is there");
    };
    assert_eq!(
        why,
        "http://example.com/.well-known/acme-challenge/… leads to http://www.example.com, which can't be reached: nobody is there"
    );
}

/// Takes every connection and says nothing.
struct Silent(SocketAddr);

impl Dial for Silent {
    fn dial<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, anyhow::Result<TcpStream>> {
        async move { Ok(TcpStream::connect(self.0).await?) }.boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let silent = Silent(listener.local_addr().unwrap());
    let challenge = Challenge::new("example.com", "token").unwrap();
    let Outcome::Unreachable { why } = look(&silent, &challenge, ANSWER).await else {
        panic!("it says nothing");
    };
    assert_eq!(
        why,
        "http://example.com/.well-known/acme-challenge/… did not answer within 20s"
    );
}
