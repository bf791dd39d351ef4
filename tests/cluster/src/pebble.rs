//! Pebble, the CA that Let's Encrypt makes for tests of clients, with the program that answers its questions about names.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::{Client, Config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::sleep};

use crate::{
    binaries::{Binaries, Program},
    ports,
    process::{Folder, Process, blames_port},
};

/// How Pebble is to behave, beside `-strict`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ways {
    /// Which share of nonces it rejects, in percent.
    pub bad_nonces: u8,
    /// How many chains it offers beside the first.
    pub alternates: u8,
    /// Whether accounts must be bound, which those of [`Pebble::BINDING`] can be.
    pub bindings: bool,
    /// How many authorizations that hold it reuses, in percent. At 0 it is one in a hundred still: it draws a number from 0 to 99,
    /// and makes another one if that is higher.
    pub reuses: u8,
    /// At which port of 127.0.0.1 it looks for answers, whatever the name; the answerer's, if 0.
    pub http_port: u16,
}

/// An ACME CA on 127.0.0.1 that runs until this is dropped. Every name leads it to 127.0.0.1.
#[derive(Debug)]
pub struct Pebble {
    listens: SocketAddr,
    management: SocketAddr,
    answers: SocketAddr,
    server_root: String,
    log: PathBuf,
    processes: [Process; 2],
    _folder: Folder,
}

impl Pebble {
    /// The identifier and the MAC key of an account elsewhere that it knows.
    pub const BINDING: (&'static str, &'static str) = (
        "kid-1",
        "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W",
    );

    /// Starts it, and waits until it listens.
    ///
    /// # Errors
    /// When a program is missing, or ends at once.
    pub async fn start(ways: Ways) -> anyhow::Result<Self> {
        let binaries = Binaries::locate()?;
        for _ in 1..TRIES {
            match Self::try_start(&binaries, ways).await {
                Err(error) if blames_port(&error) => {}
                other => return other,
            }
        }
        Self::try_start(&binaries, ways).await
    }

    async fn try_start(binaries: &Binaries, ways: Ways) -> anyhow::Result<Self> {
        let folder = Folder::create()?;
        let at = |name: &str| folder.path().join(name);
        let [listen, management, http, tls, answers, dns] = ports::pick()?;
        let server_root = server_certificate(&at("cert.pem"), &at("key.pem"))?;
        let local = |port: u16| format!("127.0.0.1:{port}");
        let mut config = configuration(ways);
        for (field, value) in [
            ("listenAddress", json!(local(listen))),
            ("managementListenAddress", json!(local(management))),
            ("certificate", json!(at("cert.pem"))),
            ("privateKey", json!(at("key.pem"))),
            ("tlsPort", json!(tls)),
        ] {
            config[field] = value;
        }
        if ways.http_port == 0 {
            config["httpPort"] = http.into();
        }
        fs::write(at("config.json"), json!({ "pebble": config }).to_string())
            .context("failed to write Pebble's configuration")?;
        let log = at("pebble.log");
        let answerer = answerer(binaries, answers, http, dns, at("answers.log"))?;
        let mut arguments: Vec<OsString> = vec![
            "PEBBLE_VA_NOSLEEP=1".into(),
            format!("PEBBLE_WFE_NONCEREJECT={}", ways.bad_nonces).into(),
            format!("PEBBLE_ALTERNATE_ROOTS={}", ways.alternates).into(),
            format!("PEBBLE_AUTHZREUSE={}", ways.reuses).into(),
            binaries.path(Program::Pebble)?.into(),
            "-strict".into(),
        ];
        arguments.extend(["-config".into(), at("config.json").into_os_string()]);
        arguments.extend(["-dnsserver".into(), local(dns).into()]);
        let name = Program::Pebble.name();
        let pebble = Process::start(name, Path::new("/usr/bin/env"), &arguments, log.clone())?;
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut started = Self {
            listens: address(listen),
            management: address(management),
            answers: address(answers),
            server_root,
            log,
            processes: [answerer, pebble],
            _folder: folder,
        };
        for port in [listen, management, answers] {
            started.reachable(address(port)).await?;
        }
        Ok(started)
    }

    async fn reachable(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let start = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            if let Some(failure) = self.failure() {
                bail!(failure);
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "Pebble was not there after {PATIENCE:?}"
            );
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.listens)
    }

    /// Where it listens.
    pub fn listens(&self) -> SocketAddr {
        self.listens
    }

    /// Where it is told what to do.
    pub fn management(&self) -> SocketAddr {
        self.management
    }

    /// Where the answerer is told what to show.
    pub fn answers(&self) -> SocketAddr {
        self.answers
    }

    /// The root of its own server's certificate, as PEM. It has nothing to do with [`root`](Self::root).
    pub fn server_root(&self) -> &str {
        &self.server_root
    }

    /// The same in base64, as `caBundle` has it.
    pub fn bundle(&self) -> String {
        STANDARD.encode(&self.server_root)
    }

    /// The root of the certificates that it issues, as PEM. It draws another at each start.
    ///
    /// # Errors
    /// When it doesn't say.
    pub async fn root(&self) -> anyhow::Result<String> {
        let address = format!("https://{}", self.management);
        let mut config = Config::new(address.parse().context("failed to make a URL")?);
        let root = pem::parse(&self.server_root).context("failed to read PEM")?;
        config.root_cert = Some(vec![root.into_contents()]);
        let request = http::Request::get("/roots/0").body(Vec::new());
        Client::try_from(config)
            .context("failed to make a client")?
            .request_text(request.context("failed to make a request")?)
            .await
            .context("Pebble does not tell its root")
    }

    /// All that it has logged: each request, and what it saw of each name.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn log(&self) -> anyhow::Result<String> {
        fs::read_to_string(&self.log).context("failed to read Pebble's log")
    }

    /// How it ended, if it did.
    pub fn failure(&mut self) -> Option<String> {
        self.processes.iter_mut().find_map(Process::failure)
    }
}

/// What does not depend on where it runs.
fn configuration(ways: Ways) -> Value {
    let (binding, mac_key) = Pebble::BINDING;
    json!({
        "httpPort": ways.http_port,
        "externalAccountBindingRequired": ways.bindings,
        "externalAccountMACKeys": { binding: mac_key },
        "caaIdentities": ["pebble.example"],
        "domainBlocklist": ["blocked.example.com"],
        "retryAfter": { "authz": 1, "order": 1 },
        "keyAlgorithm": "ecdsa",
        "profiles": {
            "default": { "description": "Ninety days", "validityPeriod": 7_776_000 },
            "shortlived": { "description": "Six days", "validityPeriod": 576_000 },
        },
    })
}

/// Starts what answers names, all with 127.0.0.1, and what HTTP-01 asks, at these ports of 127.0.0.1.
///
/// # Errors
/// When the program is missing, or can't be started.
pub fn answerer(
    binaries: &Binaries,
    management: u16,
    http: u16,
    dns: u16,
    log: PathBuf,
) -> anyhow::Result<Process> {
    let program = Program::PebbleChalltestsrv;
    let local = |port: u16| format!("127.0.0.1:{port}");
    let arguments = [
        ("-management", local(management)),
        ("-http01", local(http)),
        ("-https01", String::new()),
        ("-tlsalpn01", String::new()),
        ("-doh", String::new()),
        ("-dnsserver", local(dns)),
        ("-defaultIPv6", String::new()),
    ];
    let arguments: Vec<OsString> = arguments
        .into_iter()
        .flat_map(|(flag, value)| [flag.into(), value.into()])
        .collect();
    Process::start(program.name(), &binaries.path(program)?, &arguments, log)
}

/// Makes a certificate for 127.0.0.1 with its key, in these files; the root above it, as PEM.
///
/// # Errors
/// When they can't be written.
pub fn server_certificate(certificate: &Path, key: &Path) -> anyhow::Result<String> {
    let made = || {
        let mut root = CertificateParams::new(Vec::new())?;
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.distinguished_name
            .push(DnType::CommonName, "The server's root");
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
        let pair = KeyPair::generate()?;
        let leaf = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        let leaf = leaf.signed_by(&pair, &root)?;
        Ok::<_, rcgen::Error>((root.pem(), leaf.pem(), pair.serialize_pem()))
    };
    let (root, leaf, pair) = made().context("failed to make a certificate for Pebble's server")?;
    fs::write(certificate, leaf)
        .and_then(|()| fs::write(key, pair))
        .context("failed to write a certificate for Pebble's server")?;
    Ok(root)
}

const PATIENCE: Duration = Duration::from_secs(60);
const TRIES: usize = 3;
