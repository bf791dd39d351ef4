//! The ways in for what an order still has to prove, and for nothing else.
//!
//! A Certificate's status tells what is shown, and whoever may write it may write anything there. So the ways are those of
//! the order's own proofs, as its CA has just told of them.

use certwright_core::acme::ChallengeKind;
use certwright_core::acme::order::{Proof, Stage};
use certwright_core::acme::problem::plain;
use certwright_core::api::certificate::{OrderStatus, PresentedChallenge};
use certwright_core::api::issuer::Solver;
use certwright_core::http01::Challenge;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::order::{self, Asked, LOOK_AGAIN, Progress, Taken, Ways, later};
use super::{AcmeIssuer, StepFailure};
use crate::http01::front_door::{Closed, Presented};

impl AcmeIssuer {
    /// Leads the CA to our answers; it is not told to look yet.
    pub(super) async fn present(
        &self,
        asked: &Asked<'_>,
        ways: &Ways,
        status: &OrderStatus,
        proofs: &[Proof<'_>],
    ) -> Taken {
        let Some(front_door) = &ways.front_door else {
            let message = "HTTP-01 is switched off (--http01), and no other way to prove a name is served yet";
            return Ok(Err(StepFailure::of_request(message)));
        };
        let challenges = match challenges(proofs) {
            Ok(challenges) => challenges,
            Err(failure) => return Ok(Err(failure)),
        };
        // A CA that asks for something else each time must not have the cluster written to without end.
        if let Some(wait) = front_door.made_lately(asked.owner) {
            let wait = SignedDuration::try_from(wait).unwrap_or(LOOK_AGAIN);
            return order::waits(status, later(asked.now, wait.max(LOOK_AGAIN)));
        }
        let presented = self.presented(&challenges);
        if let Err(closed) = front_door.present(asked.owner, &presented).await {
            return StepFailure::of_way(closed).map(Err);
        }
        Ok(Ok(Progress::UnderWay(OrderStatus {
            challenges: shown(asked, status, proofs),
            look_again: None,
            ..status.clone()
        })))
    }

    /// Makes ways in that somebody took away, if the CA is not told to look yet: that is why it isn't, perhaps.
    pub(super) async fn present_again(
        &self,
        asked: &Asked<'_>,
        ways: &Ways,
        proofs: &[Proof<'_>],
        taken: Taken,
    ) -> Taken {
        let waits =
            matches!(&taken, Ok(Ok(Progress::UnderWay(order))) if order.waits_for.is_some());
        let (true, Some(front_door)) = (waits, &ways.front_door) else {
            return taken;
        };
        let Ok(challenges) = challenges(proofs) else {
            return taken;
        };
        let presented = self.presented(&challenges);
        match front_door.present_again(asked.owner, &presented).await {
            Ok(()) => taken,
            Err(Closed::Failed(error)) if error.refusal().is_none() => Err(error),
            Err(closed) => StepFailure::of_way(closed).map(Err),
        }
    }

    fn presented<'a>(&self, challenges: &'a [(&'a Solver, Vec<Challenge>)]) -> Vec<Presented<'a>> {
        let presented = challenges.iter().filter_map(|(solver, challenges)| {
            Some(Presented {
                solver: solver.http01.as_ref()?,
                trusted: self.trusted,
                challenges,
            })
        });
        presented.collect()
    }
}

/// The challenges of each solver.
fn challenges<'a>(proofs: &[Proof<'a>]) -> Result<Vec<(&'a Solver, Vec<Challenge>)>, StepFailure> {
    let mut all: Vec<(&Solver, Vec<Challenge>)> = Vec::new();
    for proof in proofs {
        let identifier = proof.identifier.to_string();
        let Ok(challenge) = Challenge::new(&identifier, &proof.token) else {
            let name = plain(&identifier, 253);
            let message = format!("The CA asks for {name} in a way that can't be answered");
            return Err(StepFailure::of_request(&message));
        };
        let of_solver = all
            .iter_mut()
            .find(|(solver, _)| std::ptr::eq(*solver, proof.solver));
        match of_solver {
            Some((_, challenges)) => challenges.push(challenge),
            None => all.push((proof.solver, vec![challenge])),
        }
    }
    Ok(all)
}

/// What is shown now. What was shown before keeps its time.
fn shown(asked: &Asked<'_>, status: &OrderStatus, proofs: &[Proof<'_>]) -> Vec<PresentedChallenge> {
    let shown = proofs.iter().map(|proof| {
        let new = PresentedChallenge {
            kind: ChallengeKind::as_str(proof.kind).to_owned(),
            identifier: proof.identifier.to_string(),
            token: proof.token.clone(),
            authorization_url: proof.authorization_url.clone(),
            presented_at: Some(Time(asked.now)),
            accepted: false,
        };
        let was_shown = |known: &&PresentedChallenge| {
            (
                &known.kind,
                &known.identifier,
                &known.token,
                &known.authorization_url,
            ) == (
                &new.kind,
                &new.identifier,
                &new.token,
                &new.authorization_url,
            )
        };
        match proof.stage {
            Stage::New => new,
            Stage::Shown | Stage::Told => {
                let known = status.challenges.iter().find(was_shown).cloned();
                known.unwrap_or(new)
            }
        }
    });
    shown.collect()
}
