//! What the CA was asked, by its own log.

use std::collections::BTreeMap;

use certwright_test_cluster::Pebble;

/// How many requests of each kind it took: a method and the first part of a path.
pub(crate) struct Asked(BTreeMap<String, usize>);

impl Asked {
    /// Since it was started.
    pub(crate) fn so_far(pebble: &Pebble) -> anyhow::Result<Self> {
        let mut requests = BTreeMap::new();
        for line in pebble.log()?.lines() {
            let Some(said) = line.strip_suffix(" -> calling handler()") else {
                continue;
            };
            let mut words = said.rsplit(' ');
            let (path, method) = (words.next(), words.next());
            let (Some(path), Some(method)) = (path, method) else {
                continue;
            };
            let kind = path.trim_start_matches('/');
            let kind = kind.split('/').next().unwrap_or(kind);
            *requests.entry(format!("{method} {kind}")).or_default() += 1;
        }
        Ok(Self(requests))
    }

    /// What was asked since an earlier look.
    pub(crate) fn since(mut self, earlier: &Self) -> Self {
        for (kind, requests) in &mut self.0 {
            *requests -= earlier.0.get(kind).copied().unwrap_or_default();
        }
        self.0.retain(|_, requests| *requests > 0);
        self
    }

    /// All of it.
    pub(crate) fn all(&self) -> usize {
        self.0.values().sum()
    }

    /// By kind.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0
            .iter()
            .map(|(kind, requests)| (kind.as_str(), *requests))
    }

    /// How many orders were made.
    pub(crate) fn orders(&self) -> usize {
        self.0.get("POST order-plz").copied().unwrap_or_default()
    }
}
