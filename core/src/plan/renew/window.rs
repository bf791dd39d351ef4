//! Windows: recurring spans of time that renewals wait for.

use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::cron::Cron;
use crate::api::certificate::RenewalWindow;
use crate::plan::InvalidSpec;

/// The zones that the binary carries; the host's own are never read.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A recurring span of time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    opens: Cron,
    zone: TimeZone,
    /// How long it stays open, in seconds.
    length: i64,
}

impl Window {
    /// Reads the window at `at` of `spec.renewal.windows`.
    pub(super) fn of(at: usize, window: &RenewalWindow) -> Result<Self, InvalidSpec> {
        let invalid = |field, problem| {
            InvalidSpec::new(format!("spec.renewal.windows[{at}].{field}"), problem)
        };
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

/// The first stretch between `from` and `latest`, both included, in which one of `windows` is open.
pub(super) fn first_open(windows: &[Window], from: i64, latest: i64) -> Option<Open> {
    windows
        .iter()
        .filter_map(|window| window.first_open(from, latest))
        .min()
}
