//! Pebble, the CA that Let's Encrypt makes for tests of clients, with the program that answers its questions.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use certwright::acme::{Client, Transport, Verification};
use certwright::cli::OutsideSettings;
use certwright::outside::{Allowed, Outside};
use certwright_test_cluster::Process;
pub(crate) use certwright_test_cluster::Ways;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// The identifier and the MAC key of an account elsewhere that Pebble knows.
pub(crate) const BINDING: (&str, &str) = certwright_test_cluster::Pebble::BINDING;

/// A CA that runs until this is dropped.
pub(crate) struct Pebble {
    /// The URL of its directory.
    pub(crate) directory: String,
    /// The root that its own server is known by, as PEM in base64, as `caBundle` has it.
    pub(crate) bundle: String,
    /// Where it listens.
    pub(crate) listens: SocketAddr,
    /// Where the answerer is told what to show.
    pub(crate) answers: SocketAddr,
    /// The program.
    pub(crate) server: certwright_test_cluster::Pebble,
}

impl Pebble {
    pub(crate) async fn start(ways: Ways) -> Self {
        let server = certwright_test_cluster::Pebble::start(ways).await.unwrap();
        Self {
            directory: server.directory(),
            bundle: server.bundle(),
            listens: server.listens(),
            answers: server.answers(),
            server,
        }
    }

    /// A client of it.
    pub(crate) fn client(&self) -> Client {
        client(
            &self.directory,
            &Verification::Roots(Some(self.bundle.clone())),
        )
    }

    /// Has the answerer show a token's answer.
    pub(crate) async fn show(&self, token: &str, content: &str) {
        show(self.answers, token, content).await;
    }

    /// Suggests to renew a certificate within these moments.
    pub(crate) async fn suggest(&self, certificate: &str, window: &Value) {
        let asked = json!({
            "certificate": certificate,
            "ariResponse": json!({ "suggestedWindow": window }).to_string(),
        });
        self.managed("/set-renewal-info/", &["--data", &asked.to_string()])
            .await;
    }

    /// How a certificate stands, by its serial number: `Valid`, or `Revoked`, with the reason's number.
    pub(crate) async fn standing(&self, serial: &str) -> (String, i64) {
        let told = self
            .managed(&format!("/cert-status-by-serial/{serial}"), &[])
            .await;
        let told: Value = serde_json::from_str(&told).unwrap();
        let reason = told["Reason"].as_i64().unwrap_or_default();
        (told["Status"].as_str().unwrap().to_owned(), reason)
    }

    /// One of the roots that its chains lead to, by its number, as PEM.
    pub(crate) async fn root(&self, number: u8) -> String {
        self.managed(&format!("/roots/{number}"), &[]).await
    }

    /// What it answers where it is told what to do; it must succeed.
    async fn managed(&self, path: &str, arguments: &[&str]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.server.server_root()).unwrap();
        let output = tokio::process::Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--max-time", "20"])
            .arg("--cacert")
            .arg(file.path())
            .args(arguments)
            .arg(format!("https://{}{path}", self.server.management()))
            .output()
            .await
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{path}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Has an answerer show a token's answer.
pub(crate) async fn show(answers: SocketAddr, token: &str, content: &str) {
    let asked = json!({ "token": token, "content": content });
    post(answers, "/add-http01", &asked).await;
}

/// A client that reaches loopback, which an administrator has to allow.
pub(crate) fn client(directory: &str, verification: &Verification) -> Client {
    Client::new(transport(verification), directory)
}

pub(crate) fn transport(verification: &Verification) -> Transport {
    let outside = Arc::new(Outside::new(&OutsideSettings::default()).unwrap());
    let loopback = "127.0.0.0/8".parse().unwrap();
    let allowed = Allowed::new(vec![loopback]);
    Transport::new(outside, allowed, verification).unwrap()
}

pub(crate) fn start(
    name: &'static str,
    program: &Path,
    environment: &[String],
    arguments: &[&str],
    log: PathBuf,
) -> Process {
    let mut all: Vec<OsString> = environment.iter().map(OsString::from).collect();
    all.push(program.into());
    all.extend(arguments.iter().map(OsString::from));
    Process::start(name, Path::new("/usr/bin/env"), &all, log).unwrap()
}

/// Ports that nobody listens on now, and that no connection is given as its own.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    certwright_test_cluster::free_ports().unwrap()
}

pub(crate) async fn reachable(address: SocketAddr, processes: &mut [Process]) {
    let start = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        for process in processes.iter_mut() {
            if let Some(failure) = process.failure() {
                panic!("{failure}");
            }
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{address}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// A request by plain HTTP; it must succeed.
async fn post(to: SocketAddr, path: &str, body: &Value) {
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
