//! Durations. Each that is read is within what the schema allows, is the same when it is written as Go writes it, and
//! is what jiff makes of it, wherever jiff reads it.
#![no_main]

use certwright_core::api::DurationText;
use jiff::SignedDuration;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(duration) = DurationText::from(text).parse() else {
        return;
    };
    assert!(!duration.is_negative() && duration < SignedDuration::from_hours(300 * 366 * 24));
    let (hours, milliseconds) = (duration.as_hours(), duration.as_millis() % 3_600_000);
    if hours < 1_000_000 {
        let (minutes, milliseconds) = (milliseconds / 60_000, milliseconds % 60_000);
        let written = format!(
            "{hours}h{minutes}m{}.{:03}s",
            milliseconds / 1000,
            milliseconds % 1000
        );
        assert_eq!(DurationText::from(written.as_str()).parse(), Ok(duration));
    }
    if let Ok(other) = text.parse::<SignedDuration>() {
        assert_eq!(other, duration);
    }
});
