//! What of an issuer concerns its Certificates.

use std::collections::HashMap;

use certwright_core::api::{ClusterIssuer, ConditionStatus, condition};
use certwright_core::plan::request::IssuerName;
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use kube::runtime::watcher::Event;

use crate::cluster::secrets::{IssuerKey, Named};
use crate::controller::IssuerKind;

/// The issuers of one kind as their Certificates last saw them.
#[derive(Default)]
pub struct IssuersSeen(HashMap<Named, Standing>);

/// What of an issuer concerns its Certificates: which object it is, what it says, and whether it can sign.
#[derive(PartialEq, Eq)]
struct Standing {
    uid: Option<String>,
    generation: Option<i64>,
    ready: Option<ConditionStatus>,
}

impl Standing {
    fn of<K: IssuerKind>(issuer: &K) -> Self {
        let conditions = issuer.status().map(|status| status.conditions.as_slice());
        let ready = condition::find(conditions.unwrap_or_default(), "Ready");
        Self {
            uid: issuer.uid(),
            generation: issuer.meta().generation,
            ready: ready.map(|ready| ready.status),
        }
    }
}

impl IssuersSeen {
    /// Follows the watch, and says which issuers changed in a way that concerns their Certificates.
    pub fn observe<K: IssuerKind>(&mut self, store: &Store<K>, event: &Event<K>) -> Vec<IssuerKey> {
        let changed = match event {
            Event::Apply(issuer) => {
                let (name, standing) = (Named::of(issuer.meta()), Standing::of(issuer));
                let changed = self.0.get(&name) != Some(&standing);
                self.0.insert(name.clone(), standing);
                Vec::from_iter(changed.then_some(name))
            }
            Event::Delete(issuer) => {
                let name = Named::of(issuer.meta());
                self.0.remove(&name);
                vec![name]
            }
            Event::InitDone => {
                let named = |issuer: &K| (Named::of(issuer.meta()), Standing::of(issuer));
                let now = store.state().iter().map(|issuer| named(issuer)).collect();
                let before = std::mem::replace(&mut self.0, now);
                let gone = before.keys().filter(|name| !self.0.contains_key(*name));
                let other = self
                    .0
                    .iter()
                    .filter(|(name, standing)| before.get(*name) != Some(*standing));
                gone.chain(other.map(|(name, _)| name)).cloned().collect()
            }
            Event::Init | Event::InitApply(_) => Vec::new(),
        };
        changed.into_iter().map(key::<K>).collect()
    }
}

fn key<K: IssuerKind>(Named { namespace, name }: Named) -> IssuerKey {
    let cluster = K::KIND == ClusterIssuer::KIND;
    (IssuerName { cluster, name }, namespace)
}
