//! What is known of the Secrets: fed by the two watches and by our own writes, without a client.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use certwright_core::api::Group;
use certwright_core::pki::facts::Fingerprint;
use certwright_core::plan::{Observed, OldLeaves};
use jiff::Timestamp;
use kube::runtime::watcher::Event;

use super::leaves::{IssuerKey, Replacements};
use super::{Named, version_of};
use crate::cluster::mapped;

/// What is known of the Secrets.
#[derive(Default)]
pub(super) struct State {
    /// Secrets with our label.
    ours: Shown<Arc<Observed>>,
    /// The resourceVersions of all others.
    others: Shown<u64>,
    /// Our own last writes that the watch has not come to yet.
    written: HashMap<Named, Written>,
    /// Secrets of which the watches were found to be behind: the next look is a live one.
    doubted: HashSet<Named>,
    /// The issuers whose CA is being replaced.
    replacements: Replacements,
    /// The resourceVersion the watch of ours has come to. It shows changes in their order, so that whatever is older
    /// has been shown, if only as one that was overtaken.
    shown: u64,
    /// Counts lists of ours: one that was begun after a write has it, or what came after it.
    lists: u64,
}

/// Where to find a Secret.
pub(super) enum Look {
    /// Here it is.
    Held(Arc<Observed>),
    /// There is none.
    Nothing,
    /// Only the API server knows; whether that is so because the watches were found to be behind.
    Live { doubted: bool },
}

struct Written {
    secret: Arc<Observed>,
    /// [`State::lists`] at the time of the write.
    list: u64,
}

impl State {
    pub(super) fn new(group: Group) -> Self {
        Self {
            replacements: Replacements::new(group),
            ..Self::default()
        }
    }

    /// The Secret with our label, as last seen or written.
    pub(super) fn held(&self, name: &Named) -> Option<Arc<Observed>> {
        newest(&self.ours, &self.written, name).cloned()
    }

    /// All Secrets with our label, as last seen or written.
    pub(super) fn all(&self) -> Vec<Arc<Observed>> {
        let unseen = self
            .written
            .keys()
            .filter(|name| !self.ours.objects.contains_key(*name));
        let names = self.ours.objects.keys().chain(unseen);
        names.filter_map(|name| self.held(name)).collect()
    }

    /// Whether Secrets of this issuer hold older certificates than its present CA makes. `older_until` reads the one of a
    /// Secret: until when it serves, if it is older.
    pub(super) fn old_leaves(
        &mut self,
        now: Timestamp,
        issuer: &IssuerKey,
        ca: Fingerprint,
        mut older_until: impl FnMut(&Observed) -> Option<Timestamp>,
    ) -> OldLeaves {
        if !self.replacements.knows(issuer, ca) {
            let all = self.all();
            self.replacements.count(issuer, ca, &all);
        }
        let Self { ours, written, .. } = self;
        let read = |name: &Named| newest(ours, written, name).and_then(|held| older_until(held));
        self.replacements.answer(now, issuer, read)
    }

    /// Whether nothing is kept of any issuer.
    #[cfg(test)]
    pub(super) fn is_at_rest(&self) -> bool {
        self.replacements.is_empty()
    }

    /// The resourceVersion a Secret was last seen with, whoever's it is.
    pub(super) fn version(&self, name: &Named) -> Option<u64> {
        let ours = self.held(name).map(|secret| secret.version());
        ours.max(self.others.objects.get(name).copied())
    }

    /// Where to find a Secret, whoever's it is. A doubt is over with this.
    pub(super) fn look(&mut self, name: &Named) -> Look {
        if self.doubted.remove(name) {
            return Look::Live { doubted: true };
        }
        match self.held(name) {
            Some(secret) => Look::Held(secret),
            None if self.others.objects.contains_key(name) => Look::Live { doubted: false },
            None => Look::Nothing,
        }
    }

    pub(super) fn doubt(&mut self, name: &Named) {
        self.doubted.insert(name.clone());
    }

    /// Takes note of what we wrote, or read live, unless the watch has come to it already: then what it shows counts,
    /// be it that the Secret has gone since.
    pub(super) fn wrote(&mut self, secret: &Arc<Observed>) {
        let name = name_of(secret);
        let overtaken = secret.version() <= self.shown
            || self
                .held(&name)
                .is_some_and(|held| held.version() > secret.version());
        if !overtaken {
            let written = Written {
                secret: Arc::clone(secret),
                list: self.lists,
            };
            self.noting(vec![name.clone()], |state| {
                state.written.insert(name, written)
            });
        }
    }

    /// What we wrote, if this is it as it came back.
    pub(super) fn own(&self, name: &Named, resource_version: &str) -> Option<Arc<Observed>> {
        let written = &self.written.get(name)?.secret;
        (written.resource_version == resource_version).then(|| Arc::clone(written))
    }

    /// Whether the watch of ours shows no more than what we wrote.
    pub(super) fn is_own(&self, event: &Event<Arc<Observed>>) -> bool {
        let Event::Apply(secret) = event else {
            return false;
        };
        self.own(&name_of(secret), &secret.resource_version)
            .is_some()
    }

    /// Follows the watch of ours, and says which Secrets changed by this event.
    pub(super) fn follow_ours(&mut self, event: Event<Arc<Observed>>) -> Vec<Named> {
        match &event {
            Event::Apply(secret) | Event::Delete(secret) if !self.replacements.is_empty() => {
                // What we wrote before is over with this too.
                let version = version_of(secret);
                let over = self
                    .written
                    .iter()
                    .filter(|(_, written)| written.secret.version() <= version);
                let mut names: Vec<_> = over.map(|(name, _)| name.clone()).collect();
                names.push(name_of(secret));
                self.noting(names, |state| state.follow(event))
            }
            Event::InitDone => {
                self.replacements.relisted();
                self.follow(event)
            }
            _ => self.follow(event),
        }
    }

    fn follow(&mut self, event: Event<Arc<Observed>>) -> Vec<Named> {
        match &event {
            Event::Init => self.lists += 1,
            Event::InitApply(_) | Event::InitDone => {}
            Event::Apply(secret) | Event::Delete(secret) => self.come_to(version_of(secret)),
        }
        let listed = matches!(event, Event::InitDone);
        let changed = self
            .ours
            .follow(mapped(event, |secret| (name_of(&secret), secret)));
        if listed {
            let newest = self.ours.objects.values().map(Versioned::version).max();
            // Not the greater of both: a restored cluster begins at an older number.
            self.shown = newest.unwrap_or_default();
            let lists = self.lists;
            self.written.retain(|_, written| written.list >= lists);
        }
        changed
    }

    /// Follows the watch of all others, and says which Secrets changed by this event.
    pub(super) fn follow_others(&mut self, event: Event<(Named, u64)>) -> Vec<Named> {
        self.others.follow(event)
    }

    /// Makes a change that concerns these Secrets, and takes note of what it does to the issuers whose CA is being replaced.
    fn noting<T>(&mut self, names: Vec<Named>, change: impl FnOnce(&mut Self) -> T) -> T {
        if self.replacements.is_empty() {
            return change(self);
        }
        let names: BTreeSet<_> = names.into_iter().collect();
        let before: Vec<_> = names
            .into_iter()
            .map(|name| (self.held(&name), name))
            .collect();
        let result = change(self);
        for (before, name) in before {
            let after = self.held(&name);
            if before.as_ref().map(Versioned::version) == after.as_ref().map(Versioned::version) {
                continue;
            }
            self.replacements
                .changed(before.as_deref(), after.as_deref());
        }
        result
    }

    fn come_to(&mut self, version: u64) {
        self.shown = self.shown.max(version);
        let shown = self.shown;
        self.written
            .retain(|_, written| written.secret.version() > shown);
    }
}

/// What one watch shows.
struct Shown<V> {
    objects: HashMap<Named, V>,
    /// The list that is being read, to take the place of `objects`.
    listing: HashMap<Named, V>,
}

impl<V> Default for Shown<V> {
    fn default() -> Self {
        Self {
            objects: HashMap::new(),
            listing: HashMap::new(),
        }
    }
}

impl<V: Versioned> Shown<V> {
    /// Takes an event, and says what changed by it.
    fn follow(&mut self, event: Event<(Named, V)>) -> Vec<Named> {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply((name, object)) => {
                self.listing.insert(name, object);
            }
            Event::InitDone => return self.relisted(),
            Event::Apply((name, object)) => {
                self.objects.insert(name.clone(), object);
                return vec![name];
            }
            Event::Delete((name, _)) => {
                self.objects.remove(&name);
                return vec![name];
            }
        }
        Vec::new()
    }

    fn relisted(&mut self) -> Vec<Named> {
        let before = std::mem::replace(&mut self.objects, std::mem::take(&mut self.listing));
        let gone = before
            .keys()
            .filter(|name| !self.objects.contains_key(*name));
        let other = |(name, object): &(&Named, &V)| {
            before.get(*name).map(V::version) != Some(object.version())
        };
        let new = self.objects.iter().filter(other).map(|(name, _)| name);
        gone.chain(new).cloned().collect()
    }
}

/// The Secret as last seen or written.
fn newest<'a>(
    ours: &'a Shown<Arc<Observed>>,
    written: &'a HashMap<Named, Written>,
    name: &Named,
) -> Option<&'a Arc<Observed>> {
    let seen = ours.objects.get(name);
    let written = written.get(name).map(|written| &written.secret);
    match (seen, written) {
        (Some(seen), Some(written)) if seen.version() > written.version() => Some(seen),
        (_, Some(written)) => Some(written),
        (seen, None) => seen,
    }
}

trait Versioned {
    /// The resourceVersion, as a number.
    fn version(&self) -> u64;
}

impl Versioned for u64 {
    fn version(&self) -> u64 {
        *self
    }
}

impl Versioned for Arc<Observed> {
    fn version(&self) -> u64 {
        version_of(self)
    }
}

pub(super) fn name_of(secret: &Observed) -> Named {
    Named::new(&secret.namespace, &secret.name)
}
