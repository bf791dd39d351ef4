//! When the CA suggests to renew (RFC 9773).

use jiff::{SignedDuration, Timestamp};

use super::account_key::base64url;
use super::problem::{Meaning, retry_after};
use super::wire::{RenewalInfo, Window};
use crate::pki::Facts;
use crate::plan::renew::spread;

/// How often the CA is asked, if it doesn't say.
pub const POLL: SignedDuration = SignedDuration::from_hours(6);
/// It is never asked more often than this.
pub const SHORTEST_POLL: SignedDuration = SignedDuration::from_mins(1);
/// It is never asked less often than this: a CA that is about to revoke says so by a new window.
pub const LONGEST_POLL: SignedDuration = SignedDuration::from_hours(24);
/// Over so long the first polls after a start are spread.
pub const FIRST_POLLS: SignedDuration = SignedDuration::from_hours(1);

/// By what a CA knows a certificate (section 4.1): the key identifier of its authority and its serial number.
///
/// `None` for certificates that name no authority's key: no CA that has renewal information signs such.
pub fn certificate_id(certificate: &Facts) -> Option<String> {
    let authority = certificate.authority_key_id.as_deref()?;
    if authority.is_empty() || certificate.serial.is_empty() {
        return None;
    }
    Some(format!(
        "{}.{}",
        base64url(authority),
        base64url(&certificate.serial)
    ))
}

/// The window that a CA suggests; `None` for one that ends before it starts, which is to be taken for none
/// (section 4.2).
pub fn window(info: &RenewalInfo) -> Option<Window> {
    let window = info.suggested_window;
    (window.start < window.end).then_some(window)
}

/// When the CA is asked again, having been asked now: as its `Retry-After` says, within bounds (section 4.3.2).
pub fn next_poll(now: Timestamp, retry_after: Option<&str>) -> Timestamp {
    let wait = retry_after
        .and_then(|text| self::retry_after(now, text))
        .map_or(POLL, |until| until.duration_since(now));
    let wait = wait.clamp(SHORTEST_POLL, LONGEST_POLL);
    now.checked_add(wait).unwrap_or(now)
}

/// When the CA is asked again after it gave no answer, having failed so often before: after a minute, then twice as long
/// each time; it is not asked before its own `Retry-After`. Without an answer certificates are renewed in time all the same.
pub fn next_after_failure(now: Timestamp, failures: u32, retry_after: Option<&str>) -> Timestamp {
    if retry_after.is_some() {
        return next_poll(now, retry_after);
    }
    let wait = SHORTEST_POLL
        .saturating_mul(1 << failures.min(16))
        .min(POLL);
    now.checked_add(wait).unwrap_or(now)
}

/// When the CA is first asked about a certificate that the operator finds at its start: spread over this time.
pub fn first_poll(
    started: Timestamp,
    over: SignedDuration,
    namespace: &str,
    name: &str,
    serial: &[u8],
) -> Timestamp {
    let share = spread(namespace, name, serial);
    let seconds = (share * over.as_secs() as f64) as i64;
    started
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(started)
}

/// Whether an order that was refused is made again without saying which certificate it replaces: to say so is only to do
/// the CA a favour (section 5), and must not keep a certificate from being renewed. A CA that is too busy, or has a word to
/// say about the account, would say the same again.
pub fn orders_without_replacing(refusal: &Meaning) -> bool {
    matches!(
        refusal,
        Meaning::AlreadyReplaced | Meaning::Permanent | Meaning::Transient { until: None }
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::pki::chain;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn span(start: &str, end: &str) -> Window {
        Window {
            start: at(start),
            end: at(end),
        }
    }

    /// The certificate of RFC 9773 appendix A.
    const EXAMPLE: &str = "-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
";

    #[test]
    fn a_certificate_is_known_as_in_the_rfc() {
        let read = chain::read_pem(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(
            certificate_id(&read[0]).as_deref(),
            Some("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE")
        );
        let mut unsigned = read[0].clone();
        unsigned.authority_key_id = None;
        assert_eq!(certificate_id(&unsigned), None);
    }

    #[test]
    fn a_window_that_is_none_is_none() {
        let of = |start, end| {
            window(&RenewalInfo {
                suggested_window: span(start, end),
                explanation_url: None,
            })
        };
        assert!(of("2026-11-06T00:00:00Z", "2026-11-06T00:00:01Z").is_some());
        assert_eq!(of("2026-11-06T00:00:00Z", "2026-11-06T00:00:00Z"), None);
        assert_eq!(of("2026-11-06T00:00:00Z", "2026-11-05T00:00:00Z"), None);
    }

    #[test]
    fn the_ca_says_when_it_is_asked_again_within_bounds() {
        let now = at("2026-11-06T00:00:00Z");
        for (header, expected) in [
            (None, "2026-11-06T06:00:00Z"),
            (Some("21600"), "2026-11-06T06:00:00Z"),
            (Some("0"), "2026-11-06T00:01:00Z"),
            (Some("999999"), "2026-11-07T00:00:00Z"),
            (
                Some("Fri, 06 Nov 2026 02:00:00 GMT"),
                "2026-11-06T02:00:00Z",
            ),
            (
                Some("Thu, 05 Nov 2026 02:00:00 GMT"),
                "2026-11-06T00:01:00Z",
            ),
            (Some("nonsense"), "2026-11-06T06:00:00Z"),
        ] {
            assert_eq!(next_poll(now, header), at(expected), "{header:?}");
        }
    }

    #[test]
    fn after_a_failure_the_ca_is_asked_again_soon_then_ever_less() {
        let now = at("2026-11-06T00:00:00Z");
        for (failures, header, expected) in [
            (0, None, "2026-11-06T00:01:00Z"),
            (1, None, "2026-11-06T00:02:00Z"),
            (5, None, "2026-11-06T00:32:00Z"),
            (20, None, "2026-11-06T06:00:00Z"),
            (0, Some("7200"), "2026-11-06T02:00:00Z"),
            (9, Some("10"), "2026-11-06T00:01:00Z"),
        ] {
            assert_eq!(next_after_failure(now, failures, header), at(expected));
        }
    }

    #[test]
    fn to_say_what_an_order_replaces_never_keeps_it_from_being_made() {
        assert!(orders_without_replacing(&Meaning::AlreadyReplaced));
        assert!(orders_without_replacing(&Meaning::Permanent));
        assert!(orders_without_replacing(&Meaning::Transient {
            until: None
        }));
        let until = Some(at("2026-11-06T00:00:00Z"));
        assert!(!orders_without_replacing(&Meaning::Transient { until }));
        assert!(!orders_without_replacing(&Meaning::AccountGone));
    }

    #[test]
    fn first_polls_are_spread_over_an_hour() {
        let started = at("2026-11-06T00:00:00Z");
        let polls: BTreeSet<_> = (0_u8..100)
            .map(|n| first_poll(started, FIRST_POLLS, "web", "tls", &[n]))
            .collect();
        assert!(polls.len() > 80, "{}", polls.len());
        assert!(
            polls
                .iter()
                .all(|poll| started <= *poll && *poll <= started + FIRST_POLLS)
        );
    }
}
