//! Windows: recurring spans of time that renewals wait for.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::cron::Cron;
use crate::api::certificate::RenewalWindow;
use crate::plan::InvalidSpec;

/// The zones that the binary carries; the host's own are never read.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// How far ahead a window is looked for, in seconds: a year.
const HORIZON: i64 = 366 * 24 * 3600;

/// Recurring spans of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows(Vec<Window>);

impl Windows {
    /// Reads the windows in `field`, such as `spec.renewal.windows`.
    ///
    /// # Errors
    /// For one whose cron line, length or time zone can't be read.
    pub fn of(field: &str, windows: &[RenewalWindow]) -> Result<Self, InvalidSpec> {
        let read = windows
            .iter()
            .enumerate()
            .map(|(at, window)| Window::of(field, at, window));
        Ok(Self(read.collect::<Result<_, _>>()?))
    }

    /// Whether there is none, so that nothing is held back.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first moment from `now` on, in whole seconds, at which one of them is open; `None` if there is none within a year.
    pub fn open_from(&self, now: Timestamp) -> Option<Timestamp> {
        let from = now.as_second();
        let open = self.first_open(from, from.saturating_add(HORIZON))?;
        Timestamp::from_second(open.begin).ok()
    }

    /// The first stretch between `from` and `latest`, both included, in which one of them is open.
    pub(super) fn first_open(&self, from: i64, latest: i64) -> Option<Open> {
        self.0
            .iter()
            .filter_map(|window| window.first_open(from, latest))
            .min()
    }
}

/// A recurring span of time.
#[derive(Clone, Debug, PartialEq)]
struct Window {
    opens: Cron,
    zone: TimeZone,
    /// How long it stays open, in seconds.
    length: i64,
}

impl Window {
    /// Reads the window at `at` of `list`.
    fn of(list: &str, at: usize, window: &RenewalWindow) -> Result<Self, InvalidSpec> {
        let invalid = |field, problem| InvalidSpec::new(format!("{list}[{at}].{field}"), problem);
        let opens = Cron::parse(&window.cron).map_err(|problem| invalid("cron", problem))?;
        let length = window
            .window_duration
            .parse()
            .map_err(|problem| invalid("windowDuration", problem.to_string()))?
            .as_secs();
        if length < 1 {
            return Err(invalid(
                "windowDuration",
                "a window has to stay open; write for how long, such as 2h".into(),
            ));
        }
        let zone = match window.timezone.as_deref() {
            None | Some("") => TimeZone::UTC,
            Some(name) => ZONES.get(name).map_err(|_| {
                let expected = "write a name of the IANA database such as Europe/Berlin";
                invalid(
                    "timezone",
                    format!("{name:?} is not a time zone; {expected}"),
                )
            })?,
        };
        Ok(Self {
            opens,
            zone,
            length,
        })
    }

    /// The first stretch between `from` and `latest`, both included, in which the window is open.
    fn first_open(&self, from: i64, latest: i64) -> Option<Open> {
        // An opening up to this long ago still holds at `from`.
        let since = from.saturating_sub(self.length - 1);
        let opens = self.opens.first_from(since, latest, &self.zone)?;
        Some(Open {
            begin: opens.max(from),
            end: opens.saturating_add(self.length).min(latest),
        })
    }
}

/// A stretch of time in which a window is open, in seconds of Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Open {
    pub(super) begin: i64,
    pub(super) end: i64,
}
