//! Windows that a CA suggests.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;

use super::*;
use crate::api::certificate::SuggestedWindow;

/// 90 days; the last tenth begins on 22 January.
const LIFE: (&str, &str) = ("2026-11-02T00:00:00Z", "2027-01-31T00:00:00Z");

fn suggestion(start: &str, end: &str, heard: &str) -> SuggestedWindow {
    SuggestedWindow {
        start: Time(at(start)),
        end: Time(at(end)),
        explanation_url: None,
        checked_at: Some(Time(at(heard))),
    }
}

fn of(rule: &RenewalRule, spread: f64, suggestion: &SuggestedWindow) -> Option<Renewal> {
    rule.suggested(at(LIFE.0), at(LIFE.1), spread, suggestion)
}

#[test]
fn it_is_renewed_at_a_point_inside_the_window_whatever_the_spec_says() {
    let window = suggestion(
        "2026-11-20T00:00:00Z",
        "2026-11-22T00:00:00Z",
        "2026-11-03T00:00:00Z",
    );
    for rule in [rule("", 0, &[]), rule("1h", 0, &[]), rule("", 80, &[])] {
        for (spread, expected) in [
            (0.0, "2026-11-20T00:00:00Z"),
            (0.25, "2026-11-20T12:00:00Z"),
            (0.5, "2026-11-21T00:00:00Z"),
        ] {
            assert_eq!(of(&rule, spread, &window), Some(plain(expected)));
        }
    }
}

#[test]
fn it_is_never_put_off_into_the_last_tenth_of_the_life() {
    let rule = rule("", 0, &[]);
    let heard = "2026-11-03T00:00:00Z";
    let late = suggestion("2027-01-30T00:00:00Z", "2027-02-03T00:00:00Z", heard);
    assert_eq!(of(&rule, 0.0, &late), Some(plain("2027-01-22T00:00:00Z")));
    assert_eq!(of(&rule, 0.9, &late), Some(plain("2027-01-22T00:00:00Z")));
}

#[test]
fn what_makes_no_sense_is_not_followed() {
    let rule = rule("", 0, &[]);
    let heard = "2026-11-03T00:00:00Z";
    for (start, end) in [
        ("2026-11-20T00:00:00Z", "2026-11-20T00:00:00Z"),
        ("2026-11-20T00:00:00Z", "2026-11-19T00:00:00Z"),
        ("2027-01-31T00:00:00Z", "2027-02-02T00:00:00Z"),
        ("2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z"),
    ] {
        assert_eq!(of(&rule, 0.5, &suggestion(start, end, heard)), None);
    }
    let spec = CertificateSpec {
        renewal: Some(RenewalSpec {
            policy: RenewalPolicy::Disabled,
            windows: Vec::new(),
        }),
        ..CertificateSpec::default()
    };
    let disabled = RenewalRule::of(&spec).unwrap();
    let window = suggestion("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", heard);
    assert_eq!(of(&disabled, 0.5, &window), None);
}

#[test]
fn windows_of_the_spec_hold_it_back() {
    let nightly = rule("", 0, &[("0 3 * * *", "2h", "")]);
    let window = suggestion(
        "2026-11-20T00:00:00Z",
        "2026-11-22T00:00:00Z",
        "2026-11-03T00:00:00Z",
    );
    assert_eq!(
        of(&nightly, 0.25, &window),
        Some(plain("2026-11-21T03:30:00Z"))
    );
    // A moment that suits stays.
    assert_eq!(
        of(&nightly, 4.0 / 48.0, &window),
        Some(plain("2026-11-20T04:00:00Z"))
    );
    // One that was past when the CA was first heard is none that anybody could have kept.
    let late = suggestion(
        "2026-11-20T00:00:00Z",
        "2026-11-22T00:00:00Z",
        "2026-11-21T12:00:00Z",
    );
    assert_eq!(
        of(&nightly, 0.0, &late),
        Some(plain("2026-11-22T03:00:00Z"))
    );
    let never = rule("", 0, &[("0 3 30 6 *", "2h", "")]);
    let noted = of(&never, 0.0, &window).unwrap();
    assert_eq!(noted.at, Some(at("2026-11-20T00:00:00Z")));
    assert_eq!(noted.note, Some(RenewalNote::NoWindowInTime));
}

#[test]
fn they_yield_to_a_window_that_was_over_when_it_was_named() {
    let nightly = rule("", 0, &[("0 3 * * *", "2h", "")]);
    let revoked = suggestion(
        "2026-11-08T00:00:00Z",
        "2026-11-09T00:00:00Z",
        "2026-11-10T12:00:00Z",
    );
    let renewal = of(&nightly, 0.5, &revoked).unwrap();
    assert_eq!(renewal, plain("2026-11-08T12:00:00Z"));
}

fn second() -> impl Strategy<Value = Timestamp> {
    let whole = Timestamp::MIN.as_second()..=Timestamp::MAX.as_second();
    let near = at(LIFE.0).as_second() - 100_000..=at(LIFE.1).as_second() + 100_000;
    prop_oneof![whole, near].prop_map(|second| Timestamp::from_second(second).unwrap())
}

proptest! {
    #[test]
    fn any_window_leaves_a_tenth_of_the_life(
        start in second(),
        end in second(),
        heard in proptest::option::of(second()),
        spread in 0.0..1.0_f64,
        windows in any::<bool>(),
    ) {
        let rule = rule("", 0, if windows { &[("0 3 * * *", "2h", "")] } else { &[] });
        let window = SuggestedWindow {
            start: Time(start),
            end: Time(end),
            explanation_url: None,
            checked_at: heard.map(Time),
        };
        let renewal = of(&rule, spread, &window);
        prop_assert_eq!(&renewal, &of(&rule, spread, &window));
        if let Some(renewal) = renewal {
            prop_assert!(renewal.at.unwrap() <= at("2027-01-22T00:00:00Z"));
        }
    }
}
