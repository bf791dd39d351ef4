//! Which of an issuer's solvers proves a name.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use super::wire::Identifier;
use crate::api::issuer::{Selector, Solver};
use crate::api::names;

/// How a name is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChallengeKind {
    /// By an answer over HTTP (RFC 8555 section 8.3).
    Http01,
    /// By a record in DNS (section 8.4).
    Dns01,
}

/// What was chosen for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice<'a> {
    /// How the name is proven.
    pub kind: ChallengeKind,
    /// With which settings.
    pub solver: &'a Solver,
}

/// Why nothing proves a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSolver {
    /// There is none for any name.
    #[error(
        "{name} has to be proven to the CA, and the issuer has no solver: write one under spec.acme.solvers"
    )]
    NoneAtAll {
        /// The name.
        name: String,
    },
    /// There are some, none of them for this name.
    #[error(
        "none of the issuer's solvers is for {name}: add one without a selector, or one whose selector has it"
    )]
    NotSelected {
        /// The name.
        name: String,
    },
    /// Those that are for it prove no wildcards.
    #[error(
        "{name} is a wildcard, which HTTP-01 can't prove: write the hosts one by one, or use an issuer with a solver for DNS-01"
    )]
    Wildcard {
        /// The name.
        name: String,
    },
    /// Those that are for it prove no addresses.
    #[error(
        "{name} is an address, which only HTTP-01 can prove: add a solver with http01 and without names in its selector"
    )]
    Address {
        /// The name.
        name: String,
    },
    /// The CA does not take what those do that are for it.
    #[error(
        "the CA takes {} for {name}, and the issuer's solvers that are for it do {}",
        list(.offered),
        list(.served)
    )]
    NotOffered {
        /// The name.
        name: String,
        /// What the CA takes.
        offered: Vec<String>,
        /// What the solvers do.
        served: Vec<String>,
    },
}

/// The solver for a name of a Certificate that carries these labels; `offered` are the kinds of challenge that the CA
/// takes for it, once that is known.
///
/// Of those that can prove it: the one with the name itself in `dnsNames`, then the one with the longest fitting entry
/// of `dnsZones`, then the one with the most `matchLabels`, then the first. An address fits only selectors without
/// names.
///
/// # Errors
/// When no solver is left, with the reason that took the last.
pub fn choose<'a>(
    solvers: &'a [Solver],
    labels: &BTreeMap<String, String>,
    identifier: &Identifier,
    offered: Option<&[&str]>,
) -> Result<Choice<'a>, NoSolver> {
    let name = || identifier.to_string();
    if solvers.is_empty() {
        return Err(NoSolver::NoneAtAll { name: name() });
    }
    let selected: Vec<_> = solvers
        .iter()
        .filter_map(|solver| Some((fit(solver.selector.as_ref(), labels, identifier)?, solver)))
        .collect();
    if selected.is_empty() {
        return Err(NoSolver::NotSelected { name: name() });
    }
    let able: Vec<_> = selected
        .into_iter()
        .filter_map(|(fit, solver)| {
            let kind = kinds(solver).find(|kind| kind.proves(identifier))?;
            Some((fit, Choice { kind, solver }))
        })
        .collect();
    if able.is_empty() {
        return Err(match identifier {
            Identifier::Dns(_) => NoSolver::Wildcard { name: name() },
            Identifier::Ip(_) => NoSolver::Address { name: name() },
        });
    }
    let is_offered =
        |kind: ChallengeKind| offered.is_none_or(|offered| offered.contains(&kind.as_str()));
    able.iter()
        .filter(|(_, choice)| is_offered(choice.kind))
        // The first of those that fit equally well.
        .min_by_key(|(fit, _)| Reverse(*fit))
        .map(|(_, choice)| *choice)
        .ok_or_else(|| NoSolver::NotOffered {
            name: name(),
            offered: offered
                .unwrap_or_default()
                .iter()
                .take(8)
                .map(|kind| super::problem::plain(kind, 32))
                .collect(),
            served: distinct(able.iter().map(|(_, choice)| choice.kind)),
        })
}

/// Whether a solver is there for each of these names, as far as that is known before the CA says what it takes: so no order is
/// made that can't be followed. An issuer without any solver leaves all to its CA, which may hold names for proven by the
/// account alone.
///
/// # Errors
/// As [`choose`], for the first name.
pub fn all_can_be_proven<'n>(
    solvers: &[Solver],
    labels: &BTreeMap<String, String>,
    identifiers: impl IntoIterator<Item = &'n Identifier>,
) -> Result<(), NoSolver> {
    if solvers.is_empty() {
        return Ok(());
    }
    let mut identifiers = identifiers.into_iter();
    identifiers.try_for_each(|identifier| choose(solvers, labels, identifier, None).map(|_| ()))
}

/// How well a solver fits, the better the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    named: bool,
    zone_labels: usize,
    labels: usize,
}

/// `None` where it does not.
fn fit(
    selector: Option<&Selector>,
    labels: &BTreeMap<String, String>,
    identifier: &Identifier,
) -> Option<Fit> {
    let Some(selector) = selector else {
        return Some(Fit {
            named: false,
            zone_labels: 0,
            labels: 0,
        });
    };
    let carries = |(key, value)| labels.get(key) == Some(value);
    if !selector.match_labels.iter().all(carries) {
        return None;
    }
    let (names, zones) = (&selector.dns_names, &selector.dns_zones);
    let (named, zone_labels) = match identifier {
        Identifier::Ip(_) if names.is_empty() && zones.is_empty() => (false, 0),
        Identifier::Ip(_) => return None,
        Identifier::Dns(name) => {
            if !names.is_empty() && !names.iter().any(|other| canonical(other) == *name) {
                return None;
            }
            let zone_labels = match zones.is_empty() {
                true => 0,
                false => zones.iter().filter_map(|zone| within(name, zone)).max()?,
            };
            (!names.is_empty(), zone_labels)
        }
    };
    Some(Fit {
        named,
        zone_labels,
        labels: selector.match_labels.len(),
    })
}

/// How many labels a zone has, if the name is in it.
fn within(name: &str, zone: &str) -> Option<usize> {
    let zone = canonical(zone);
    let inside = name
        .strip_suffix(zone.as_str())
        .is_some_and(|before| before.is_empty() || before.ends_with('.'));
    (inside && !zone.is_empty()).then(|| zone.split('.').count())
}

/// As a certificate has it; what is no name stays as it is, and fits none.
fn canonical(name: &str) -> String {
    names::dns_name(name).unwrap_or_else(|_| name.to_owned())
}

fn kinds(solver: &Solver) -> impl Iterator<Item = ChallengeKind> {
    let http01 = solver.http01.as_ref().map(|_| ChallengeKind::Http01);
    let dns01 = solver.dns01.as_ref().map(|_| ChallengeKind::Dns01);
    http01.into_iter().chain(dns01)
}

fn distinct(kinds: impl Iterator<Item = ChallengeKind>) -> Vec<String> {
    let kinds: std::collections::BTreeSet<_> = kinds.collect();
    kinds.into_iter().map(|kind| kind.to_string()).collect()
}

/// `a, b`, or `nothing`.
fn list(texts: &[String]) -> String {
    if texts.is_empty() {
        "nothing".to_owned()
    } else {
        texts.join(", ")
    }
}

impl ChallengeKind {
    /// As the wire has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
        }
    }

    /// From the wire, or from a status; `None` for kinds that nobody here does.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Http01, Self::Dns01]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// Whether such a name can be proven so: wildcards only in DNS (RFC 8555 section 7.1.3), addresses never there
    /// (RFC 8738 section 7).
    fn proves(self, identifier: &Identifier) -> bool {
        match (self, identifier) {
            (Self::Http01, Identifier::Dns(name)) => !name.starts_with("*."),
            (Self::Http01, Identifier::Ip(_)) | (Self::Dns01, Identifier::Dns(_)) => true,
            (Self::Dns01, Identifier::Ip(_)) => false,
        }
    }
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
