use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

fn second(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

/// The first `count` times from `from` on, on the clock of `zone`.
fn times(line: &str, zone_name: &str, from: &str, count: usize) -> Vec<String> {
    let zone = zone(zone_name);
    let cron = Cron::parse(line).unwrap();
    let mut from = second(from);
    let mut times = Vec::new();
    while times.len() < count {
        let Some(time) = cron.first_from(from, i64::MAX, &zone) else {
            break;
        };
        times.push(
            Timestamp::from_second(time)
                .unwrap()
                .to_zoned(zone.clone())
                .strftime("%F %R%:z")
                .to_string(),
        );
        from = time + 1;
    }
    times
}

#[test]
fn lines_recur_when_they_say() {
    for (line, expected) in [
        (
            "0 2 * * *",
            "2026-01-01 02:00, 2026-01-02 02:00, 2026-01-03 02:00",
        ),
        (
            "*/20 23 * * *",
            "2026-01-01 23:00, 2026-01-01 23:20, 2026-01-01 23:40",
        ),
        (
            "59 8-10 * * *",
            "2026-01-01 08:59, 2026-01-01 09:59, 2026-01-01 10:59",
        ),
        (
            "0 20/2 * * *",
            "2026-01-01 20:00, 2026-01-01 22:00, 2026-01-02 20:00",
        ),
        (
            "0 0 31 * *",
            "2026-01-31 00:00, 2026-03-31 00:00, 2026-05-31 00:00",
        ),
        (
            "0 0 29 2 *",
            "2028-02-29 00:00, 2032-02-29 00:00, 2036-02-29 00:00",
        ),
        (
            "0 0 L * *",
            "2026-01-31 00:00, 2026-02-28 00:00, 2026-03-31 00:00",
        ),
        (
            "0 0 L 12 *",
            "2026-12-31 00:00, 2027-12-31 00:00, 2028-12-31 00:00",
        ),
        (
            "0 0 * * 0",
            "2026-01-04 00:00, 2026-01-11 00:00, 2026-01-18 00:00",
        ),
        (
            "0 0 * * 7",
            "2026-01-04 00:00, 2026-01-11 00:00, 2026-01-18 00:00",
        ),
        (
            "0 0 * * sat-SUN",
            "2026-01-03 00:00, 2026-01-04 00:00, 2026-01-10 00:00",
        ),
        (
            "0 0 * * 6-7",
            "2026-01-03 00:00, 2026-01-04 00:00, 2026-01-10 00:00",
        ),
        (
            "0 0 * jan,Mar MON#1",
            "2026-01-05 00:00, 2026-03-02 00:00, 2027-01-04 00:00",
        ),
        (
            "0 0 ? * FRI#5",
            "2026-01-30 00:00, 2026-05-29 00:00, 2026-07-31 00:00",
        ),
        (
            "0 0 * 11-12 FRIL",
            "2026-11-27 00:00, 2026-12-25 00:00, 2027-11-26 00:00",
        ),
        // Both day fields restricted: either is enough, and a step restricts.
        (
            "0 0 2 * SAT",
            "2026-01-02 00:00, 2026-01-03 00:00, 2026-01-10 00:00",
        ),
        (
            "0 0 */15 * SAT",
            "2026-01-01 00:00, 2026-01-03 00:00, 2026-01-10 00:00",
        ),
    ] {
        let times = times(line, "UTC", "2026-01-01T00:00:00Z", 3);
        assert_eq!(times.join(", ").replace("+00:00", ""), expected, "{line}");
    }
}

#[test]
fn an_impossible_date_never_comes() {
    assert_eq!(
        times("0 0 30 2 *", "UTC", "2026-01-01T00:00:00Z", 1),
        [""; 0]
    );
    assert_eq!(
        times(
            "0 0 31 4,6,9,11 *",
            "Europe/Berlin",
            "2026-01-01T00:00:00Z",
            1
        ),
        [""; 0]
    );
}

#[test]
fn nothing_is_found_after_the_latest_time() {
    let cron = Cron::parse("0 2 * * *").unwrap();
    let at = second("2026-01-01T02:00:00Z");
    assert_eq!(cron.first_from(at, at, &TimeZone::UTC), Some(at));
    assert_eq!(cron.first_from(at - 3600, at - 1, &TimeZone::UTC), None);
    assert_eq!(cron.first_from(at + 1, at + 86_399, &TimeZone::UTC), None);
}

#[test]
fn a_time_that_a_clock_skips_comes_as_much_later() {
    let expected = [
        "2026-03-28 02:30+01:00",
        "2026-03-29 03:30+02:00",
        "2026-03-30 02:30+02:00",
    ];
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
        expected
    );
    // Clocks go from 00:00 to 01:00 there.
    let expected = ["2026-04-24 01:00+03:00", "2026-04-25 00:00+03:00"];
    assert_eq!(
        times("0 0 * * *", "Africa/Cairo", "2026-04-23T00:00:00Z", 2),
        expected
    );
    // A day that the zone left out altogether.
    let expected = ["2011-12-29 12:00-10:00", "2011-12-31 12:00+14:00"];
    assert_eq!(
        times("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00-10:00", 2),
        expected
    );
}

#[test]
fn a_time_that_a_clock_repeats_comes_once() {
    let expected = ["2026-10-25 02:30+02:00", "2026-10-26 02:30+01:00"];
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 2),
        expected
    );
    // Clocks go back by half an hour there.
    let expected = ["2026-04-05 01:45+11:00", "2026-04-06 01:45+10:30"];
    assert_eq!(
        times(
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T14:00:00Z",
            2
        ),
        expected
    );
    assert_eq!(
        times(
            "0 5 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T14:00:00Z",
            1
        ),
        ["2026-04-05 05:00+10:30"]
    );
}

#[test]
fn no_line_and_date_abort_the_search() {
    for line in [
        "* * * * *",
        "0 0 L * 5L",
        "0 0 29 2 *",
        "0 0 30 2 *",
        "0 0 * * 1#5",
    ] {
        let cron = Cron::parse(line).unwrap();
        for zone in [
            TimeZone::UTC,
            zone("Pacific/Kiritimati"),
            zone("America/Adak"),
        ] {
            for from in [
                Timestamp::MIN.as_second(),
                second("9998-12-31T00:00:00Z"),
                Timestamp::MAX.as_second(),
                i64::MIN,
                i64::MAX,
            ] {
                let found = cron.first_from(from, i64::MAX, &zone);
                assert!(found.is_none_or(|found| found >= from), "{line}");
            }
        }
    }
}

#[test]
fn lines_that_cannot_be_read_say_why() {
    for (line, says) in [
        ("", "has 0 fields; write five"),
        ("@daily", "has 1 fields; write five"),
        ("0 2 * *", "has 4 fields"),
        ("0 2 * * * *", "has 6 fields"),
        ("0 2 * * * Europe/Berlin", "has 6 fields"),
        ("60 2 * * *", "\"60\" is no minute; write 0 to 59"),
        ("0 24 * * *", "\"24\" is no hour; write 0 to 23"),
        ("0 0 0 * *", "\"0\" is no day of month; write 1 to 31"),
        ("0 0 32 * *", "\"32\" is no day of month"),
        (
            "0 0 * 13 *",
            "\"13\" is no month; write 1 to 12 or JAN to DEC",
        ),
        ("0 0 * MAI *", "\"MAI\" is no month"),
        (
            "0 0 * * 8",
            "\"8\" is no day of week; write 0 to 7 or SUN to SAT",
        ),
        ("0 0 * * L", "\"\" is no day of week"),
        ("0 0 * * SUN#6", "the number after # is 1 to 5"),
        ("0 0 * * SUN#", "the number after # is 1 to 5"),
        ("0 22-2 * * *", "write two with a comma"),
        ("0 0 * * SAT-MON", "write two with a comma"),
        ("*/0 * * * *", "a step is a number from 1 on"),
        ("*/x * * * *", "a step is a number from 1 on"),
        ("1, * * * *", "\"\" is no minute"),
        ("-1 * * * *", "\"\" is no minute"),
        ("+1 * * * *", "\"+1\" is no minute"),
        ("1.5 * * * *", "\"1.5\" is no minute"),
        ("999 * * * *", "\"999\" is no minute"),
        ("H * * * *", "\"H\" is no minute"),
        ("0 0 15W * *", "\"15W\" is no day of month"),
        ("0 0 L-3 * *", "\"L\" is no day of month"),
    ] {
        let problem = Cron::parse(line).unwrap_err();
        assert!(problem.contains(says), "{line}: {problem}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(line in "[-*?,/#LW0-9A-Za-z ]{0,40}|\\PC{0,20}") {
        let _ = Cron::parse(&line);
    }

    /// Against the plain definition: each minute is looked at.
    #[test]
    fn the_first_time_is_the_first_minute_that_fits(
        minute in 0_u8..60, hour in 0_u8..24, weekday in 0_u8..7,
        from in 1_700_000_000_i64..1_900_000_000,
    ) {
        let cron = Cron::parse(&format!("{minute},7 {hour} * * {weekday}")).unwrap();
        let fits = |second: &i64| {
            let time = Timestamp::from_second(*second).unwrap().to_zoned(TimeZone::UTC);
            second % 60 == 0
                && [minute, 7].contains(&time.minute().unsigned_abs())
                && time.hour().unsigned_abs() == hour
                && time.weekday().to_sunday_zero_offset().unsigned_abs() == weekday
        };
        let minutes = (from + 59) / 60 * 60;
        let first = (minutes..minutes + 8 * 86_400).step_by(60).find(fits);
        prop_assert_eq!(cron.first_from(from, i64::MAX, &TimeZone::UTC), first);
    }
}
