//! Cron lines: minute, hour, day of month, month, day of week.
//!
//! An own reading of them, because a line comes from users and must never hang or abort the operator, whatever line,
//! zone and date meet.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// When something recurs, to the minute, on whichever clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    minutes: Set,
    hours: Set,
    months: Set,
    days: Days,
    weekdays: Weekdays,
}

/// Small numbers, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set(u64);

impl Set {
    fn insert(&mut self, number: u8) {
        self.0 |= 1_u64.checked_shl(number.into()).unwrap_or(0);
    }

    fn contains(self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| self.0.checked_shr(number).unwrap_or(0) & 1 == 1)
    }

    fn iter(self) -> impl Iterator<Item = i8> {
        (0..64).filter(move |number| self.contains(*number))
    }
}

/// Days of the month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Days {
    any: bool,
    among: Set,
    last: bool,
}

/// Days of the week, Sunday being 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Weekdays {
    any: bool,
    among: Set,
    /// Those whose last one of the month counts.
    last: Set,
    /// Those whose first, second and so on of the month counts.
    nth: [Set; 5],
}

/// Days that a search looks at. That is ten years at least, and the rarest day, 29 February, is at most eight away.
const MAX_DAYS: usize = 10 * 366;

impl Cron {
    /// Reads five fields, separated by blanks: minute (0-59), hour (0-23), day of month (1-31), month (1-12 or
    /// JAN-DEC) and day of week (0-7 or SUN-SAT, 0 and 7 being Sunday).
    ///
    /// A field is a list with commas of numbers, ranges (`1-5`), all (`*`, also written `?`), each with a step where
    /// wanted (`*/15`, `8-18/2`; `8/2` means from 8 on). Beyond that a day of month may be `L`, the last one, and a
    /// day of week the last (`FRIL`, `5L`) or the n-th (`SUN#1`) of its month.
    ///
    /// As in POSIX and cert-manager, where both day fields are restricted a day that fits either counts.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!(
                "{line:?} has {} fields; write five (minute, hour, day of month, month, day of week), such as \"0 2 * * SAT\"",
                fields.len()
            ));
        };
        Ok(Self {
            minutes: MINUTE.parse(minute)?.0,
            hours: HOUR.parse(hour)?.0,
            days: days(day)?,
            months: MONTH.parse(month)?.0,
            weekdays: weekdays(weekday)?,
        })
    }

    /// The first time it recurs on the clock of `zone`, from `from` to `latest` in seconds of Unix time, both included,
    /// and at least ten years ahead.
    ///
    /// Where clocks are set forward over a time, it recurs as much later; where they are set back, only once, the
    /// first time.
    pub(super) fn first_from(&self, from: i64, latest: i64, zone: &TimeZone) -> Option<i64> {
        let start = zone.to_datetime(Timestamp::from_second(from).ok()?).date();
        // A time of the day before may have been put off until today.
        let mut date = start.yesterday().unwrap_or(start);
        for _ in 0..MAX_DAYS {
            let times = self
                .times(date)
                .filter_map(|time| zone.to_timestamp(time).ok())
                .map(Timestamp::as_second);
            if let Some(first) = times.filter(|time| *time >= from).min() {
                return (first <= latest).then_some(first);
            }
            let past = if self.months.contains(date.month()) {
                date
            } else {
                date.last_of_month()
            };
            date = past.tomorrow().ok()?;
            let begins = zone.to_timestamp(date.into()).ok()?.as_second();
            if begins > latest {
                return None;
            }
        }
        None
    }

    /// All times of a day at which it recurs, without regard to zones.
    fn times(&self, date: Date) -> impl Iterator<Item = DateTime> {
        let hours = if self.contains(date) {
            self.hours
        } else {
            Set::default()
        };
        hours.iter().flat_map(move |hour| {
            self.minutes
                .iter()
                .map(move |minute| date.at(hour, minute, 0, 0))
        })
    }

    fn contains(&self, date: Date) -> bool {
        let (day, weekday) = (self.days.contains(date), self.weekdays.contains(date));
        let fits = if self.days.any || self.weekdays.any {
            day && weekday
        } else {
            day || weekday
        };
        fits && self.months.contains(date.month())
    }
}

impl Days {
    fn contains(&self, date: Date) -> bool {
        self.among.contains(date.day()) || self.last && date.day() == date.days_in_month()
    }
}

impl Weekdays {
    fn contains(&self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset();
        let nth = usize::try_from((date.day() - 1) / 7)
            .ok()
            .and_then(|nth| self.nth.get(nth));
        self.among.contains(weekday)
            || self.last.contains(weekday) && date.day() + 7 > date.days_in_month()
            || nth.is_some_and(|nth| nth.contains(weekday))
    }
}

/// The numbers and names that a field takes.
struct Field {
    name: &'static str,
    first: u8,
    last: u8,
    names: &'static [&'static str],
}

const MINUTE: Field = Field {
    name: "minute",
    first: 0,
    last: 59,
    names: &[],
};
const HOUR: Field = Field {
    name: "hour",
    first: 0,
    last: 23,
    names: &[],
};
const DAY: Field = Field {
    name: "day of month",
    first: 1,
    last: 31,
    names: &[],
};
const MONTH: Field = Field {
    name: "month",
    first: 1,
    last: 12,
    names: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
};
/// 7 is Sunday too; it is the last so that ranges such as `FRI-SUN` go upwards.
const WEEKDAY: Field = Field {
    name: "day of week",
    first: 0,
    last: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
};

fn days(text: &str) -> Result<Days, String> {
    let mut days = Days::default();
    for item in text.split(',') {
        if item.eq_ignore_ascii_case("L") {
            days.last = true;
        } else {
            days.any |= DAY.item(item, &mut days.among)?;
        }
    }
    Ok(days)
}

fn weekdays(text: &str) -> Result<Weekdays, String> {
    let mut weekdays = Weekdays::default();
    for item in text.split(',') {
        if let Some(day) = item.strip_suffix(['L', 'l']) {
            weekdays.last.insert(WEEKDAY.number(day)? % 7);
        } else if let Some((day, nth)) = item.split_once('#') {
            let nth = nth.parse().ok().filter(|nth| (1..=5).contains(nth));
            let nth: usize =
                nth.ok_or_else(|| WEEKDAY.invalid(item, "the number after # is 1 to 5"))?;
            weekdays.nth[nth - 1].insert(WEEKDAY.number(day)? % 7);
        } else {
            let mut among = Set::default();
            weekdays.any |= WEEKDAY.item(item, &mut among)?;
            among
                .iter()
                .for_each(|day| weekdays.among.insert(day.unsigned_abs() % 7));
        }
    }
    Ok(weekdays)
}

impl Field {
    /// A list without extensions, and whether it holds all.
    fn parse(&self, text: &str) -> Result<(Set, bool), String> {
        let mut set = Set::default();
        let mut any = false;
        for item in text.split(',') {
            any |= self.item(item, &mut set)?;
        }
        Ok((set, any))
    }

    /// Adds what one item of a list says; whether that is all.
    fn item(&self, item: &str, set: &mut Set) -> Result<bool, String> {
        let (range, step) = item
            .split_once('/')
            .map_or((item, None), |(range, step)| (range, Some(step)));
        let (first, last) = if matches!(range, "*" | "?") {
            (self.first, self.last_of_all())
        } else if let Some((first, last)) = range.split_once('-') {
            let (first, last) = (self.number(first)?, self.number(last)?);
            // Sunday ends a week that begins on another day.
            (
                first,
                if last == 0 && self.last == 7 && first > 0 {
                    7
                } else {
                    last
                },
            )
        } else {
            let number = self.number(range)?;
            (
                number,
                if step.is_some() {
                    self.last_of_all().max(number)
                } else {
                    number
                },
            )
        };
        if first > last {
            return Err(self.invalid(item, "a range goes upwards; write two with a comma between"));
        }
        let step = match step.map(|step| digits(step).filter(|step| *step > 0)) {
            None => 1,
            Some(Some(step)) => step,
            Some(None) => return Err(self.invalid(item, "a step is a number from 1 on")),
        };
        (first..=last)
            .step_by(step.into())
            .for_each(|number| set.insert(number));
        Ok(matches!(range, "*" | "?") && step == 1)
    }

    /// The last number that `*` stands for: Sunday only once.
    fn last_of_all(&self) -> u8 {
        if self.last == 7 { 6 } else { self.last }
    }

    fn number(&self, text: &str) -> Result<u8, String> {
        let named = self
            .names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(at) => u8::try_from(at).ok().map(|at| at + self.first),
            None => digits(text),
        };
        number
            .filter(|number| (self.first..=self.last).contains(number))
            .ok_or_else(|| {
                let mut expected = format!("write {} to {}", self.first, self.last);
                if let (Some(first), Some(last)) = (self.names.first(), self.names.last()) {
                    expected += &format!(" or {first} to {last}");
                }
                self.invalid(text, &expected)
            })
    }

    fn invalid(&self, text: &str, expected: &str) -> String {
        format!("{text:?} is no {}; {expected}", self.name)
    }
}

fn digits(text: &str) -> Option<u8> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests;
