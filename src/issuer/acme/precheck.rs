//! What is looked for before an order is made: solvers for its names, and what DNS has against a name's first one.

use std::time::Duration;

use certwright_core::acme::order::Refusal;
use certwright_core::acme::precheck::{self, Answer, Signer, Stop};
use certwright_core::acme::wire::Identifier;
use certwright_core::acme::{ChallengeKind, selector};
use futures::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use super::order::Asked;
use super::{AcmeIssuer, StepFailure};
use crate::outside::{Records, Wanted};

/// How long all names may take together.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many names are looked for at once.
const AT_ONCE: usize = 8;

impl AcmeIssuer {
    /// Looks whether there are solvers for what may have to be shown.
    pub(super) fn has_solvers(&self, asked: &Asked<'_>) -> Result<(), StepFailure> {
        let new = asked.identifiers.iter();
        let new = new.filter(|identifier| !was_shown(asked, identifier));
        selector::all_can_be_proven(&self.settings.solvers, asked.labels, new)
            .map_err(|why| StepFailure::of_refusal(&Refusal::NoSolver(why)))
    }

    /// Looks whether CAA records leave the CA out, or a name does not exist that HTTP-01 needs. What can't be found out in
    /// time is left to the CA.
    pub(super) async fn precheck(
        &self,
        asked: &Asked<'_>,
        records: &Records,
    ) -> Result<(), StepFailure> {
        let deadline = Instant::now() + PATIENCE;
        let mut looks = Vec::new();
        for identifier in asked.identifiers {
            let Identifier::Dns(name) = identifier else {
                continue;
            };
            if was_shown(asked, identifier) || !precheck::is_public(name) {
                continue;
            }
            let solver = selector::choose(&self.settings.solvers, asked.labels, identifier, None);
            let kind = solver.ok().map(|choice| choice.kind);
            looks.push(timeout_at(deadline, self.stop(name, kind, records)));
        }
        let found: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        let stops: Vec<Stop> = found
            .into_iter()
            .filter_map(|in_time| in_time.ok()?)
            .collect();
        match stops.split_first() {
            None => Ok(()),
            Some((first, others)) => Err(StepFailure::of_stop(first, &together(first, others))),
        }
    }

    /// What is certainly in the way of a name.
    async fn stop(
        &self,
        name: &str,
        kind: Option<ChallengeKind>,
        records: &Records,
    ) -> Option<Stop> {
        let signer = Signer {
            identities: &self.account.status().caa_identities,
            account: self.account.url(),
            kind,
        };
        let (caa, exists) = tokio::join!(
            excluded(name, &signer, records),
            missing(name, kind, records)
        );
        // Without the name, there is nothing to add a CAA record to.
        exists.or(caa)
    }
}

/// Whether a name was shown to the CA before, which may still know it.
fn was_shown(asked: &Asked<'_>, identifier: &Identifier) -> bool {
    asked.held.is_some_and(|held| identifier.is_in(held))
}

/// What CAA records have against a name.
async fn excluded(name: &str, signer: &Signer<'_>, records: &Records) -> Option<Stop> {
    if signer.identities.is_empty() {
        return None;
    }
    let mut suspected = None;
    for domain in precheck::climb(name) {
        match records.resolved(domain, Wanted::Caa).await {
            Answer::Records(found) => {
                precheck::excludes(name, domain, &found, signer)?;
                suspected = Some(domain);
                break;
            }
            Answer::Nothing | Answer::NoSuchName => {}
            Answer::Unknown => return None,
        }
    }
    let suspected = suspected?;
    // What the resolver remembers may be old, also that there was nothing further down.
    for domain in precheck::climb(name) {
        match records.published(domain, Wanted::Caa).await {
            Answer::Records(found) => return precheck::excludes(name, domain, &found, signer),
            _ if domain == suspected => return None,
            Answer::Nothing | Answer::NoSuchName | Answer::Unknown => {}
        }
    }
    None
}

/// Whether a name does not exist that has to.
async fn missing(name: &str, kind: Option<ChallengeKind>, records: &Records) -> Option<Stop> {
    let is_missing = kind == Some(ChallengeKind::Http01)
        && records.resolved(name, Wanted::Existence).await == Answer::NoSuchName
        && records.published(name, Wanted::Existence).await == Answer::NoSuchName;
    is_missing.then(|| Stop::NoSuchName {
        name: name.to_owned(),
    })
}

/// The first in full, and how many there are.
fn together(first: &Stop, others: &[Stop]) -> String {
    let others = match others.len() {
        0 => String::new(),
        1 => ". Something is in the way of another name too".to_owned(),
        more => format!(". Something is in the way of {more} more names too"),
    };
    format!("{first}{others}. The CA is not asked before; it is looked for each minute")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_names_the_first_is_told_in_full() {
        let stop = |name: &str| Stop::NoSuchName {
            name: name.to_owned(),
        };
        let all = ["a.example.com", "b.example.com", "c.example.com"].map(stop);
        let end = ". The CA is not asked before; it is looked for each minute";
        assert_eq!(together(&all[0], &[]), format!("{}{end}", all[0]));
        for (others, words) in [
            (&all[1..2], "of another name too"),
            (&all[1..], "of 2 more names too"),
        ] {
            let told = together(&all[0], others);
            assert!(told.starts_with(&all[0].to_string()), "{told}");
            assert!(told.contains(&format!("{words}{end}")), "{told}");
        }
    }
}
