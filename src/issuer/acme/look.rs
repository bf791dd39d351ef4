//! When the CA is told to look, and what is waited for until then.

use std::time::Duration;

use certwright_core::acme::order::Proof;
use certwright_core::acme::problem::plain;
use certwright_core::api::certificate::OrderStatus;
use certwright_core::http01::{Challenge, Outcome, PATIENCE, ask_now};
use futures::future;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use super::AcmeIssuer;
use super::order::{Asked, LOOK_AGAIN, Progress, Taken, Ways, later};
use crate::http01::self_check;

/// After this, a step tells the CA of no further name.
const LONG: Duration = Duration::from_secs(60);

/// So much is told of what our own look saw, in bytes.
const MAX_SEEN: usize = 512;

impl AcmeIssuer {
    /// Tells the CA to look, once we have seen the answers ourselves or waited long enough.
    pub(super) async fn accept(
        &self,
        asked: &Asked<'_>,
        ways: &Ways,
        status: &OrderStatus,
        proofs: &[Proof<'_>],
    ) -> Taken {
        let account = &self.account;
        let mut order = status.clone();
        let mut waits = Vec::new();
        let begun = Instant::now();
        let mut looks = Vec::new();
        for proof in proofs {
            looks.push(self.waits(asked, ways, status, proof));
        }
        // All at the same time, so that they take no longer than one.
        let looks = future::join_all(looks).await;
        for (proof, waits_for) in proofs.iter().zip(looks) {
            if let Some(words) = waits_for {
                waits.push(words);
                continue;
            }
            if begun.elapsed() > LONG {
                // The others are for the next step; the CA has the first by then.
                break;
            }
            let told = account
                .client
                .accept(&account.key, &account.url, &proof.challenge_url)
                .await;
            if let Err(error) = told {
                return Ok(Err(self.failed(asked, &error)));
            }
            let token = &proof.token;
            let shown = order
                .challenges
                .iter_mut()
                .filter(|shown| shown.token == *token);
            shown.for_each(|shown| shown.accepted = true);
        }
        order.look_again = Some(Time(later(asked.now, LOOK_AGAIN)));
        order.waits_for = together(&waits);
        Ok(Ok(Progress::UnderWay(order)))
    }

    /// What is waited for before the CA is told to look; `None` if it is told now.
    async fn waits(
        &self,
        asked: &Asked<'_>,
        ways: &Ways,
        status: &OrderStatus,
        proof: &Proof<'_>,
    ) -> Option<String> {
        let since = shown_since(status, proof);
        let settings = proof.solver.wait_instead_of_self_check.as_ref();
        if let Some(wait) = settings.and_then(|text| text.parse().ok()) {
            let until = later(since, wait);
            return (asked.now < until && asked.now >= since).then(|| {
                let name = &proof.identifier;
                format!(
                    "The CA is told to look for {name} at {until}, as waitInsteadOfSelfCheck says."
                )
            });
        }
        let at_last = later(
            since,
            SignedDuration::try_from(PATIENCE).unwrap_or(LOOK_AGAIN),
        );
        if asked.now >= at_last {
            return None;
        }
        let challenge = Challenge::new(&proof.identifier.to_string(), &proof.token).ok()?;
        let answer = self.account.key.key_authorization(&proof.token);
        let outcome = self_check::look(ways.dial.as_ref(), &challenge, &answer).await;
        if ask_now(since, asked.now, &outcome) {
            return None;
        }
        let seen = match outcome {
            Outcome::Served => return None,
            Outcome::NotYet { saw } => saw,
            Outcome::Unreachable { why } => why,
        };
        let seen = plain(&seen, MAX_SEEN);
        Some(format!(
            "Our answer is not seen from here: {seen}. The CA is told to look at {at_last} all the same."
        ))
    }
}

/// Since when an answer is shown. Where that is not known, since the order.
fn shown_since(status: &OrderStatus, proof: &Proof<'_>) -> Timestamp {
    let shown = status
        .challenges
        .iter()
        .find(|shown| shown.token == proof.token);
    shown
        .and_then(|shown| shown.presented_at.as_ref())
        .unwrap_or(&status.started_at)
        .0
}

/// The first of several waits in full, and how many there are.
fn together(waits: &[String]) -> Option<String> {
    let (first, others) = waits.split_first()?;
    Some(match others.len() {
        0 => first.clone(),
        1 => format!("{first} Another name waits too."),
        more => format!("{first} {more} more names wait too."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_waits_the_first_is_told_in_full() {
        let waits = ["One.", "Two.", "Three."].map(str::to_owned);
        assert_eq!(together(&[]), None);
        assert_eq!(together(&waits[..1]).unwrap(), "One.");
        assert_eq!(
            together(&waits[..2]).unwrap(),
            "One. Another name waits too."
        );
        assert_eq!(together(&waits).unwrap(), "One. 2 more names wait too.");
    }
}
