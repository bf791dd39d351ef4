//! When the CA is told to look.

use std::time::Duration;

use jiff::Timestamp;

/// How long an answer that can't be seen through the front door holds the CA back. After that it is asked anyway: that
/// we can't see it may be our own place in the network, such as behind a router that doesn't lead back in.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// What a look through the front door showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer, exactly.
    Served,
    /// Something else; in words.
    NotYet {
        /// What.
        saw: String,
    },
    /// Nothing; in words.
    Unreachable {
        /// Why.
        why: String,
    },
}

/// Whether the CA is told to look now: the answer is served, or has been waited for since `first_tried` for
/// [`PATIENCE`]. A clock that was set back does not prolong it: time that has not come yet counts as long past.
pub fn ask_now(first_tried: Timestamp, now: Timestamp, outcome: &Outcome) -> bool {
    *outcome == Outcome::Served
        || now < first_tried
        || now.duration_since(first_tried).unsigned_abs() >= PATIENCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ca_is_asked_once_the_answer_is_served_or_patience_ends() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let not_yet = Outcome::NotYet {
            saw: "404".to_owned(),
        };
        let unreachable = Outcome::Unreachable {
            why: "refused".to_owned(),
        };
        assert!(ask_now(at(0), at(0), &Outcome::Served));
        for outcome in [not_yet, unreachable] {
            assert!(!ask_now(at(0), at(0), &outcome));
            assert!(!ask_now(at(0), at(119), &outcome));
            assert!(ask_now(at(0), at(120), &outcome));
            assert!(ask_now(at(60), at(0), &outcome));
        }
    }
}
