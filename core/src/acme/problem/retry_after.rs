//! `Retry-After`, and the moments that CAs write into texts.

use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, strtime};
use jiff::{SignedDuration, Timestamp};

/// No CA is left alone for longer on its word alone: a week is the longest span of any limit there is.
pub const MAX_RETRY_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);

/// When `Retry-After` says to come back (RFC 9110 section 10.2.3): seconds, or a date in one of its three forms.
///
/// Never before now and never beyond [`MAX_RETRY_AFTER`]; `None` for what is neither.
pub fn retry_after(now: Timestamp, text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.is_empty() || text.len() > 64 {
        return None;
    }
    if text.bytes().all(|octet| octet.is_ascii_digit()) {
        // More seconds than a number holds are too many anyway.
        let seconds = text.parse().unwrap_or(i64::MAX);
        let wait = SignedDuration::from_secs(seconds).min(MAX_RETRY_AFTER);
        return Some(now.checked_add(wait).unwrap_or(now));
    }
    date(now, text).map(|moment| bounded(now, moment))
}

/// Not before now, and not too far off.
pub(super) fn bounded(now: Timestamp, moment: Timestamp) -> Timestamp {
    let latest = now.checked_add(MAX_RETRY_AFTER).unwrap_or(now);
    moment.clamp(now, latest.max(now))
}

/// RFC 9110 section 5.6.7: the form to write, and two old ones to read.
fn date(now: Timestamp, text: &str) -> Option<Timestamp> {
    if let Ok(moment) = rfc2822::DateTimeParser::new().parse_timestamp(text) {
        return Some(moment);
    }
    if let Ok(civil) = DateTime::strptime("%a %b %e %H:%M:%S %Y", text) {
        return in_utc(civil);
    }
    // A year of two digits that seems more than 50 years off is one of the last century.
    let (weekday, rest) = text.split_once(", ")?;
    let (day, month) = (rest.get(..2)?, rest.get(3..6)?);
    let two_digits: i16 = rest.get(7..9)?.parse().ok()?;
    let time = rest.get(10..18)?;
    if weekday.is_empty() || rest.get(18..)? != " GMT" {
        return None;
    }
    let this_year = strtime::format("%Y", now).ok()?.parse::<i16>().ok()?;
    let century = this_year - this_year % 100;
    let year = match century + two_digits {
        year if year > this_year + 50 => year - 100,
        year => year,
    };
    in_utc(DateTime::strptime("%d %b %Y %H:%M:%S", format!("{day} {month} {year} {time}")).ok()?)
}

pub(super) fn in_utc(civil: DateTime) -> Option<Timestamp> {
    civil
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-11-06T08:00:00Z";

    #[test]
    fn all_forms_are_read() {
        for (text, expected) in [
            ("0", NOW),
            ("120", "2026-11-06T08:02:00Z"),
            (" 120 ", "2026-11-06T08:02:00Z"),
            ("Fri, 06 Nov 2026 08:49:37 GMT", "2026-11-06T08:49:37Z"),
            ("Friday, 06-Nov-26 08:49:37 GMT", "2026-11-06T08:49:37Z"),
            ("Fri Nov  6 08:49:37 2026", "2026-11-06T08:49:37Z"),
        ] {
            assert_eq!(retry_after(at(NOW), text), Some(at(expected)), "{text}");
        }
    }

    #[test]
    fn it_is_never_in_the_past_and_never_far_off() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(retry_after(at(NOW), text), Some(at(NOW)), "{text}");
        }
        for text in [
            "604801",
            "99999999999999999999999999",
            "Fri, 06 Nov 2099 08:49:37 GMT",
        ] {
            assert_eq!(
                retry_after(at(NOW), text),
                Some(at("2026-11-13T08:00:00Z")),
                "{text}"
            );
        }
        assert_eq!(retry_after(Timestamp::MAX, "60"), Some(Timestamp::MAX));
    }

    #[test]
    fn anything_else_is_nothing() {
        for text in [
            "",
            "-1",
            "1.5",
            "soon",
            "2026-11-06",
            "Friday, 06-Nov-2",
            "Friday, ää-Nov-26 08:49:37 GMT",
            "Friday, 06-Nov-26 08:49:37 CET",
            "Friday, 66-Nov-26 08:49:37 GMT",
            &"1".repeat(65),
        ] {
            assert_eq!(retry_after(at(NOW), text), None, "{text}");
        }
    }
}
