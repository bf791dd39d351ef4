//! When names that could not be shown are tried again.

use jiff::{SignedDuration, Timestamp};

use super::super::problem::Meaning;

/// How soon after the first time.
const SOON: SignedDuration = SignedDuration::from_mins(1);

/// When a request is ordered again after the CA could not be shown its names, if that is sooner than others of this
/// meaning are; `last` is the reason of the failure before it, of the same request.
///
/// What the CA did not find may have been on its way: an answerer that was being restarted, a record just set, an Ingress
/// that was not taken up yet. So the first time is tried again after a minute. CAs allow a handful of such failures of a
/// name in an hour, so whatever follows is waited off in full.
pub fn again(now: Timestamp, meaning: &Meaning, last: Option<&str>) -> Option<Timestamp> {
    let may_pass = [
        Meaning::Dns,
        Meaning::Connection,
        Meaning::Tls,
        Meaning::WrongAnswer,
    ];
    let before = last.is_some_and(|last| may_pass.iter().any(|other| other.reason() == last));
    (may_pass.contains(meaning) && !before).then(|| now.checked_add(SOON).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-11-06T08:00:00Z";

    #[test]
    fn only_the_first_time_that_a_name_is_not_shown_is_tried_again_soon() {
        let soon = Some(at("2026-11-06T08:01:00Z"));
        for meaning in [
            Meaning::Dns,
            Meaning::Connection,
            Meaning::Tls,
            Meaning::WrongAnswer,
        ] {
            for last in [None, Some("Unreachable"), Some("RateLimited")] {
                assert_eq!(again(at(NOW), &meaning, last), soon, "{meaning:?} {last:?}");
            }
            for last in [
                "DNSProblem",
                "ConnectionProblem",
                "TLSProblem",
                "WrongAnswer",
            ] {
                assert_eq!(
                    again(at(NOW), &meaning, Some(last)),
                    None,
                    "{meaning:?} {last}"
                );
            }
        }
    }

    #[test]
    fn what_does_not_pass_by_itself_is_not() {
        for meaning in [
            Meaning::Caa,
            Meaning::RejectedIdentifier,
            Meaning::BadRequest,
            Meaning::Permanent,
            Meaning::Transient { until: None },
        ] {
            assert_eq!(again(at(NOW), &meaning, None), None, "{meaning:?}");
        }
    }
}
