//! Whether Secrets of an issuer still hold certificates of a CA that was replaced.
//!
//! Each Secret that keeps an older root asks for it. Reading all certificates of the issuer each time would cost the square
//! of their number, so each is read once, and again only after its Secret has changed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use certwright_core::api::Group;
use certwright_core::pki::facts::Fingerprint;
use certwright_core::plan::request::IssuerName;
use certwright_core::plan::{Observed, OldLeaves};
use jiff::Timestamp;

use super::Named;
use super::state::name_of;

/// How many certificates are read for one answer: readers wait for each other.
const AT_ONCE: usize = 32;

/// An issuer by name; the namespace is empty for a ClusterIssuer.
pub type IssuerKey = (IssuerName, String);

/// What is known of the issuers whose CA is being replaced. Of all others nothing is kept.
#[derive(Default)]
pub(super) struct Replacements {
    group: Group,
    issuers: HashMap<IssuerKey, Replacement>,
}

/// What is known of one issuer's Secrets.
#[derive(Default)]
struct Replacement {
    /// The certificate of the issuer's present CA; `None` before its Secrets were counted, and after a new list of them.
    ca: Option<Fingerprint>,
    /// A Secret with an older certificate, and until when that serves.
    found: Option<(Named, Timestamp)>,
    /// Secrets not read since they changed last.
    unread: BTreeSet<Named>,
    /// How many Secrets keep an older root, and so will ask: nothing is kept for longer than the last of them does.
    asking: usize,
    /// Since when nothing was found.
    gone_since: Option<Timestamp>,
}

impl Replacements {
    pub(super) fn new(group: Group) -> Self {
        Self {
            group,
            issuers: HashMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Whether the Secrets of an issuer were counted under this certificate of its CA.
    pub(super) fn knows(&self, issuer: &IssuerKey, ca: Fingerprint) -> bool {
        let known = self.issuers.get(issuer);
        known.is_some_and(|known| known.ca == Some(ca))
    }

    /// Counts the Secrets of an issuer, which are among these.
    pub(super) fn count(&mut self, issuer: &IssuerKey, ca: Fingerprint, all: &[Arc<Observed>]) {
        // After a new list of Secrets it is still true that nothing was found.
        let gone_since = self
            .issuers
            .get(issuer)
            .filter(|known| known.ca.is_none())
            .and_then(|known| known.gone_since);
        let mut counted = Replacement {
            ca: Some(ca),
            gone_since,
            ..Replacement::default()
        };
        for secret in all {
            if self.issuer(secret).as_ref() == Some(issuer) {
                counted.comes(secret);
            }
        }
        self.issuers.insert(issuer.clone(), counted);
    }

    /// Whether Secrets of an issuer that were counted hold older certificates. `older_until` reads the one of a Secret:
    /// until when it serves, if it is older.
    pub(super) fn answer(
        &mut self,
        now: Timestamp,
        issuer: &IssuerKey,
        older_until: impl FnMut(&Named) -> Option<Timestamp>,
    ) -> OldLeaves {
        match self.issuers.get_mut(issuer) {
            Some(replacement) => replacement.answer(now, older_until),
            None => OldLeaves::Held,
        }
    }

    /// Takes note that a Secret was `before` and is `after`.
    pub(super) fn changed(&mut self, before: Option<&Observed>, after: Option<&Observed>) {
        let old = before.and_then(|secret| Some((self.issuer(secret)?, secret)));
        let new = after.and_then(|secret| Some((self.issuer(secret)?, secret)));
        if let Some((issuer, secret)) = &old
            && let Some(replacement) = self.issuers.get_mut(issuer)
        {
            replacement.goes(secret);
        }
        if let Some((issuer, secret)) = &new
            && let Some(replacement) = self.issuers.get_mut(issuer)
        {
            replacement.comes(secret);
        }
        for (issuer, _) in [old, new].into_iter().flatten() {
            if self.issuers.get(&issuer).is_some_and(Replacement::is_over) {
                self.issuers.remove(&issuer);
            }
        }
    }

    /// Takes note that all Secrets may be others.
    pub(super) fn relisted(&mut self) {
        for replacement in self.issuers.values_mut() {
            *replacement = Replacement {
                gone_since: replacement.gone_since,
                ..Replacement::default()
            };
        }
    }

    fn issuer(&self, secret: &Observed) -> Option<IssuerKey> {
        let issuer = secret.issuer(&self.group)?;
        let namespace = if issuer.cluster {
            String::new()
        } else {
            secret.namespace.clone()
        };
        Some((issuer, namespace))
    }
}

impl Replacement {
    fn answer(
        &mut self,
        now: Timestamp,
        mut older_until: impl FnMut(&Named) -> Option<Timestamp>,
    ) -> OldLeaves {
        self.found.take_if(|(_, until)| *until < now);
        for _ in 0..AT_ONCE {
            if self.found.is_some() {
                break;
            }
            let Some(name) = self.unread.pop_first() else {
                break;
            };
            self.found = older_until(&name).map(|until| (name, until));
        }
        if self.found.is_some() {
            self.gone_since = None;
        }
        if self.found.is_some() || !self.unread.is_empty() {
            return OldLeaves::Held;
        }
        // A moment ahead of us is left from a clock that was set back.
        let since = self.gone_since.filter(|since| *since <= now);
        OldLeaves::GoneSince(*self.gone_since.insert(since.unwrap_or(now)))
    }

    fn comes(&mut self, secret: &Observed) {
        self.asking += usize::from(secret.marks.ca_replaced_at.is_some());
        self.unread.insert(name_of(secret));
    }

    fn goes(&mut self, secret: &Observed) {
        let asked = usize::from(secret.marks.ca_replaced_at.is_some());
        self.asking = self.asking.saturating_sub(asked);
        let name = name_of(secret);
        self.found.take_if(|(found, _)| *found == name);
        self.unread.remove(&name);
    }

    fn is_over(&self) -> bool {
        self.ca.is_some() && self.asking == 0
    }
}

#[cfg(test)]
mod tests;
