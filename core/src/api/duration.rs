//! Durations as users write them.

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A duration in hours, minutes and seconds, such as `2160h`, `1h30m` or `2160h0m0s`.
///
/// The user's text is kept, so that what is read back is what was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DurationText(pub String);

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a duration such as 2160h or 1h30m; days are not a unit, so 90 days are 2160h"
)]
pub struct InvalidDuration {
    /// What was written.
    pub text: String,
}

impl DurationText {
    /// The duration that is meant.
    ///
    /// # Errors
    /// When the text is not a sequence of hours, minutes and seconds, in this order, that fits the schema's bounds.
    pub fn parse(&self) -> Result<SignedDuration, InvalidDuration> {
        parse(&self.0).ok_or_else(|| InvalidDuration {
            text: self.0.clone(),
        })
    }
}

impl From<&str> for DurationText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Digits allowed before each unit; the schema's pattern says the same, and their sum stays within two centuries.
const UNITS: [(char, usize, u64); 3] = [('h', 6, 3600), ('m', 7, 60), ('s', 9, 1)];

fn parse(text: &str) -> Option<SignedDuration> {
    let mut rest = text;
    let mut total = SignedDuration::ZERO;
    for (unit, digits, seconds) in UNITS {
        let Some((number, after)) = rest.split_once(unit) else {
            continue;
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) if (1..=3).contains(&fraction.len()) => (whole, fraction),
            Some(_) => return None,
            None => (number, ""),
        };
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > digits || !plain(whole) || !plain(fraction) {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        let thousandths: u64 = if fraction.is_empty() {
            0
        } else {
            format!("{fraction:0<3}").parse().ok()?
        };
        let milliseconds = (whole * 1000 + thousandths) * seconds;
        total = total.checked_add(SignedDuration::from_millis(
            i64::try_from(milliseconds).ok()?,
        ))?;
        rest = after;
    }
    (rest.is_empty() && !text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_writes() {
        for (text, seconds) in [
            ("2160h", 7_776_000),
            ("2160h0m0s", 7_776_000),
            ("1h30m", 5400),
            ("90m", 5400),
            ("1.5h", 5400),
            ("0s", 0),
            ("45s", 45),
        ] {
            assert_eq!(
                DurationText::from(text).parse(),
                Ok(SignedDuration::from_secs(seconds)),
                "{text}"
            );
        }
        assert_eq!(
            DurationText::from("0.25s").parse(),
            Ok(SignedDuration::from_millis(250))
        );
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in [
            "", "90d", "1", "h", "-1h", "+1h", "1h 30m", "30m1h", "1e3h", "1.h", ".5h", "1.2345h",
            "1234567h", "1hh", "٣h",
        ] {
            assert!(DurationText::from(text).parse().is_err(), "{text}");
        }
    }
}
