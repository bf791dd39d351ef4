use super::*;

#[test]
fn a_moment_outside_windows_waits_for_a_point_in_the_next() {
    // Due on Friday 1 January 2027.
    let (not_before, not_after) = (at("2026-11-02T00:00:00Z"), at("2027-01-31T00:00:00Z"));
    for (windows, spread, moment) in [
        (&[("0 2 * * *", "2h", "")][..], 0.0, "2027-01-01T02:00:00Z"),
        // The moment is 29 December, 00:00.
        (&[("0 2 * * *", "2h", "")][..], 0.5, "2026-12-29T03:00:00Z"),
        (
            &[("0 2 * * *", "2h", "Europe/Berlin")][..],
            0.5,
            "2026-12-29T02:00:00Z",
        ),
        (
            &[("0 2 * * SAT", "4h", "")][..],
            0.5,
            "2027-01-02T04:00:00Z",
        ),
        // The first of several that opens.
        (
            &[("0 2 * * SAT", "4h", ""), ("0 12 * * 3", "1h", "")][..],
            0.5,
            "2026-12-30T12:30:00Z",
        ),
    ] {
        assert_eq!(
            rule("", 0, windows).renewal(not_before, not_after, spread),
            plain(moment),
            "{windows:?}"
        );
    }
}

#[test]
fn a_moment_inside_a_window_stays() {
    let (not_before, not_after) = (at("2026-11-02T00:00:00Z"), at("2027-01-31T00:00:00Z"));
    for windows in [
        &[("0 0 * * *", "2h", "")][..],
        &[("0 22 * * *", "2h1s", "")],
        &[("0 12 28 12 *", "24h", "Europe/Berlin")],
        &[("* * * * *", "1s", "")],
        &[("0 2 * * *", "2h", ""), ("0 0 1 1 *", "8760h", "")],
    ] {
        assert_eq!(
            rule("", 0, windows).renewal(not_before, not_after, 0.5),
            plain("2026-12-29T00:00:00Z"),
            "{windows:?}"
        );
    }
    // It has just closed.
    let closed = rule("", 0, &[("0 22 * * *", "2h", "")]).renewal(not_before, not_after, 0.5);
    assert_eq!(closed, plain("2026-12-29T23:00:00Z"));
}

#[test]
fn windows_follow_the_clock_of_their_zone() {
    // Due on 29 March 2026, 00:00 UTC, the night in which clocks in Berlin go from 02:00 to 03:00.
    let (not_before, not_after) = (at("2026-01-28T00:00:00Z"), at("2026-04-28T00:00:00Z"));
    let windows =
        |cron| rule("", 0, &[(cron, "1h", "Europe/Berlin")]).renewal(not_before, not_after, 0.0);
    assert_eq!(windows("30 1 * * *"), plain("2026-03-29T00:30:00Z"));
    assert_eq!(windows("30 2 * * *"), plain("2026-03-29T01:30:00Z"));
    assert_eq!(windows("30 3 * * *"), plain("2026-03-29T01:30:00Z"));
    assert_eq!(windows("30 4 * * *"), plain("2026-03-29T02:30:00Z"));
}

#[test]
fn a_window_that_reaches_into_the_last_tenth_is_used_up_to_it() {
    // The last tenth begins on 22 January, 00:00.
    let (not_before, not_after) = (at("2026-11-02T00:00:00Z"), at("2027-01-31T00:00:00Z"));
    // Nineteen hours open before it: from the 21st, 05:00.
    let rule = rule("", 0, &[("0 5 21 1 *", "240h", "")]);
    assert_eq!(
        rule.renewal(not_before, not_after, 0.0),
        plain("2027-01-21T05:00:00Z")
    );
    let renewal = rule.renewal(not_before, not_after, 0.999_999);
    assert!(
        renewal.at.unwrap() > at("2027-01-21T23:59:00Z")
            && renewal.at.unwrap() < at("2027-01-22T00:00:00Z")
    );
}

#[test]
fn windows_that_open_too_late_yield() {
    let (not_before, not_after) = (at("2026-11-02T00:00:00Z"), at("2027-01-31T00:00:00Z"));
    let yields = |text| Renewal {
        at: Some(at(text)),
        note: Some(RenewalNote::NoWindowInTime),
    };
    for cron in ["1 0 22 1 *", "0 0 30 2 *", "0 0 29 2 *", "0 0 1 7 *"] {
        let renewal = rule("", 0, &[(cron, "2h", "")]).renewal(not_before, not_after, 0.5);
        assert_eq!(renewal, yields("2026-12-29T00:00:00Z"), "{cron}");
    }
    // An hour has no night.
    let hourly = rule("", 0, &[("0 2 * * *", "2h", "")]);
    assert_eq!(
        hourly.renewal(at("2026-01-01T09:00:00Z"), at("2026-01-01T10:00:00Z"), 0.0),
        yields("2026-01-01T09:40:00Z")
    );
    // The last that is early enough.
    let last = rule("", 0, &[("0 0 22 1 *", "2h", "")]).renewal(not_before, not_after, 0.5);
    assert_eq!(last, plain("2027-01-22T00:00:00Z"));
}

#[test]
fn a_window_shortly_before_the_moment_is_better_than_none() {
    // Moments are 26 December to 1 January; this is the only window.
    let (not_before, not_after) = (at("2026-11-02T00:00:00Z"), at("2027-01-31T00:00:00Z"));
    let rule = rule("", 0, &[("0 2 27 12 *", "4h", "")]);
    assert_eq!(
        rule.renewal(not_before, not_after, 0.0),
        plain("2026-12-27T02:00:00Z")
    );
    assert_eq!(
        rule.renewal(not_before, not_after, 0.5),
        plain("2026-12-27T04:00:00Z")
    );
}

#[test]
fn a_late_renewal_that_is_asked_for_keeps_its_windows() {
    // Due a day before the end, in the last tenth of the life: 30 January, 00:00. A tenth of the way is 8.9 days.
    let (not_before, not_after) = (at("2026-11-02T00:00:00Z"), at("2027-01-31T00:00:00Z"));
    let rule = rule("24h", 0, &[("0 2 * * *", "2h", "")]);
    assert_eq!(
        rule.renewal(not_before, not_after, 0.5),
        plain("2027-01-26T03:00:00Z")
    );
    // No window opens between the due time and itself: one before is taken, none after it.
    assert_eq!(
        rule.renewal(not_before, not_after, 0.0),
        plain("2027-01-21T02:24:00Z")
    );
}

#[test]
fn the_longer_note_is_told_first() {
    let rule = rule("1h", 0, &[("0 0 30 2 *", "2h", "")]);
    let renewal = rule.renewal(at("2026-01-01T09:00:00Z"), at("2026-01-01T10:00:00Z"), 0.0);
    let hour = SignedDuration::from_hours(1);
    let note = RenewalNote::RenewBeforeTooLong {
        asked: hour,
        lifetime: hour,
    };
    assert_eq!(
        renewal,
        Renewal {
            at: Some(at("2026-01-01T09:40:00Z")),
            note: Some(note)
        }
    );
}
