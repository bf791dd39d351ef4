//! When to renew, with windows. The input's lines: cron, zone, how long, beginning and end of the certificate in
//! seconds of Unix time, hundredths of spread.
#![no_main]

use certwright_core::api::CertificateSpec;
use certwright_core::api::certificate::{Renewal, RenewalWindow};
use certwright_core::plan::renew::{RenewalNote, RenewalRule};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or_default();
    let (cron, zone, length) = (line(), line(), line());
    // In whole seconds, as certificates say them.
    let mut time = || {
        let second = line().parse::<i64>().unwrap_or_default();
        let bounds = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        Timestamp::from_second(second.clamp(bounds.0, bounds.1)).unwrap()
    };
    let (begin, end) = (time(), time());
    let spread = line()
        .parse::<u8>()
        .map_or(0.5, |hundredths| f64::from(hundredths % 100) / 100.0);

    let plain = rule(Vec::new())
        .unwrap()
        .renewal(begin, end, spread)
        .at
        .unwrap();
    let last = begin.max(end);
    assert!((begin..=last).contains(&plain));
    let Some(rule) = rule(vec![window(cron, zone, length)]) else {
        return;
    };
    let renewal = rule.renewal(begin, end, spread);
    let at = renewal.at.unwrap();
    assert!((begin..=last).contains(&at), "{at}");
    match renewal.note {
        Some(RenewalNote::NoWindowInTime) => assert_eq!(at, plain),
        Some(note) => panic!("{note:?}"),
        None => is_open(cron, zone, length, at),
    }
    // Blanks and case mean nothing.
    let again = cron
        .split_ascii_whitespace()
        .collect::<Vec<_>>()
        .join("\t")
        .to_ascii_lowercase();
    assert_eq!(self::rule(vec![window(&again, zone, length)]), Some(rule));
});

/// A certificate whose plain moment is when a window is open is renewed at that very moment.
fn is_open(cron: &str, zone: &str, length: &str, at: Timestamp) {
    // Due after two thirds of its life, and no spread: so much before and half as much after.
    let second = at.as_second();
    let (Ok(begin), Ok(end)) = (
        Timestamp::from_second(second - 2_000_000),
        Timestamp::from_second(second + 1_000_000),
    ) else {
        return;
    };
    let renewal = rule(vec![window(cron, zone, length)])
        .unwrap()
        .renewal(begin, end, 0.0);
    assert_eq!(renewal.at.map(Timestamp::as_second), Some(second));
}

fn window(cron: &str, zone: &str, length: &str) -> RenewalWindow {
    RenewalWindow {
        cron: cron.to_owned(),
        window_duration: length.into(),
        timezone: Some(zone.to_owned()),
    }
}

fn rule(windows: Vec<RenewalWindow>) -> Option<RenewalRule> {
    let renewal = Some(Renewal {
        windows,
        ..Renewal::default()
    });
    RenewalRule::of(&CertificateSpec {
        renewal,
        ..CertificateSpec::default()
    })
    .ok()
}
