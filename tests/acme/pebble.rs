//! Pebble, the CA that Let's Encrypt makes for tests of clients, with the program that answers its questions.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certwright::acme::{Client, Transport, Verification};
use certwright::cli::OutsideSettings;
use certwright::outside::{Allowed, Outside};
use certwright_test_cluster::{Binaries, Process, Program};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// The identifier and the MAC key of an account elsewhere that Pebble knows.
pub(crate) const BINDING: (&str, &str) = (
    "kid-1",
    "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W",
);

/// How Pebble is to behave, beside `-strict`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ways {
    /// Which share of nonces it rejects, in percent.
    pub(crate) bad_nonces: u8,
    /// How many chains it offers beside the first.
    pub(crate) alternates: u8,
    /// Whether accounts must be bound.
    pub(crate) bindings: bool,
    /// How many authorizations that hold it reuses, in percent.
    pub(crate) reuses: u8,
    /// At which port of loopback it looks for answers; the answerer's, if 0.
    pub(crate) http_port: u16,
}

/// A CA that runs until this is dropped.
pub(crate) struct Pebble {
    /// The URL of its directory.
    pub(crate) directory: String,
    /// The root that its own server is known by, as PEM in base64, as `caBundle` has it.
    pub(crate) bundle: String,
    /// Where it listens.
    pub(crate) listens: SocketAddr,
    management: SocketAddr,
    answers: SocketAddr,
    root: PathBuf,
    _processes: [Process; 2],
    _folder: TempDir,
}

impl Pebble {
    pub(crate) async fn start(ways: Ways) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let [listen, management, http, tls, answers, dns] = free_ports();
        let bundle = server_certificate(&at("cert.pem"), &at("key.pem"));
        std::fs::write(at("root.pem"), &bundle).unwrap();
        let local = |port: u16| format!("127.0.0.1:{port}");
        let config = json!({ "pebble": {
            "listenAddress": local(listen),
            "managementListenAddress": local(management),
            "certificate": at("cert.pem"),
            "privateKey": at("key.pem"),
            "httpPort": if ways.http_port == 0 { http } else { ways.http_port },
            "tlsPort": tls,
            "externalAccountBindingRequired": ways.bindings,
            "externalAccountMACKeys": { (BINDING.0): BINDING.1 },
            "caaIdentities": ["pebble.example"],
            "domainBlocklist": ["blocked.example.com"],
            "retryAfter": { "authz": 1, "order": 1 },
            "keyAlgorithm": "ecdsa",
            "profiles": {
                "default": { "description": "Ninety days", "validityPeriod": 7_776_000 },
                "shortlived": { "description": "Six days", "validityPeriod": 576_000 },
            },
        } });
        std::fs::write(at("config.json"), config.to_string()).unwrap();
        let binaries = Binaries::locate().unwrap();
        let answerer = start(
            "pebble-challtestsrv",
            &binaries.path(Program::PebbleChalltestsrv).unwrap(),
            &[],
            &[
                "-management",
                &local(answers),
                "-http01",
                &local(http),
                "-https01",
                "",
                "-tlsalpn01",
                "",
                "-doh",
                "",
                "-dnsserver",
                &local(dns),
                "-defaultIPv6",
                "",
            ],
            at("answers.log"),
        );
        let pebble = start(
            "pebble",
            &binaries.path(Program::Pebble).unwrap(),
            &[
                "PEBBLE_VA_NOSLEEP=1".to_owned(),
                format!("PEBBLE_WFE_NONCEREJECT={}", ways.bad_nonces),
                format!("PEBBLE_ALTERNATE_ROOTS={}", ways.alternates),
                format!("PEBBLE_AUTHZREUSE={}", ways.reuses),
            ],
            &[
                "-strict",
                "-config",
                at("config.json").to_str().unwrap(),
                "-dnsserver",
                &local(dns),
            ],
            at("pebble.log"),
        );
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut processes = [answerer, pebble];
        for port in [listen, management, answers] {
            reachable(address(port), &mut processes).await;
        }
        Self {
            directory: format!("https://127.0.0.1:{listen}/dir"),
            bundle: BASE64_STANDARD.encode(bundle),
            listens: address(listen),
            management: address(management),
            answers: address(answers),
            root: at("root.pem"),
            _processes: processes,
            _folder: folder,
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
        let asked = json!({ "token": token, "content": content });
        post(self.answers, "/add-http01", &asked).await;
    }

    /// Suggests to renew a certificate within these moments.
    pub(crate) async fn suggest(&self, certificate: &str, window: &Value) {
        let asked = json!({
            "certificate": certificate,
            "ariResponse": json!({ "suggestedWindow": window }).to_string(),
        });
        let status = ran_curl(&self.root, self.management, "/set-renewal-info/", &asked).await;
        assert_eq!(status, "200");
    }
}

/// A client that reaches loopback, which an administrator has to allow.
pub(crate) fn client(directory: &str, verification: &Verification) -> Client {
    Client::new(transport(verification), directory)
}

pub(crate) fn transport(verification: &Verification) -> Transport {
    let outside = Arc::new(Outside::new(&OutsideSettings::default()).unwrap());
    let loopback = "127.0.0.0/8".parse().unwrap();
    let allowed = Allowed::new(vec![loopback], Vec::new());
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

/// Ports that nobody listens on now.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
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

/// A certificate for 127.0.0.1 with its key, in these files; the root above it, as PEM.
pub(crate) fn server_certificate(certificate: &Path, key: &Path) -> String {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name
        .push(DnType::CommonName, "The server's root");
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let pair = KeyPair::generate().unwrap();
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let leaf = CertificateParams::new(names).unwrap();
    let leaf = leaf.signed_by(&pair, &root).unwrap();
    std::fs::write(certificate, leaf.pem()).unwrap();
    std::fs::write(key, pair.serialize_pem()).unwrap();
    root.pem()
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

/// A request by HTTPS; its status.
async fn ran_curl(root: &Path, to: SocketAddr, path: &str, body: &Value) -> String {
    let output = tokio::process::Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--output",
            "/dev/null",
        ])
        .args(["--write-out", "%{http_code}", "--cacert"])
        .arg(root)
        .args(["--data", &body.to_string(), &format!("https://{to}{path}")])
        .output()
        .await
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}
