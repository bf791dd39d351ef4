//! Conditions, as in the Kubernetes API conventions.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One aspect of an object's state.
///
/// Source: Kubernetes API conventions, "Typical status properties".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition tells about, such as `Ready`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: ConditionStatus,
    /// The `metadata.generation` the condition was judged against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When `status` last changed.
    pub last_transition_time: Time,
    /// One word to search for, such as `ForeignSecret`.
    pub reason: String,
    /// The same in a sentence: what is wrong and what to do.
    pub message: String,
}

/// `True`, `False` or `Unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody has looked yet.
    Unknown,
}

impl Condition {
    /// A condition that holds since `now`, unless [`set`] finds that it did before.
    pub fn new(
        type_: impl Into<String>,
        status: ConditionStatus,
        reason: impl Into<String>,
        message: impl Into<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            type_: type_.into(),
            status,
            observed_generation: None,
            last_transition_time: Time(now),
            reason: reason.into(),
            message: message.into(),
        }
    }

    /// The same, judged against this `metadata.generation`.
    #[must_use]
    pub fn observed(mut self, generation: Option<i64>) -> Self {
        self.observed_generation = generation;
        self
    }

    /// Whether `self` and `other` say the same, no matter since when.
    pub fn same_but_times(&self, other: &Self) -> bool {
        self.type_ == other.type_
            && self.status == other.status
            && self.observed_generation == other.observed_generation
            && self.reason == other.reason
            && self.message == other.message
    }
}

/// The condition of this type.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether there is a condition of this type and its status is `True`.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == ConditionStatus::True)
}

/// Puts `condition` in place of the one of its type, or at the end if there is none.
///
/// Its `last_transition_time` is taken only if the status is another than before; a new reason or message alone is no
/// transition.
pub fn set(conditions: &mut Vec<Condition>, mut condition: Condition) {
    match conditions
        .iter_mut()
        .find(|held| held.type_ == condition.type_)
    {
        Some(held) => {
            if held.status == condition.status {
                condition.last_transition_time = held.last_transition_time.clone();
            }
            *held = condition;
        }
        None => conditions.push(condition),
    }
}

/// Takes the condition of this type away, if there is one.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|condition| condition.type_ != type_);
}

/// Whether two lists say the same, in whatever order and no matter since when.
pub fn same_but_times(left: &[Condition], right: &[Condition]) -> bool {
    left.len() == right.len()
        && left.iter().all(|condition| {
            find(right, &condition.type_).is_some_and(|other| condition.same_but_times(other))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAWN: Timestamp = Timestamp::constant(1_800_000_000, 0);
    const NOON: Timestamp = Timestamp::constant(1_800_021_600, 0);

    fn ready(status: ConditionStatus, message: &str, now: Timestamp) -> Condition {
        Condition::new("Ready", status, "Because", message, now).observed(Some(3))
    }

    #[test]
    fn keeps_the_time_while_the_status_stays() {
        let mut held = vec![ready(ConditionStatus::False, "old words", DAWN)];
        set(&mut held, ready(ConditionStatus::False, "new words", NOON));
        assert_eq!(held, [ready(ConditionStatus::False, "new words", DAWN)]);
    }

    #[test]
    fn takes_the_new_time_when_the_status_changes() {
        let mut held = vec![ready(ConditionStatus::False, "old", DAWN)];
        set(&mut held, ready(ConditionStatus::True, "new", NOON));
        assert_eq!(held, [ready(ConditionStatus::True, "new", NOON)]);
    }

    #[test]
    fn leaves_other_types_and_their_order_alone() {
        let issuing = Condition::new("Issuing", ConditionStatus::True, "Due", "under way", DAWN);
        let mut held = vec![ready(ConditionStatus::Unknown, "", DAWN), issuing.clone()];
        set(&mut held, ready(ConditionStatus::True, "", NOON));
        let limited = Condition::new("LimitedByCA", ConditionStatus::True, "Ends", "soon", NOON);
        set(&mut held, limited.clone());
        assert_eq!(
            held,
            [
                ready(ConditionStatus::True, "", NOON),
                issuing.clone(),
                limited.clone()
            ]
        );
        remove(&mut held, "Ready");
        assert_eq!(held, [issuing, limited]);
    }

    #[test]
    fn finds_by_type_and_asks_for_true() {
        let held = [ready(ConditionStatus::True, "", DAWN)];
        assert_eq!(find(&held, "Ready"), Some(&held[0]));
        assert_eq!(find(&held, "Issuing"), None);
        assert!(is_true(&held, "Ready"));
        assert!(!is_true(&held, "Issuing"));
        assert!(!is_true(
            &[ready(ConditionStatus::Unknown, "", DAWN)],
            "Ready"
        ));
    }

    #[test]
    fn times_and_order_make_no_difference_but_every_word_does() {
        let issuing = Condition::new("Issuing", ConditionStatus::True, "Due", "under way", DAWN);
        let held = [ready(ConditionStatus::True, "fine", DAWN), issuing.clone()];
        assert!(same_but_times(
            &held,
            &[issuing.clone(), ready(ConditionStatus::True, "fine", NOON)]
        ));
        assert!(!same_but_times(&held, std::slice::from_ref(&issuing)));
        for other in [
            ready(ConditionStatus::False, "fine", DAWN),
            ready(ConditionStatus::True, "other", DAWN),
            ready(ConditionStatus::True, "fine", DAWN).observed(Some(4)),
            Condition {
                reason: "Other".into(),
                ..ready(ConditionStatus::True, "fine", DAWN)
            },
        ] {
            assert!(!same_but_times(&held, &[other, issuing.clone()]));
        }
    }
}
