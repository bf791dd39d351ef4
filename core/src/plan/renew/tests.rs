mod suggested;
mod windows;

use proptest::prelude::*;

use super::*;
use crate::api::certificate::{Renewal as RenewalSpec, RenewalWindow};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn spec(renew_before: &str, percentage: i32, windows: &[(&str, &str, &str)]) -> CertificateSpec {
    let window = |(cron, length, zone): &(&str, &str, &str)| RenewalWindow {
        cron: (*cron).into(),
        window_duration: (*length).into(),
        timezone: (!zone.is_empty()).then(|| (*zone).into()),
    };
    CertificateSpec {
        renew_before: (!renew_before.is_empty()).then(|| renew_before.into()),
        renew_before_percentage: (percentage != 0).then_some(percentage),
        renewal: (!windows.is_empty()).then(|| RenewalSpec {
            policy: RenewalPolicy::RenewBefore,
            windows: windows.iter().map(window).collect(),
        }),
        ..CertificateSpec::default()
    }
}

fn rule(renew_before: &str, percentage: i32, windows: &[(&str, &str, &str)]) -> RenewalRule {
    RenewalRule::of(&spec(renew_before, percentage, windows)).unwrap()
}

fn plain(text: &str) -> Renewal {
    Renewal {
        at: Some(at(text)),
        note: None,
    }
}

#[test]
fn a_third_of_the_life_is_left_by_default() {
    let rule = rule("", 0, &[]);
    for (not_before, not_after, due) in [
        (
            "2026-01-01T00:00:00Z",
            "2026-01-01T01:00:00Z",
            "2026-01-01T00:40:00Z",
        ),
        (
            "2026-01-01T00:00:00Z",
            "2026-01-07T16:00:00Z",
            "2026-01-05T10:40:00Z",
        ),
        (
            "2026-01-01T00:00:00Z",
            "2026-02-15T00:00:00Z",
            "2026-01-31T00:00:00Z",
        ),
        (
            "2026-11-02T00:00:00Z",
            "2027-01-31T00:00:00Z",
            "2027-01-01T00:00:00Z",
        ),
        // 90 days over a leap day.
        (
            "2028-01-01T00:00:00Z",
            "2028-03-31T00:00:00Z",
            "2028-03-01T00:00:00Z",
        ),
        // As many CAs write it, the last second included: rounded down.
        (
            "2026-11-02T00:00:00Z",
            "2027-01-30T23:59:59Z",
            "2026-12-31T23:59:59Z",
        ),
        (
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:01:40Z",
            "2026-01-01T00:01:06Z",
        ),
        // As late as there are timestamps.
        (
            "2026-01-01T00:00:00Z",
            "9999-12-30T22:00:00Z",
            "7341-12-30T22:40:00Z",
        ),
    ] {
        assert_eq!(
            rule.renewal(at(not_before), at(not_after), 0.0),
            plain(due),
            "{not_after}"
        );
    }
}

#[test]
fn a_spread_moves_the_moment_up_to_a_tenth_of_the_way_back() {
    let (not_before, not_after) = (at("2026-11-02T00:00:00Z"), at("2027-01-31T00:00:00Z"));
    let rule = rule("", 0, &[]);
    for (spread, moment) in [
        (0.0, "2027-01-01T00:00:00Z"),
        (0.25, "2026-12-30T12:00:00Z"),
        (0.5, "2026-12-29T00:00:00Z"),
        (1.0, "2026-12-26T00:00:00Z"),
        // Not asked for, and kept within all the same.
        (7.0, "2026-12-26T00:00:00Z"),
        (-1.0, "2027-01-01T00:00:00Z"),
        (f64::NAN, "2027-01-01T00:00:00Z"),
    ] {
        assert_eq!(
            rule.renewal(not_before, not_after, spread),
            plain(moment),
            "{spread}"
        );
    }
}

#[test]
fn renew_before_counts_from_the_end() {
    let (not_before, not_after) = (at("2026-11-02T00:00:00Z"), at("2027-01-31T00:00:00Z"));
    for (rule, due) in [
        (rule("360h", 0, &[]), "2027-01-16T00:00:00Z"),
        (rule("360h0m0.5s", 0, &[]), "2027-01-15T23:59:59Z"),
        (rule("1944h", 0, &[]), "2026-11-11T00:00:00Z"),
        (rule("5m", 0, &[]), "2027-01-30T23:55:00Z"),
        (rule("0s", 0, &[]), "2027-01-01T00:00:00Z"),
        (rule("", 50, &[]), "2026-12-17T00:00:00Z"),
        (rule("", 90, &[]), "2026-11-11T00:00:00Z"),
        (rule("", -5, &[]), "2027-01-01T00:00:00Z"),
        (rule("360h", 50, &[]), "2027-01-16T00:00:00Z"),
        (rule("0s", 50, &[]), "2026-12-17T00:00:00Z"),
    ] {
        assert_eq!(rule.renewal(not_before, not_after, 0.0), plain(due));
    }
    // A percentage of the life that it has, not of the one asked for.
    assert_eq!(
        rule("", 50, &[]).renewal(not_before, at("2026-11-02T01:00:00Z"), 0.0),
        plain("2026-11-02T00:30:00Z")
    );
}

#[test]
fn more_than_nine_tenths_of_the_life_become_a_third() {
    let (not_before, not_after) = (at("2026-11-02T00:00:00Z"), at("2027-01-31T00:00:00Z"));
    let lifetime = SignedDuration::from_hours(2160);
    for (rule, asked) in [
        (
            rule("1944h0m1s", 0, &[]),
            SignedDuration::new(1944 * 3600 + 1, 0),
        ),
        (
            rule("1944h0m0.001s", 0, &[]),
            SignedDuration::new(1944 * 3600, 1_000_000),
        ),
        (rule("999999h", 0, &[]), SignedDuration::from_hours(999_999)),
        (rule("", 91, &[]), SignedDuration::from_secs(7_076_160)),
        (
            rule("", i32::MAX, &[]),
            SignedDuration::from_secs(7_776_000 / 100 * i64::from(i32::MAX)),
        ),
    ] {
        let expected = Renewal {
            at: Some(at("2027-01-01T00:00:00Z")),
            note: Some(RenewalNote::RenewBeforeTooLong { asked, lifetime }),
        };
        assert_eq!(rule.renewal(not_before, not_after, 0.0), expected);
    }
}

#[test]
fn a_disabled_renewal_never_comes() {
    let mut spec = spec("1944h0m1s", 0, &[("0 2 * * *", "2h", "")]);
    spec.renewal.as_mut().unwrap().policy = RenewalPolicy::Disabled;
    let renewal = RenewalRule::of(&spec).unwrap().renewal(
        at("2026-01-01T00:00:00Z"),
        at("2026-04-01T00:00:00Z"),
        0.0,
    );
    assert_eq!(
        renewal,
        Renewal {
            at: None,
            note: None
        }
    );
}

#[test]
fn what_cannot_be_read_is_told_by_its_place() {
    for (spec, says) in [
        (
            spec("30d", 0, &[]),
            "spec.renewBefore: \"30d\" is not a duration",
        ),
        (
            spec("", 0, &[("0 2 * * *", "2h", ""), ("0 2 * *", "2h", "")]),
            "spec.renewal.windows[1].cron: \"0 2 * *\" has 4 fields",
        ),
        (
            spec("", 0, &[("0 2 * * *", "2d", "")]),
            "spec.renewal.windows[0].windowDuration: \"2d\" is not a duration",
        ),
        (
            spec("", 0, &[("0 2 * * *", "0s", "")]),
            "spec.renewal.windows[0].windowDuration: a window has to stay open",
        ),
        (
            spec("", 0, &[("0 2 * * *", "2h", "Berlin")]),
            "spec.renewal.windows[0].timezone: \"Berlin\" is not a time zone",
        ),
        (
            spec("", 0, &[("0 2 * * *", "2h", "../../etc/localtime")]),
            "spec.renewal.windows[0].timezone",
        ),
    ] {
        let problem = RenewalRule::of(&spec).unwrap_err().to_string();
        assert!(problem.starts_with(says), "{problem}");
    }
}

#[test]
fn spreads_are_stable_and_depend_on_each_part() {
    let web = spread("default", "web", &[1, 2, 3]);
    // Worked out elsewhere; a change would move every renewal.
    assert_eq!(web, 0.4136296862790487);
    for other in [
        spread("default", "web", &[1, 2, 4]),
        spread("default", "we", b"b\x01\x02\x03"),
        spread("defaultw", "eb", &[1, 2, 3]),
    ] {
        assert_ne!(web, other);
    }
}

#[test]
fn ten_thousand_certificates_are_spread_evenly() {
    let mut bins = [0; 20];
    for number in 0..10_000_u32 {
        let spread = spread("default", &format!("web-{number}"), &number.to_be_bytes());
        assert!((0.0..1.0).contains(&spread));
        bins[(spread * 20.0) as usize] += 1;
    }
    // 500 are expected in each; five standard deviations are 109.
    assert!(
        bins.iter().all(|count| (391..=609).contains(count)),
        "{bins:?}"
    );
}

fn windows() -> impl Strategy<Value = Vec<(String, String, String)>> {
    let cron = prop_oneof![
        (0..60, 0..24).prop_map(|(minute, hour)| format!("{minute} {hour} * * *")),
        (0..60, 0..24, 0..7).prop_map(|(minute, hour, day)| format!("{minute} {hour} * * {day}")),
        (0..24, 1..32, 1..13).prop_map(|(hour, day, month)| format!("0 {hour} {day} {month} *")),
        Just("* * * * *".to_owned()),
    ];
    let zone = prop_oneof![
        Just(""),
        Just("Europe/Berlin"),
        Just("Australia/Lord_Howe"),
        Just("Africa/Cairo")
    ];
    let window = (cron, 1..3000_u32, zone)
        .prop_map(|(cron, minutes, zone)| (cron, format!("{minutes}m"), zone.to_owned()));
    prop::collection::vec(window, 0..4)
}

proptest! {
    #[test]
    fn a_moment_lies_between_the_beginning_and_the_due_time(
        begin in 0_i64..4_000_000_000, life in 0_i64..4_000_000_000,
        before in 0_i32..100_000, percentage in -10_i32..200, spread in 0.0..1.0_f64,
    ) {
        let rule = rule(&format!("{before}h"), percentage, &[]);
        let (not_before, not_after) = (Timestamp::from_second(begin).unwrap(), Timestamp::from_second(begin + life).unwrap());
        let renewal = rule.renewal(not_before, not_after, spread);
        let due = rule.renewal(not_before, not_after, 0.0).at;
        prop_assert!(Some(not_before) <= renewal.at && renewal.at <= due && due <= Some(not_after));
        prop_assert_eq!(rule.renewal(not_before, not_after, spread), renewal);
    }

    #[test]
    fn any_windows_leave_a_tenth_of_the_life_or_what_was_asked_for(
        begin in 1_700_000_000_i64..2_000_000_000, life in 3600_i64..40_000_000,
        percentage in 0_i32..100, spread in 0.0..1.0_f64, windows in windows(),
    ) {
        let windows: Vec<_> = windows.iter().map(|(cron, length, zone)| (&**cron, &**length, &**zone)).collect();
        let rule = rule("", percentage, &windows);
        let (not_before, not_after) = (Timestamp::from_second(begin).unwrap(), Timestamp::from_second(begin + life).unwrap());
        let renewal = rule.renewal(not_before, not_after, spread);
        let at = renewal.at.unwrap().as_second();
        let plain = RenewalRule { windows: Windows::default(), ..rule.clone() };
        let due = plain.renewal(not_before, not_after, 0.0).at.unwrap().as_second();
        prop_assert!(begin <= at && at <= due.max(begin + life - life / 10));
        if renewal.note.is_none() && !windows.is_empty() {
            prop_assert!(is_open(&rule, at), "{at} is outside of {windows:?}");
        }
        if renewal.note == Some(RenewalNote::NoWindowInTime) {
            prop_assert_eq!(renewal.at, plain.renewal(not_before, not_after, spread).at);
        }
        prop_assert_eq!(rule.renewal(not_before, not_after, spread).at, renewal.at);
    }

    #[test]
    fn any_dates_have_an_answer(begin in any::<i64>(), end in any::<i64>(), spread in any::<f64>(), percentage in any::<i32>()) {
        let timestamp = |second: i64| Timestamp::from_second(second % 250_000_000_000).unwrap();
        let rule = rule("", percentage, &[("0 2 * * *", "2h", "Europe/Berlin")]);
        let (not_before, not_after) = (timestamp(begin), timestamp(end));
        let at = rule.renewal(not_before, not_after, spread).at.unwrap();
        prop_assert!(not_before <= at && at <= not_after.max(not_before));
    }
}

/// Whether a window is open at a second.
fn is_open(rule: &RenewalRule, second: i64) -> bool {
    rule.windows
        .first_open(second, second)
        .is_some_and(|open| open.begin == second)
}
