//! What was asked of others, by their own logs.

use std::collections::BTreeMap;

use certwright_test_cluster::{AuditEvent, Pebble};

/// How many requests of each kind.
pub(crate) struct Requests(BTreeMap<String, usize>);

impl Requests {
    /// What a CA was asked since it was started: a method and the first part of a path.
    pub(crate) fn of_pebble(pebble: &Pebble) -> anyhow::Result<Self> {
        let mut requests = BTreeMap::new();
        for line in pebble.log()?.lines() {
            let Some(said) = line.strip_suffix(" -> calling handler()") else {
                continue;
            };
            let mut words = said.rsplit(' ');
            if let (Some(path), Some(method)) = (words.next(), words.next()) {
                let path = path.trim_start_matches('/');
                let service = path.split('/').next().unwrap_or(path);
                *requests.entry(format!("{method} {service}")).or_default() += 1;
            }
        }
        Ok(Self(requests))
    }

    /// What the API server was asked: a verb and a resource.
    pub(crate) fn of_audit(calls: &[AuditEvent]) -> Self {
        let mut requests = BTreeMap::new();
        for call in calls {
            let Some(object) = &call.object_ref else {
                continue;
            };
            let part = if object.subresource.is_empty() {
                ""
            } else {
                "/"
            };
            let kind = format!(
                "{} {}{part}{}",
                call.verb, object.resource, object.subresource
            );
            *requests.entry(kind).or_default() += 1;
        }
        Self(requests)
    }

    /// What was asked since an earlier look.
    pub(crate) fn since(mut self, earlier: &Self) -> Self {
        for (kind, requests) in &mut self.0 {
            *requests -= earlier.of(kind);
        }
        self.0.retain(|_, requests| *requests > 0);
        self
    }

    /// All of it.
    pub(crate) fn all(&self) -> usize {
        self.0.values().sum()
    }

    /// Which kinds there are.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many of a kind.
    pub(crate) fn of(&self, kind: &str) -> usize {
        self.0.get(kind).copied().unwrap_or_default()
    }

    /// How many orders were made of a CA.
    pub(crate) fn orders(&self) -> usize {
        self.of("POST order-plz")
    }
}
