//! What a failed step means: in words, and when to try again.

use certwright_core::acme::limits::HoldUntil;
use certwright_core::acme::order::{Failure as OrderFailure, Refusal, again};
use certwright_core::acme::precheck::Stop;
use certwright_core::acme::{Meaning, Pace as MeaningPace, problem};
use certwright_core::plan::status::{EXCLUDED_BY_CAA, HELD, NO_SUCH_NAME, Pace};
use jiff::Timestamp;

use super::Asked;
use crate::acme::AcmeError;
use crate::error::Error;
use crate::http01::front_door::Closed;

/// The reason where the CA gave no answer of its own.
pub(super) const UNREACHABLE: &str = "Unreachable";

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFailure {
    /// One word to search for.
    pub reason: &'static str,
    /// What went wrong and what to do, with a full stop.
    pub message: String,
    /// When to try again.
    pub pace: Pace,
    /// Whether the order can be gone on with.
    pub keeps_order: bool,
    /// Whether the CA knows the account no more.
    pub account_gone: bool,
}

impl StepFailure {
    fn new(reason: &'static str, message: &str, pace: Pace, keeps_order: bool) -> Self {
        Self {
            reason,
            message: format!("{}.", message.trim_end_matches('.')),
            pace,
            keeps_order,
            account_gone: false,
        }
    }

    /// Something that only the user can change.
    pub(super) fn of_request(message: &str) -> Self {
        Self::new("NotForACME", message, Pace::Refused, false)
    }

    /// What a CA's refusal means; `None` if it gave no answer at all.
    pub(super) fn meaning(now: Timestamp, error: &AcmeError) -> Option<Meaning> {
        let AcmeError::Problem {
            status,
            problem,
            retry_after,
        } = error
        else {
            return None;
        };
        let retry_after = retry_after.as_deref();
        Some(Meaning::of_answer(now, *status, problem, retry_after))
    }

    /// The CA was not asked: a limit of it would have been gone against.
    pub(super) fn of_hold(hold: &HoldUntil) -> Self {
        let words = capitalised(&hold.to_string());
        Self::new(HELD, &words, Pace::Held(hold.until), false)
    }

    /// The CA was not asked: what DNS says is in the way. `words` name all of it.
    pub(super) fn of_stop(stop: &Stop, words: &str) -> Self {
        let reason = match stop {
            Stop::Excluded { .. } => EXCLUDED_BY_CAA,
            Stop::NoSuchName { .. } => NO_SUCH_NAME,
        };
        Self::new(reason, words, Pace::EachMinute, false)
    }

    /// The CA was asked, and did not do what was wanted.
    pub(super) fn of_call(now: Timestamp, error: &AcmeError) -> Self {
        let AcmeError::Problem {
            status,
            problem,
            retry_after,
        } = error
        else {
            return match error {
                AcmeError::Url(_) => {
                    Self::new("ForeignURL", &error.to_string(), Pace::Refused, false)
                }
                AcmeError::AccountClosed { .. } => Self::of_closed_account(error),
                AcmeError::NoService(_) | AcmeError::Key(_) => {
                    Self::new("Unusable", &error.to_string(), Pace::Refused, false)
                }
                _ => Self::new(UNREACHABLE, &error.to_string(), Pace::Soon, true),
            };
        };
        // No CA says no without a word: something before it does, or it is not itself.
        let wordless = problem.kind.is_empty() && problem.detail.is_empty();
        if wordless && !matches!(status, 408 | 425 | 429 | 500..) {
            let message = format!("The CA answered with status {status}, and in no words of ACME");
            return Self::new(UNREACHABLE, &message, Pace::Soon, false);
        }
        let meaning = Meaning::of_answer(now, *status, problem, retry_after.as_deref());
        let words = problem::describe(&meaning, problem);
        let passes = matches!(
            meaning,
            Meaning::BadNonce
                | Meaning::OrderNotReady
                | Meaning::Transient { .. }
                | Meaning::RateLimited { .. }
                | Meaning::AccountGone
        );
        let mut failure = Self::new(meaning.reason(), &words, pace(&meaning), passes);
        let gone = [Meaning::AccountGone, Meaning::AccountClosed];
        failure.account_gone = gone.contains(&meaning);
        failure
    }

    /// The CA has an account for the key, and wants none of it.
    fn of_closed_account(error: &AcmeError) -> Self {
        let meaning = Meaning::AccountClosed;
        let words = format!("{}. {}", capitalised(&error.to_string()), problem::CLOSED);
        let mut failure = Self::new(meaning.reason(), &words, pace(&meaning), false);
        failure.account_gone = true;
        failure
    }

    /// The order is not one to follow.
    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        let reason = match refusal {
            Refusal::NoSolver(_) => "NoSolver",
            _ => "RefusedOrder",
        };
        Self::new(
            reason,
            &capitalised(&refusal.to_string()),
            Pace::Refused,
            false,
        )
    }

    /// There will be no certificate of the order.
    pub(super) fn of_order(asked: &Asked<'_>, failure: &OrderFailure) -> Self {
        let (meaning, words) = (&failure.meaning, capitalised(&failure.words));
        let pace = again(asked.now, meaning, asked.last_failure)
            .map_or_else(|| pace(meaning), Pace::Until);
        Self::new(meaning.reason(), &words, pace, false)
    }

    /// The CA knows the order no more. It may have been too old, or the CA lost it.
    pub(super) fn of_lost_order() -> Self {
        let message = "The CA knows the order no more. Another is made";
        Self::new("OrderGone", message, Pace::Soon, false)
    }

    /// The CA does not come to an end with it.
    pub(super) fn of_stuck_order(since: Timestamp) -> Self {
        let hours = super::order::PATIENCE.as_hours();
        let message = format!(
            "The CA has not finished the order of {since} within {hours} hours. Another is made; ask the CA's people what \
             holds it up"
        );
        Self::new("OrderStuck", &message, Pace::Refused, false)
    }

    /// What signed the certificate is missing.
    pub(super) fn of_cut_off_chain() -> Self {
        let message = "The CA gave the certificate without the one that signed it, so that hardly anybody would trust it. If \
                       its root signs certificates itself, write that root into the issuer's caBundle";
        Self::new("BadCertificate", message, Pace::Refused, false)
    }

    /// The CA's question can't be led to us.
    pub(super) fn of_way(closed: Closed) -> Result<Self, Error> {
        match closed {
            Closed::Failed(error) => match error.refusal() {
                Some(message) => Ok(Self::new("NoWayIn", &message, Pace::Soon, true)),
                None => Err(error),
            },
            closed => Ok(Self::new(
                "NoWayIn",
                &capitalised(&closed.to_string()),
                Pace::Soon,
                true,
            )),
        }
    }
}

fn pace(meaning: &Meaning) -> Pace {
    match (meaning.until(), meaning.pace()) {
        (Some(until), _) => Pace::Until(until),
        (None, MeaningPace::AtOnce | MeaningPace::Soon) => Pace::Soon,
        (None, MeaningPace::Slow) => Pace::Refused,
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
