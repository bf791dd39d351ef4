//! When the CA suggests to renew (RFC 9773).

use jiff::{SignedDuration, Timestamp};

use super::account_key::base64url;
use super::problem::retry_after;
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

/// The moment inside the window at which this certificate is renewed: always the same, and another one for each
/// certificate.
pub fn moment(window: Window, namespace: &str, name: &str, serial: &[u8]) -> Timestamp {
    let length = window.end.duration_since(window.start);
    let share = spread(namespace, name, serial);
    let inside = SignedDuration::from_secs((share * length.as_secs().max(0) as f64) as i64);
    window.start.checked_add(inside).unwrap_or(window.end)
}

/// Whether the renewal is due: the moment has come. A window in the past means at once.
pub fn is_due(now: Timestamp, window: Window, namespace: &str, name: &str, serial: &[u8]) -> bool {
    window.end <= now || moment(window, namespace, name, serial) <= now
}

/// When the CA is asked again, having been asked now: as its `Retry-After` says, within bounds (section 4.3.2).
pub fn next_poll(now: Timestamp, retry_after: Option<&str>) -> Timestamp {
    let wait = retry_after
        .and_then(|text| self::retry_after(now, text))
        .map_or(POLL, |until| until.duration_since(now));
    let wait = wait.clamp(SHORTEST_POLL, LONGEST_POLL);
    now.checked_add(wait).unwrap_or(now)
}

/// When the CA is first asked after the operator began to look at this certificate.
pub fn first_poll(started: Timestamp, namespace: &str, name: &str, serial: &[u8]) -> Timestamp {
    let share = spread(namespace, name, serial);
    let seconds = (share * FIRST_POLLS.as_secs() as f64) as i64;
    started
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(started)
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
    fn the_moment_is_inside_the_window_and_stays() {
        let window = span("2026-11-06T00:00:00Z", "2026-11-08T00:00:00Z");
        let moments: BTreeSet<_> = (0_u8..100)
            .map(|n| {
                let first = moment(window, "web", "tls", &[n]);
                assert_eq!(moment(window, "web", "tls", &[n]), first);
                assert!(window.start <= first && first < window.end, "{first}");
                first
            })
            .collect();
        assert!(moments.len() > 90, "{}", moments.len());
        let middle = at("2026-11-07T00:00:00Z");
        let early = moments.iter().filter(|moment| **moment < middle).count();
        assert!((20..80).contains(&early), "{early}");
    }

    #[test]
    fn it_is_due_from_its_moment_on_and_at_once_after_the_window() {
        let window = span("2026-11-06T00:00:00Z", "2026-11-08T00:00:00Z");
        let due = |now: Timestamp| is_due(now, window, "web", "tls", &[1]);
        let moment = moment(window, "web", "tls", &[1]);
        let second = SignedDuration::from_secs(1);
        assert!(!due(window.start - second));
        assert!(!due(moment - second));
        assert!(due(moment));
        assert!(due(window.end));
        assert!(due(at("2030-01-01T00:00:00Z")));
        // Windows of any size.
        let widest = Window {
            start: Timestamp::MIN,
            end: Timestamp::MAX,
        };
        assert!(is_due(Timestamp::MAX, widest, "web", "tls", &[1]));
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
    fn first_polls_are_spread_over_an_hour() {
        let started = at("2026-11-06T00:00:00Z");
        let polls: BTreeSet<_> = (0_u8..100)
            .map(|n| first_poll(started, "web", "tls", &[n]))
            .collect();
        assert!(polls.len() > 80, "{}", polls.len());
        assert!(
            polls
                .iter()
                .all(|poll| started <= *poll && *poll <= started + FIRST_POLLS)
        );
    }
}
