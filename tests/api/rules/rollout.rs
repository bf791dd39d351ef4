//! How workloads get a new certificate.

use serde_json::{Value, json};

use super::{Case, case};

const NO_CALL: &str = "Call needs a request: write call with path and port";
const NO_CALL_IN_RULE: &str =
    "Call needs a request: write call with path and port in the rule, or in rollout for all";
const FOR_SOME: &str = "a rule is for some workloads: write at least one of kind, name and selector, and what is for all in rollout itself";
const KIND: &str =
    "write the kind of a workload, such as Deployment, or Rollout.argoproj.io with its group";
const NAME: &str = "write the name of a workload, such as web: lower-case letters, digits, - and ., at most 253 characters";
const KEY: &str = "write keys such as app or example.com/app: an optional lower-case DNS name and /, then at most 63 letters, digits, -, _ and ., with a letter or digit at both ends";
const VALUE: &str =
    "write at most 63 letters, digits, -, _ and ., with a letter or digit at both ends";
const VALUES: &str =
    "In and NotIn compare with values: write at least one; Exists and DoesNotExist have none";
const PATH: &str = "write the path on the Pod, such as /-/reload: it begins with a slash, and other characters than those of URLs are %XX";
const PORT: &str = "write a port's number from 1 to 65535, or the name that a container gives it";
const FORM: &str = "write hours, minutes and seconds in this order, such as 2160h or 1h30m: days are not a unit, 90 days are 2160h";
const SHORT: &str = "a restart takes some time: write at least 10s";
const CRON: &str = "write the five fields of cron, minute, hour, day of month, month and day of week, such as 0 2 * * 6";
const OPEN: &str = "a window stays open for some time: write it, such as 4h";
const SERVER_NAME: &str = "write the name that is asked for in lower case, such as db.example.com";
const ZONE: &str =
    "write the IANA name of a time zone, such as Europe/Berlin, or leave it out for UTC";

pub(super) fn cases() -> Vec<Case> {
    let rollout = |rollout: Value| json!({ "rollout": rollout });
    let rule = |rule: Value| json!({ "rollout": { "rules": [rule] } });
    let call = json!({ "path": "/-/reload", "port": 9000 });
    let mut cases = vec![
        case(
            rollout(json!({ "strategy": "Call" })),
            "spec.rollout.call",
            NO_CALL,
            rollout(json!({ "strategy": "Call", "call": call })),
        ),
        case(
            rule(json!({ "kind": "Deployment", "strategy": "Call" })),
            "spec.rollout.rules",
            NO_CALL_IN_RULE,
            rollout(
                json!({ "rules": [{ "kind": "Deployment", "strategy": "Call" }], "call": call }),
            ),
        ),
        case(
            rule(json!({ "wave": 1 })),
            "spec.rollout.rules[0]",
            FOR_SOME,
            rule(json!({ "selector": { "matchLabels": { "tier": "db" } }, "wave": 1 })),
        ),
        case(
            rule(json!({ "kind": "rollouts" })),
            "spec.rollout.rules[0].kind",
            KIND,
            rule(json!({ "kind": "Rollout.argoproj.io" })),
        ),
        case(
            rule(json!({ "name": "Web_1" })),
            "spec.rollout.rules[0].name",
            NAME,
            rule(json!({ "name": "web-1" })),
        ),
        case(
            rollout(json!({ "minGap": "1d" })),
            "spec.rollout.minGap",
            FORM,
            rollout(json!({ "minGap": "0s" })),
        ),
        case(
            rollout(json!({ "urgentBefore": "3d" })),
            "spec.rollout.urgentBefore",
            FORM,
            rollout(json!({ "urgentBefore": "72h" })),
        ),
        case(
            rollout(json!({ "healthTimeout": "ten" })),
            "spec.rollout.healthTimeout",
            FORM,
            rollout(json!({ "healthTimeout": "10m" })),
        ),
        case(
            rollout(json!({ "healthTimeout": "9s" })),
            "spec.rollout.healthTimeout",
            SHORT,
            rollout(json!({ "healthTimeout": "10s" })),
        ),
    ];
    cases.extend(selectors());
    cases.extend(calls());
    cases.extend(probes());
    cases.extend(windows());
    cases
}

fn selectors() -> Vec<Case> {
    let labels = |labels: Value| json!({ "rollout": { "rules": [{ "selector": { "matchLabels": labels } }] } });
    let expression = |expression: Value| json!({ "rollout": { "rules": [{ "selector": { "matchExpressions": [expression] } }] } });
    vec![
        case(
            labels(json!({ "-app": "web" })),
            "spec.rollout.rules[0].selector.matchLabels",
            KEY,
            labels(json!({ "app": "web" })),
        ),
        case(
            labels(json!({ "app": "web!" })),
            "spec.rollout.rules[0].selector.matchLabels[app]",
            VALUE,
            labels(json!({ "app": "" })),
        ),
        case(
            expression(json!({ "key": "a b", "operator": "Exists" })),
            "spec.rollout.rules[0].selector.matchExpressions[0].key",
            KEY,
            expression(json!({ "key": "example.com/team", "operator": "Exists" })),
        ),
        case(
            expression(json!({ "key": "app", "operator": "In", "values": ["web!"] })),
            "spec.rollout.rules[0].selector.matchExpressions[0].values[0]",
            VALUE,
            expression(json!({ "key": "app", "operator": "In", "values": ["web"] })),
        ),
        case(
            expression(json!({ "key": "app", "operator": "NotIn" })),
            "spec.rollout.rules[0].selector.matchExpressions[0].values",
            VALUES,
            expression(json!({ "key": "app", "operator": "DoesNotExist" })),
        ),
    ]
}

fn probes() -> Vec<Case> {
    let whole = |probe: Value| json!({ "rollout": { "probe": probe } });
    let in_rule =
        |probe: Value| json!({ "rollout": { "rules": [{ "name": "web", "probe": probe }] } });
    let port = |port: Value| json!({ "ports": [{ "port": port, "startTLS": "postgres" }] });
    let name = |name: &str| json!({ "serverName": name });
    vec![
        case(
            whole(port(json!(0))),
            "spec.rollout.probe.ports[0].port",
            PORT,
            whole(port(json!("db"))),
        ),
        case(
            whole(name("DB.example.com")),
            "spec.rollout.probe.serverName",
            SERVER_NAME,
            whole(name("db.example.com")),
        ),
        case(
            in_rule(port(json!(65536))),
            "spec.rollout.rules[0].probe.ports[0].port",
            PORT,
            in_rule(port(json!(65535))),
        ),
        case(
            in_rule(name("*.example.com")),
            "spec.rollout.rules[0].probe.serverName",
            SERVER_NAME,
            in_rule(name("db")),
        ),
    ]
}

fn calls() -> Vec<Case> {
    let whole = |call: Value| json!({ "rollout": { "call": call } });
    let in_rule =
        |call: Value| json!({ "rollout": { "rules": [{ "name": "web", "call": call }] } });
    let path = |path: &str| json!({ "path": path, "port": "admin" });
    let port = |port: Value| json!({ "path": "/", "port": port });
    vec![
        case(
            whole(path("reload")),
            "spec.rollout.call.path",
            PATH,
            whole(path("/-/reload?now=1")),
        ),
        case(
            whole(port(json!(0))),
            "spec.rollout.call.port",
            PORT,
            whole(port(json!(1))),
        ),
        case(
            in_rule(path("/a b")),
            "spec.rollout.rules[0].call.path",
            PATH,
            in_rule(path("/a%20b")),
        ),
        case(
            in_rule(port(json!(65536))),
            "spec.rollout.rules[0].call.port",
            PORT,
            in_rule(port(json!(65535))),
        ),
    ]
}

fn windows() -> Vec<Case> {
    let window = |cron: &str, length: &str, zone: &str| {
        let window = json!({ "cron": cron, "windowDuration": length, "timezone": zone });
        json!({ "rollout": { "windows": [window] } })
    };
    let good = || window("0 2 * * 6", "4h", "Europe/Berlin");
    vec![
        case(
            window("0 2 * *", "4h", "UTC"),
            "spec.rollout.windows[0].cron",
            CRON,
            good(),
        ),
        case(
            window("0 2 * * 6", "4", "UTC"),
            "spec.rollout.windows[0].windowDuration",
            FORM,
            good(),
        ),
        case(
            window("0 2 * * 6", "0s", "UTC"),
            "spec.rollout.windows[0].windowDuration",
            OPEN,
            good(),
        ),
        case(
            window("0 2 * * 6", "4h", "Berlin?"),
            "spec.rollout.windows[0].timezone",
            ZONE,
            good(),
        ),
    ]
}
