//! Whether a certificate is served where it was carried to.
//!
//! What is served is looked at from outside, by TLS handshakes: each is a [`Look`] at one endpoint. All looks at one place, such
//! as a Pod, and all places of a workload or a host come to a [`Verdict`].

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::ServerName;

use super::Held;
use crate::pki::Facts;
use crate::pki::facts::Fingerprint;

/// How soon a place is looked at again that was not seen to serve the certificate; then ever longer...
const SOON: SignedDuration = SignedDuration::from_secs(5);
/// ...but no longer than this, once it was reached.
const REACHED: SignedDuration = SignedDuration::from_mins(5);
/// How often what is not reached is looked at within that time of doubling, at most.
const DOUBLED: u32 = 16;
/// What stands for `*` where a name is asked for.
const ANY_LABEL: &str = "certwright-probe";

/// What an endpoint showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Which, in words such as `Pod web-0 at 10.0.0.7:8443`.
    pub at: String,
    /// Whether somebody said that the certificate is served there: then whatever else it shows is stale. Otherwise a leaf for
    /// other names says nothing.
    pub named: bool,
    /// What.
    pub seen: Seen,
}

/// What was seen at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A certificate.
    Leaf(ShownLeaf),
    /// It was reached, and shows none.
    NoCertificate(String),
    /// It was not reached.
    Unreached(String),
}

/// A certificate as it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownLeaf {
    /// SHA-256 of its DER.
    pub fingerprint: Fingerprint,
    /// The DNS names and addresses it is for.
    pub names: BTreeSet<String>,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// What was shown with it.
    pub above: Vec<Fingerprint>,
}

impl ShownLeaf {
    /// Reads a chain in the order in which it was shown; `None` of an empty one.
    pub fn of(chain: &[Facts]) -> Option<Self> {
        let (leaf, above) = chain.split_first()?;
        Some(Self {
            fingerprint: leaf.fingerprint,
            names: names_of(leaf),
            not_after: leaf.not_after,
            above: above.iter().map(|facts| facts.fingerprint).collect(),
        })
    }
}

/// The DNS names and addresses that a certificate is for, as text.
pub fn names_of(facts: &Facts) -> BTreeSet<String> {
    let addresses = facts.names.ip.iter().map(IpAddr::to_string);
    facts.names.dns.iter().cloned().chain(addresses).collect()
}

/// What came of looking at a workload, or at a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// In a word.
    pub outcome: Outcome,
    /// At how many endpoints another certificate was seen.
    pub stale: usize,
    /// What was seen, where that helps.
    pub message: Option<String>,
}

/// What came of it, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All places were seen to serve the certificate.
    Served,
    /// One was seen to serve another one.
    Stale,
    /// One was seen to serve it without the certificates that lead to its CA.
    Incomplete,
    /// One was not reached.
    Unknown,
    /// One was reached and shows nothing that says anything, or there is nothing to look at.
    Silent,
}

/// All looks at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What it is, such as `Pod web-0`.
    pub name: String,
    /// Whether it has to show the certificate for all to be served. A Service doesn't: it only leads to Pods.
    pub needed: bool,
    /// What its endpoints showed.
    pub looks: Vec<Look>,
}

/// Says what comes of all looks at a workload, or at a host.
///
/// The first that holds:
/// 1. an endpoint shows another leaf, and it is named, or the leaf is for a name of the held one → Stale;
/// 2. an endpoint shows the held leaf without all that stands above it in the Secret → Incomplete;
/// 3. at some needed place no endpoint shows the held leaf, and one was not reached, or there is no place yet → Unknown;
/// 4. at some needed place no endpoint shows the held leaf → Silent;
/// 5. Served.
pub fn verdict(held: &Held, places: &[Place]) -> Verdict {
    let looks = || places.iter().flat_map(|place| &place.looks);
    let stale: Vec<(&Look, &ShownLeaf)> = looks()
        .filter_map(|look| Some((look, look.other(held)?)))
        .collect();
    if let Some((look, leaf)) = stale.first() {
        let more = match stale.len() - 1 {
            0 => String::new(),
            more => format!("; so do {more} more"),
        };
        return Verdict {
            outcome: Outcome::Stale,
            stale: stale.len(),
            message: Some(format!(
                "{} serves another certificate, for {}, valid until {}{more}",
                look.at,
                told(&leaf.names),
                leaf.not_after
            )),
        };
    }
    let of = |outcome, message| Verdict {
        outcome,
        stale: 0,
        message,
    };
    if let Some((look, missing)) = looks().find_map(|look| Some((look, look.lacks(held)?))) {
        return of(
            Outcome::Incomplete,
            Some(format!(
                "{} serves the certificate without {missing} of the {} that lead to its CA: it has to serve all of tls.crt",
                look.at,
                held.above.len()
            )),
        );
    }
    let shows = |place: &Place| place.looks.iter().any(|look| look.shows(held));
    let silent = || places.iter().filter(|place| place.needed && !shows(place));
    if let Some(why) = silent().find_map(Place::why_unreached) {
        return of(Outcome::Unknown, Some(why));
    }
    match silent().next() {
        Some(place) => of(Outcome::Silent, Some(place.why_silent())),
        None if !places.iter().any(|place| place.needed) => of(
            Outcome::Unknown,
            Some("none of its Pods is ready".to_owned()),
        ),
        None => of(Outcome::Served, None),
    }
}

impl Look {
    fn leaf(&self) -> Option<&ShownLeaf> {
        match &self.seen {
            Seen::Leaf(leaf) => Some(leaf),
            Seen::NoCertificate(_) | Seen::Unreached(_) => None,
        }
    }

    fn shows(&self, held: &Held) -> bool {
        self.leaf()
            .is_some_and(|leaf| leaf.fingerprint.to_string() == held.fingerprint)
    }

    /// Another leaf, where the held one was to be expected.
    fn other(&self, held: &Held) -> Option<&ShownLeaf> {
        let leaf = self.leaf().filter(|_| !self.shows(held))?;
        let expected = self.named || !leaf.names.is_disjoint(&held.names);
        expected.then_some(leaf)
    }

    /// How many certificates it leaves out; `None` if none, or if it doesn't show the held leaf.
    fn lacks(&self, held: &Held) -> Option<usize> {
        let leaf = self.leaf().filter(|_| self.shows(held))?;
        let missing = held.above.iter().filter(|one| !leaf.above.contains(one));
        Some(missing.count()).filter(|count| *count > 0)
    }
}

impl Place {
    fn why_unreached(&self) -> Option<String> {
        self.looks.iter().find_map(|look| match &look.seen {
            Seen::Unreached(why) => Some(format!("{}: {why}", self.name)),
            Seen::Leaf(_) | Seen::NoCertificate(_) => None,
        })
    }

    fn why_silent(&self) -> String {
        let name = &self.name;
        match self.looks.first().map(|look| &look.seen) {
            None => format!("{name} names no port"),
            Some(Seen::NoCertificate(why)) => format!("{name}: {why}"),
            Some(_) => format!("{name} shows certificates for other names only"),
        }
    }
}

fn told(names: &BTreeSet<String>) -> String {
    match names.first() {
        None => "no name".to_owned(),
        Some(first) if names.len() == 1 => first.clone(),
        Some(first) => format!("{first} and {} more", names.len() - 1),
    }
}

/// The name that is asked for in a handshake: the one that somebody `said`, else the first DNS name, else the first address.
pub fn asked_name(said: Option<&str>, names: &BTreeSet<String>) -> Option<ServerName<'static>> {
    let is_address = |name: &&String| name.parse::<IpAddr>().is_ok();
    let first = || {
        let dns = names.iter().find(|name| !is_address(name));
        dns.or_else(|| names.first()).map(String::as_str)
    };
    let name = said.or_else(first)?;
    let name = match name.strip_prefix("*.") {
        Some(rest) => format!("{ANY_LABEL}.{rest}"),
        None => name.to_owned(),
    };
    ServerName::try_from(name).ok()
}

impl Held {
    /// From when on it has surely reached all files, so that whoever serves another certificate is stale; `None` if it has by
    /// `now`. What was issued in the future was so before a clock was put back: it says nothing.
    pub fn settles_at(&self, now: Timestamp) -> Option<Timestamp> {
        let policy = self.policy.as_ref().ok()?;
        let issued_at = self.issued_at.filter(|issued_at| *issued_at <= now)?;
        let settled = issued_at.saturating_add(policy.volume_delay).ok()?;
        (settled > now).then_some(settled)
    }
}

/// How long after a look the next one follows, `tries` after the certificate was last seen to be served there, where `interval`
/// lies between looks at what serves it.
pub fn look_again(outcome: Outcome, tries: u32, interval: SignedDuration) -> SignedDuration {
    let doubled = SOON.saturating_mul(1 << tries.min(DOUBLED));
    match outcome {
        // What shows nothing won't do so by itself.
        Outcome::Served | Outcome::Silent => interval,
        Outcome::Stale | Outcome::Incomplete => doubled.min(REACHED).min(interval),
        Outcome::Unknown => doubled.min(interval),
    }
}
