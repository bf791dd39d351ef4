//! Whether this replica may write.
//!
//! Every replica watches, serves and is ready; only the one that holds the Lease writes. It is asked at the last
//! moment, where requests leave the process, so that nothing that was thought before the Lease was lost is still
//! sent. What was sent and comes late meets the uid and resourceVersion that each write carries.

mod election;
mod gate;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use certwright_core::lease::Moment;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use election::{Candidacy, run};
pub use gate::{NotLeading, gated};

/// Whether this replica leads: asked by whoever writes, kept up to date by the election.
#[derive(Clone, Debug)]
pub struct Leadership(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    until: Mutex<Until>,
    /// The term that lasts, if one does: cancelled when it ends.
    term: watch::Sender<Option<CancellationToken>>,
}

#[derive(Clone, Copy, Debug)]
enum Until {
    /// There is no election.
    Always,
    /// Of the clock that runs through suspend.
    Moment(Moment),
}

impl Leadership {
    /// That of the only replica, without an election.
    pub fn undisputed() -> Self {
        Self::new(Until::Always, Some(CancellationToken::new()))
    }

    /// That of a replica that stands for election: it does not lead yet.
    pub fn candidate() -> Self {
        Self::new(Until::Moment(Moment::ZERO), None)
    }

    fn new(until: Until, term: Option<CancellationToken>) -> Self {
        Self(Arc::new(Inner {
            until: Mutex::new(until),
            term: watch::Sender::new(term),
        }))
    }

    /// Whether this replica leads at this moment.
    pub fn leads(&self) -> bool {
        self.left().is_none_or(|left| !left.is_zero())
    }

    /// For how long this replica leads for certain; `None` without an election, zero if it does not lead.
    pub fn left(&self) -> Option<Duration> {
        let until = *self.0.until.lock().unwrap_or_else(PoisonError::into_inner);
        match until {
            Until::Always => None,
            Until::Moment(until) => Some(until.saturating_sub(boot_time())),
        }
    }

    /// Comes back once this replica leads, with what is cancelled when it does so no more.
    pub async fn term(&self) -> CancellationToken {
        let mut terms = self.0.term.subscribe();
        loop {
            let term = terms.borrow_and_update().clone();
            if let Some(term) = term.filter(|term| !term.is_cancelled()) {
                return term;
            }
            // The sender lives in `self`, so waiting can't fail.
            let _ = terms.changed().await;
        }
    }

    /// Leads until this moment; a term begins if none lasts.
    fn extend(&self, until: Moment) {
        self.set(until);
        self.0.term.send_if_modified(|term| {
            let begins = term.is_none();
            term.get_or_insert_default();
            begins
        });
    }

    /// Leads no more; says whether it did.
    fn end(&self) -> bool {
        self.set(Moment::ZERO);
        let mut ended = None;
        self.0.term.send_if_modified(|term| {
            ended = term.take();
            ended.is_some()
        });
        ended.inspect(CancellationToken::cancel).is_some()
    }

    fn set(&self, moment: Moment) {
        let mut until = self.0.until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Until::Moment(moment);
    }
}

/// The time since the machine was started, with the time it was suspended.
fn boot_time() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn without_an_election_one_always_leads() {
        let leadership = Leadership::undisputed();
        assert!(leadership.leads());
        assert_eq!(leadership.left(), None);
        assert!(!leadership.term().await.is_cancelled());
    }

    #[tokio::test]
    async fn a_term_lasts_from_the_first_win_until_it_ends_and_another_may_follow() {
        let leadership = Leadership::candidate();
        assert!(!leadership.leads());
        assert_eq!(leadership.left(), Some(Duration::ZERO));
        assert!(!leadership.end());

        let waiting = tokio::spawn({
            let leadership = leadership.clone();
            async move { leadership.term().await }
        });
        leadership.extend(boot_time() + HOUR);
        let first = waiting.await.unwrap();
        leadership.extend(boot_time() + 2 * HOUR);
        assert!(leadership.leads() && !first.is_cancelled());
        assert!(leadership.left() > Some(HOUR));

        assert!(leadership.end());
        assert!(first.is_cancelled() && !leadership.leads());
        leadership.extend(boot_time() + HOUR);
        assert!(!leadership.term().await.is_cancelled());
    }

    #[test]
    fn time_runs_out_though_nobody_says_so() {
        let leadership = Leadership::candidate();
        leadership.extend(boot_time() + Duration::from_millis(1));
        std::thread::sleep(Duration::from_millis(2));
        assert!(!leadership.leads());
    }
}
