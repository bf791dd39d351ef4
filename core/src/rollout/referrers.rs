//! Who refers to which Secrets and ConfigMaps, found by these.

use std::collections::{BTreeSet, HashMap};

use super::SourceName;

/// Those that refer to each Secret and ConfigMap, by a name of theirs.
#[derive(Debug)]
pub(super) struct Referrers<K>(HashMap<SourceName, BTreeSet<K>>);

impl<K> Default for Referrers<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Ord + Clone> Referrers<K> {
    /// Those that refer to this; `None` if nobody does.
    pub(super) fn of(&self, source: &SourceName) -> Option<&BTreeSet<K>> {
        self.0.get(source)
    }

    /// One refers to all of these.
    pub(super) fn add(&mut self, referrer: &K, sources: &BTreeSet<SourceName>) {
        for source in sources {
            let referrers = self.0.entry(source.clone()).or_default();
            referrers.insert(referrer.clone());
        }
    }

    /// One refers to none of these any more.
    pub(super) fn remove(&mut self, referrer: &K, sources: &BTreeSet<SourceName>) {
        for source in sources {
            if let Some(referrers) = self.0.get_mut(source) {
                referrers.remove(referrer);
                if referrers.is_empty() {
                    self.0.remove(source);
                }
            }
        }
    }
}
