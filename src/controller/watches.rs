//! The Certificates of the cluster, and who has to look when something changes.

mod issuers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::api::{Certificate, ConditionStatus, Group, condition};
use certwright_core::plan::claim::Claimant;
use certwright_core::rollout::{HALTED, ROLLED_OUT, SERVED};
use jiff::Timestamp;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;

pub use issuers::IssuersSeen;

use super::gather::issuer_keys;
use crate::cluster::secrets::{IssuerKey, Named};
use crate::cluster::version;
use crate::metrics::{CertificateSample, CertificateSeries};

/// The Certificates of the cluster, each as last seen or written, and two indexes over them.
pub struct Certificates {
    group: Group,
    store: Store<Certificate>,
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    /// What each Certificate names.
    entries: HashMap<Named, Entry>,
    by_secret: HashMap<Named, HashMap<String, Claimant>>,
    by_issuer: HashMap<IssuerKey, HashSet<Named>>,
    /// Statuses we wrote that the store may not show yet.
    written: HashMap<Named, Arc<Certificate>>,
}

struct Entry {
    secret: Named,
    /// All of them: any may be the next to sign.
    issuers: BTreeSet<IssuerKey>,
}

impl Certificates {
    /// Certificates as this store shows them; [`Certificates::observe`] must see each event after the store has.
    pub fn new(group: Group, store: Store<Certificate>) -> Self {
        Self {
            group,
            store,
            index: Mutex::default(),
        }
    }

    /// The Certificate as last seen or written.
    pub fn get(&self, name: &Named) -> Option<Arc<Certificate>> {
        let seen = self.seen(name)?;
        let index = self.index();
        let written = index
            .written
            .get(name)
            .filter(|written| version_of(written) > version_of(&seen));
        Some(written.cloned().unwrap_or(seen))
    }

    /// Takes note of a status we wrote, ahead of the watch.
    pub fn wrote(&self, certificate: Certificate) {
        let name = Named::of(&certificate.metadata);
        let mut index = self.index();
        // One that is gone by now was dropped from the index, and what the watch has come to counts more than this.
        if index.entries.contains_key(&name) && !self.shows(&name, &certificate) {
            index.written.insert(name, Arc::new(certificate));
        }
    }

    /// The Certificates that name this Secret and are not being deleted.
    pub fn claimants(&self, secret: &Named) -> Vec<Claimant> {
        self.index()
            .by_secret
            .get(secret)
            .map(|claimants| claimants.values().cloned().collect())
            .unwrap_or_default()
    }

    /// The Certificates that name this Secret.
    pub fn of_secret(&self, secret: &Named) -> Vec<Named> {
        let index = self.index();
        let claimants = index.by_secret.get(secret).into_iter().flatten();
        claimants
            .map(|(name, _)| Named::new(&secret.namespace, name))
            .collect()
    }

    /// The Certificates that name this issuer.
    pub fn of_issuer(&self, issuer: &IssuerKey) -> Vec<Named> {
        self.index()
            .by_issuer
            .get(issuer)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Follows the watch, and says which Certificates have to look: the one that came or changed, unless it is only the
    /// status that we wrote, and those that name a Secret of one that came, went or turned to another Secret. After a new
    /// list all have to, for only then the store shows what was listed.
    pub fn observe(&self, event: &Event<Certificate>) -> Vec<Named> {
        let mut index = self.index();
        match event {
            Event::Apply(certificate) => {
                let name = Named::of(&certificate.metadata);
                let own = index.written.get(&name).is_some_and(|written| {
                    written.metadata.resource_version == certificate.metadata.resource_version
                });
                let mut look = index.put(certificate);
                if !own {
                    look.push(name);
                }
                look
            }
            Event::Delete(certificate) => index.remove(&Named::of(&certificate.metadata)),
            Event::Init | Event::InitApply(_) => Vec::new(),
            Event::InitDone => {
                let mut written = std::mem::take(&mut index.written);
                *index = Index::default();
                for certificate in self.store.state() {
                    index.put(&certificate);
                }
                written.retain(|name, certificate| {
                    index.entries.contains_key(name) && !self.shows(name, certificate)
                });
                index.written = written;
                index.entries.keys().cloned().collect()
            }
        }
    }

    /// Whether the store has come to this state of a Certificate.
    fn shows(&self, name: &Named, certificate: &Certificate) -> bool {
        self.seen(name)
            .is_some_and(|seen| version_of(&seen) >= version_of(certificate))
    }

    fn seen(&self, name: &Named) -> Option<Arc<Certificate>> {
        let reference = ObjectRef::new_with(&name.name, self.group.clone()).within(&name.namespace);
        self.store.get(&reference)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn put(&mut self, certificate: &Certificate) -> Vec<Named> {
        let name = Named::of(&certificate.metadata);
        if self
            .written
            .get(&name)
            .is_some_and(|written| version_of(written) <= version_of(certificate))
        {
            self.written.remove(&name);
        }
        let secret = Named::new(&name.namespace, &certificate.spec.secret_name);
        let issuers = issuer_keys(certificate);
        let claims = certificate.metadata.deletion_timestamp.is_none();
        let claimed = self
            .by_secret
            .get(&secret)
            .is_some_and(|claimants| claimants.contains_key(&name.name));
        let same = self
            .entries
            .get(&name)
            .is_some_and(|entry| entry.secret == secret && entry.issuers == issuers);
        if same && claims == claimed {
            return Vec::new();
        }
        let mut others = self.remove(&name);
        for issuer in &issuers {
            self.by_issuer
                .entry(issuer.clone())
                .or_default()
                .insert(name.clone());
        }
        if claims {
            let created = certificate
                .metadata
                .creation_timestamp
                .as_ref()
                .map_or(Timestamp::MIN, |time| time.0);
            let claimants = self.by_secret.entry(secret.clone()).or_default();
            others.extend(
                claimants
                    .keys()
                    .map(|other| Named::new(&name.namespace, other)),
            );
            claimants.insert(
                name.name.clone(),
                Claimant {
                    created,
                    name: name.name.clone(),
                },
            );
        }
        self.entries.insert(name, Entry { secret, issuers });
        others
    }

    /// Forgets a Certificate, and says which others name its Secret.
    fn remove(&mut self, name: &Named) -> Vec<Named> {
        self.written.remove(name);
        let Some(entry) = self.entries.remove(name) else {
            return Vec::new();
        };
        for issuer in &entry.issuers {
            if let Some(users) = self.by_issuer.get_mut(issuer) {
                users.remove(name);
                if users.is_empty() {
                    self.by_issuer.remove(issuer);
                }
            }
        }
        let Some(claimants) = self.by_secret.get_mut(&entry.secret) else {
            return Vec::new();
        };
        claimants.remove(&name.name);
        let others = claimants
            .keys()
            .map(|other| Named::new(&name.namespace, other))
            .collect();
        if claimants.is_empty() {
            self.by_secret.remove(&entry.secret);
        }
        others
    }
}

impl CertificateSeries for Certificates {
    fn each(&self, visit: &mut dyn FnMut(CertificateSample<'_>)) {
        for certificate in self.store.state() {
            let status = certificate.status.as_ref();
            let ready = status.and_then(|status| condition::find(&status.conditions, "Ready"));
            visit(CertificateSample {
                namespace: certificate
                    .metadata
                    .namespace
                    .as_deref()
                    .unwrap_or_default(),
                name: certificate.metadata.name.as_deref().unwrap_or_default(),
                not_before: status
                    .and_then(|status| status.not_before.as_ref())
                    .map(|time| time.0),
                not_after: status
                    .and_then(|status| status.not_after.as_ref())
                    .map(|time| time.0),
                renewal_time: status
                    .and_then(|status| status.renewal_time.as_ref())
                    .map(|time| time.0),
                ready: ready.map_or(ConditionStatus::Unknown, |condition| condition.status),
                stale_endpoints: status
                    .filter(|status| condition::find(&status.conditions, SERVED).is_some())
                    .and_then(|status| status.rollout.as_ref())
                    .map(|rollout| rollout.stale_endpoints),
                halted: status
                    .and_then(|status| condition::find(&status.conditions, ROLLED_OUT))
                    .is_some_and(|condition| condition.reason == HALTED),
            });
        }
    }
}

fn version_of(certificate: &Certificate) -> u64 {
    version(
        certificate
            .metadata
            .resource_version
            .as_deref()
            .unwrap_or_default(),
    )
}
