//! Lifetime, renewal and windows.

use serde_json::{Value, json};

use super::{Case, case};

const FORM: &str = "write hours, minutes and seconds in this order, such as 2160h or 1h30m: days are not a unit, 90 days are 2160h";
const LESS_THAN_DURATION: &str = "write less than duration, which is 2160h where it isn't given";
const PERCENTAGE: &str =
    "this part of duration is less than 5m: write a higher percentage or a longer duration";
const CRON: &str = "write the five fields of cron, minute, hour, day of month, month and day of week, such as 0 2 * * 6";
const TIME_ZONE: &str =
    "write the IANA name of a time zone, such as Europe/Berlin, or leave it out for UTC";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = durations();
    cases.extend(neighbours());
    cases.extend(windows());
    cases
}

fn durations() -> Vec<Case> {
    let duration = |text: &str| json!({ "duration": text });
    let before = |text: &str| json!({ "renewBefore": text });
    vec![
        case(duration("90d"), "spec.duration", FORM, duration("2160h")),
        case(duration(""), "spec.duration", FORM, duration("2160h0m0s")),
        case(duration("2160"), "spec.duration", FORM, duration("1.5h")),
        case(
            duration("-24h"),
            "spec.duration",
            FORM,
            duration("999999h9999999m999999999s"),
        ),
        case(
            duration("1000000h"),
            "spec.duration",
            FORM,
            duration("999999h"),
        ),
        case(duration("30m2h"), "spec.duration", FORM, duration("2h30m")),
        case(duration("2h 30m"), "spec.duration", FORM, duration("90m")),
        case(
            duration("59m59s"),
            "spec.duration",
            "a certificate is valid for at least 1h",
            duration("3600s"),
        ),
        case(before("30d"), "spec.renewBefore", FORM, before("720h")),
        case(before("h"), "spec.renewBefore", FORM, before("0h5m")),
        case(
            before("4m59.999s"),
            "spec.renewBefore",
            "a renewal needs time: write at least 5m",
            before("5m"),
        ),
    ]
}

fn neighbours() -> Vec<Case> {
    let both =
        |duration: &str, before: &str| json!({ "duration": duration, "renewBefore": before });
    let percentage = |duration: &str, percentage: i32| json!({ "duration": duration, "renewBeforePercentage": percentage });
    vec![
        case(
            json!({ "renewBefore": "2160h" }),
            "spec.renewBefore",
            LESS_THAN_DURATION,
            json!({ "renewBefore": "2159h59m59s" }),
        ),
        case(
            both("1h", "60m"),
            "spec.renewBefore",
            LESS_THAN_DURATION,
            both("1h", "59m"),
        ),
        case(
            both("24h", "720h"),
            "spec.renewBefore",
            LESS_THAN_DURATION,
            both("8760h", "2160h"),
        ),
        case(
            json!({ "renewBefore": "720h", "renewBeforePercentage": 30 }),
            "spec.renewBeforePercentage",
            "write either renewBefore or renewBeforePercentage",
            json!({ "renewBeforePercentage": 30 }),
        ),
        // 8 % of an hour are 4m48s, 9 % are 5m24s; 5 % of 100 minutes are just enough.
        case(
            percentage("1h", 8),
            "spec.renewBeforePercentage",
            PERCENTAGE,
            percentage("1h", 9),
        ),
        case(
            percentage("99m", 5),
            "spec.renewBeforePercentage",
            PERCENTAGE,
            percentage("100m", 5),
        ),
        case(
            percentage("8h", 1),
            "spec.renewBeforePercentage",
            PERCENTAGE,
            percentage("2160h", 1),
        ),
    ]
}

fn windows() -> Vec<Case> {
    let disabled =
        |windows: Value| json!({ "renewal": { "policy": "Disabled", "windows": windows } });
    let window = |changes: Value| {
        let mut window = json!({ "cron": "0 2 * * 6", "windowDuration": "4h" });
        window
            .as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        json!({ "renewal": { "policy": "RenewBefore", "windows": [window] } })
    };
    let cron = |text: &str| window(json!({ "cron": text }));
    let open = |text: &str| window(json!({ "windowDuration": text }));
    let zone = |text: &str| window(json!({ "timezone": text }));
    let at_cron = "spec.renewal.windows[0].cron";
    let at_open = "spec.renewal.windows[0].windowDuration";
    let at_zone = "spec.renewal.windows[0].timezone";
    vec![
        case(
            disabled(json!([{ "cron": "0 2 * * 6", "windowDuration": "4h" }])),
            "spec.renewal.windows",
            "policy Disabled renews at no time: leave windows out, or write policy: RenewBefore",
            disabled(json!([])),
        ),
        case(cron("@daily"), at_cron, CRON, cron("0 0 * * *")),
        case(
            cron("0 2 * *"),
            at_cron,
            CRON,
            cron("*/15 2-4 1,15 JAN-MAR MON-FRI"),
        ),
        case(cron("0 0 2 * * 6"), at_cron, CRON, cron(" 0  2 * * 6 ")),
        case(cron(""), at_cron, CRON, cron("30 22 L * 5#1")),
        case(open("1d"), at_open, FORM, open("24h")),
        case(
            open("0.9s"),
            at_open,
            "a window stays open for some time: write it, such as 4h",
            open("1s"),
        ),
        case(zone(""), at_zone, TIME_ZONE, zone("UTC")),
        case(zone("+02:00"), at_zone, TIME_ZONE, zone("Etc/GMT+2")),
        case(
            zone("Europe Berlin"),
            at_zone,
            TIME_ZONE,
            zone("America/Argentina/Buenos_Aires"),
        ),
    ]
}
