//! `certwright inspect`: what is in a file or a Secret, or what a server shows, for a person to read.
//!
//! What is found ([`Found`]) is plain data, and [`render()`] makes text of it without looking at anything else. Private
//! keys are named by kind, and never printed.

mod chain;
mod judge;
mod read;
mod render;
pub(crate) mod words;

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use certwright_core::pki::faults::Fault;
use certwright_core::pki::{Facts, KeySpec, PublicKey};
use k8s_openapi::api::core::v1::Secret;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use zeroize::Zeroizing;

use crate::cli::{self, InspectSettings, Target};
use crate::clock::{Clock, SystemClock};
use crate::outside::Outside;
use crate::probe;

pub(crate) use judge::{Trust, judge, server_name};
pub(crate) use render::Page;
pub use render::render;

/// What is in a file or a Secret, or what a server shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Where it was found, such as `web.pem` or `Secret shop/web-tls`.
    pub source: String,
    /// Each certificate once, in the order in which they stand.
    pub certificates: Vec<Placed>,
    /// The private key, if there is one.
    pub key: Option<Key>,
    /// What is there and can't be read, in sentences.
    pub problems: Vec<String>,
    /// Of a server: where it was reached, and what a client would have against it.
    pub service: Option<Service>,
}

/// How a server shows what was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Service {
    /// Where it was reached, and how.
    pub reached: String,
    /// The name it was asked for.
    pub name: String,
    /// Whether it has shown that it holds the private key.
    pub holds_key: Option<bool>,
    /// Why a client would not trust it for this name.
    pub faults: Vec<Fault>,
}

/// A certificate, and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Placed {
    /// Each place, such as `tls.crt 1`, counted from 1.
    pub places: Vec<String>,
    /// What it says.
    pub facts: Facts,
}

/// What may be told of a private key.
#[derive(Debug, PartialEq, Eq)]
pub enum Key {
    /// It can be read.
    Readable {
        /// Its kind and size.
        spec: KeySpec,
        /// Its public half, by which certificates are compared with it.
        public: PublicKey,
    },
    /// It can't, for this reason.
    Unreadable(String),
}

/// Finds what `settings` name, and prints it.
///
/// # Errors
/// When it can't be read, or holds neither a certificate nor a private key.
pub async fn run(settings: InspectSettings) -> anyhow::Result<()> {
    let outside = Outside::new(&settings.outside)?;
    let now = SystemClock.now();
    let mut found = find(&settings, &outside).await?;
    if let Some(service) = &found.service {
        let trust = Trust::new(&settings, &outside, &found)?;
        let name = server_name(&service.name)?;
        let judged = judge(&found, &trust.shown(Some(&name), now));
        if let (Some(judged), Some(service)) = (judged, &mut found.service) {
            service.faults = judged.faults;
        }
    }
    cli::print(&render(&found, now))
}

/// Finds what `settings` name.
///
/// # Errors
/// When it can't be read, or holds neither a certificate nor a private key.
pub(crate) async fn find(settings: &InspectSettings, outside: &Outside) -> anyhow::Result<Found> {
    let found = match &settings.target {
        Target::File(path) => {
            let name = path.display().to_string();
            let file = File::open(path).with_context(|| format!("failed to open {name}"))?;
            read::bundle(&name, &bounded(file, &name)?)
        }
        Target::StandardInput => read::bundle(
            "standard input",
            &bounded(std::io::stdin(), "standard input")?,
        ),
        Target::Secret(name) => {
            let (client, default_namespace) = connect(settings.context.clone()).await?;
            let namespace = settings.namespace.clone().unwrap_or(default_namespace);
            read::secret(&namespace, name, &secret(client, &namespace, name).await?)
        }
        Target::Server { host, port } => {
            let name = settings.server_name.as_ref().unwrap_or(host);
            let asked = probe::Asked {
                name: server_name(name)?,
                starttls: settings.starttls,
            };
            let presented = probe::host(outside, host, *port, &asked).await?;
            read::presented(&format!("{host}:{port}"), name, presented)
        }
    };
    if found.certificates.is_empty() && found.key.is_none() {
        let why = if found.problems.is_empty() {
            "no certificate and no private key".to_owned()
        } else {
            found.problems.join("; ")
        };
        bail!("{}: {why}", found.source);
    }
    Ok(found)
}

/// More than this, in bytes, is not read; a Secret can't be larger either.
const MAX_BYTES: u64 = 1 << 20;
/// How long the API server may take. Somebody waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// There may be a private key among the bytes: they are wiped when they are dropped.
pub(crate) fn bounded(reader: impl Read, name: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    reader
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("failed to read {name}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!("{name} is larger than 1 MiB");
    }
    Ok(bytes)
}

/// A client for a context of the kubeconfig (or for the Pod this runs in), and the namespace it works in by default.
///
/// Kube's errors tell their sources in their own text, and so are not handed on as sources.
pub(crate) async fn connect(context: Option<String>) -> anyhow::Result<(Client, String)> {
    let mut config = match context {
        None => Config::infer()
            .await
            .map_err(|error| anyhow!("found no cluster to ask: {error}"))?,
        Some(context) => {
            let options = KubeConfigOptions {
                context: Some(context),
                ..KubeConfigOptions::default()
            };
            let kubeconfig = Kubeconfig::read().map_err(|error| anyhow!("{error}"))?;
            Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .map_err(|error| anyhow!("{error}"))?
        }
    };
    config.default_retry = false;
    let namespace = config.default_namespace.clone();
    Ok((Client::try_from(config)?, namespace))
}

pub(crate) async fn secret(client: Client, namespace: &str, name: &str) -> anyhow::Result<Secret> {
    let secrets = Api::<Secret>::namespaced(client, namespace);
    tokio::time::timeout(PATIENCE, secrets.get_opt(name))
        .await
        .with_context(|| {
            format!(
                "the API server did not answer within {} s",
                PATIENCE.as_secs()
            )
        })?
        .map_err(|error| anyhow!("failed to read Secret {namespace}/{name}: {error}"))?
        .ok_or_else(|| anyhow!("there is no Secret {name} in namespace {namespace}"))
}

#[cfg(test)]
mod tests;
