//! Servers and clients that read their Secrets through volumes, and speak TLS with each other.

use std::collections::VecDeque;
use std::sync::Arc;

use certwright::clock::Clock as _;
use certwright_core::pki::Facts;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use rustls::client::{ClientConfig, ClientConnection};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ServerConfig, ServerConnection};
use rustls::time_provider::TimeProvider;
use rustls::{ConnectionCommon, Error, RootCertStore, SideData};

use crate::harness::{Held, Scene};

/// How often volumes are looked at, on the operator's clock.
const TICK: SignedDuration = SignedDuration::from_secs(20);

/// A volume that shows a Secret late, as kubelet's do.
struct Volume {
    lag: SignedDuration,
    shown: Arc<Held>,
    /// What it will show, and from when on.
    coming: VecDeque<(Timestamp, Arc<Held>)>,
}

impl Volume {
    fn new(lag: SignedDuration, held: &Arc<Held>) -> Self {
        Self {
            lag,
            shown: Arc::clone(held),
            coming: VecDeque::new(),
        }
    }

    /// Sees what the Secret holds now; says whether it shows something else than before.
    fn tick(&mut self, now: Timestamp, held: &Arc<Held>) -> bool {
        let newest = self.coming.back().map_or(&self.shown, |(_, held)| held);
        if newest.secret.metadata.resource_version != held.secret.metadata.resource_version {
            self.coming.push_back((now + self.lag, Arc::clone(held)));
        }
        let mut changed = false;
        while let Some((_, next)) = self.coming.pop_front_if(|(from, _)| *from <= now) {
            self.shown = next;
            changed = true;
        }
        changed
    }
}

/// For each Certificate a server and a client, each with a volume of its own.
pub(super) struct Fleet<'s> {
    scene: &'s Scene<'s>,
    names: Vec<String>,
    servers: Vec<Volume>,
    clients: Vec<Volume>,
}

/// A server, and the roots of a client that calls it.
pub(super) struct Pair<'f> {
    /// What the server shows.
    pub(super) server: &'f Held,
    /// Its name.
    pub(super) name: &'f str,
    /// Whom the client trusts.
    pub(super) roots: &'f [Facts],
}

impl<'s> Fleet<'s> {
    /// Servers and clients of Certificates that are ready: each `NAME` for `NAME.example.com` in `NAME-tls`. Of any two
    /// neighbours one reads late where the other reads at once.
    pub(super) async fn new(scene: &'s Scene<'s>, names: &[String]) -> Self {
        let longest = SignedDuration::from_mins(2);
        let mut fleet = Self {
            scene,
            names: names.to_vec(),
            servers: Vec::new(),
            clients: Vec::new(),
        };
        for (number, held) in fleet.held().await.iter().enumerate() {
            let lags = [SignedDuration::ZERO, longest, longest / 2, longest];
            let lag = |number: usize| lags[number % lags.len()];
            fleet.servers.push(Volume::new(lag(number), held));
            fleet.clients.push(Volume::new(lag(number + 1), held));
        }
        fleet
    }

    async fn held(&self) -> Vec<Arc<Held>> {
        let all = self.scene.api::<Secret>();
        let mut all = all.list(&ListParams::default()).await.unwrap().items;
        let mut held = Vec::new();
        for name in &self.names {
            let wanted = format!("{name}-tls");
            let found = |secret: &Secret| secret.metadata.name.as_deref() == Some(&wanted);
            let at = all.iter().position(found).unwrap();
            held.push(Arc::new(Held::read(all.swap_remove(at)).unwrap()));
        }
        held
    }

    /// Moves the operator's clock on to a moment, and lets the volumes follow. Whenever one shows something new, every
    /// client calls every server.
    pub(super) async fn until(&mut self, moment: Timestamp) {
        self.run(moment, Self::call_all).await;
    }

    /// The same without calls: a time in which nobody can be reached.
    pub(super) async fn quietly_until(&mut self, moment: Timestamp) {
        self.run(moment, |_, _| ()).await;
    }

    async fn run(&mut self, moment: Timestamp, call: impl Fn(&Self, Timestamp)) {
        let held = self.held().await;
        loop {
            let now = self.scene.clock.now();
            let volumes = self.servers.iter_mut().zip(&held);
            let volumes = volumes.chain(self.clients.iter_mut().zip(&held));
            let changed = volumes.map(|(volume, held)| volume.tick(now, held));
            if changed.fold(false, |any, one| any | one) {
                call(self, now);
            }
            if now >= moment {
                return call(self, now);
            }
            self.scene.clock.set((now + TICK).min(moment));
        }
    }

    /// Each client calls each server, and all verify.
    pub(super) fn call_all(&self, now: Timestamp) {
        for client in &self.clients {
            for pair in self.pairs(&client.shown.ca) {
                shakes_hands(now, &pair).unwrap_or_else(|problem| {
                    let name = client.shown.secret.metadata.name.as_deref();
                    panic!("{now}: {name:?} can't verify {}: {problem}", pair.name)
                });
            }
        }
    }

    /// Each server, called by a client that trusts these roots.
    pub(super) fn pairs<'f>(&'f self, roots: &'f [Facts]) -> impl Iterator<Item = Pair<'f>> {
        let servers = self.names.iter().zip(&self.servers);
        servers.map(move |(name, server)| Pair {
            server: &server.shown,
            name,
            roots,
        })
    }
}

/// A TLS handshake at this time.
pub(super) fn shakes_hands(now: Timestamp, pair: &Pair<'_>) -> Result<(), Error> {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let time: Arc<dyn TimeProvider> = Arc::new(At(now));
    let chain = CertificateDer::pem_slice_iter(pair.server.data("tls.crt").unwrap());
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.server.data("tls.key").unwrap()).unwrap();
    let server = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::clone(&time))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let mut roots = RootCertStore::empty();
    for root in pair.roots {
        roots.add(root.der.clone())?;
    }
    let client = ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(format!("{}.example.com", pair.name)).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        hand_over(&mut client, &mut server)?;
        hand_over(&mut server, &mut client)?;
    }
    Ok(())
}

fn hand_over<A, B>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
) -> Result<(), Error>
where
    A: SideData,
    B: SideData,
{
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut bytes = bytes.as_slice();
    while !bytes.is_empty() {
        to.read_tls(&mut bytes).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}

#[derive(Debug)]
struct At(Timestamp);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let since = std::time::Duration::from_secs(self.0.as_second().try_into().ok()?);
        Some(UnixTime::since_unix_epoch(since))
    }
}
