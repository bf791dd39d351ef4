use serde_json::json;

use super::*;
use crate::api::certificate::{CallMethod, CallPort, RolloutCall, RolloutStrategy};

/// What the Certificate says, for a Deployment `web` with these annotations.
fn chosen(rollout: Value, annotations: &[(&str, &str)]) -> Result<Choice, String> {
    let mut object = deployment();
    for (name, value) in annotations {
        on_workload(&mut object, &format!("certwright.dev/{name}"), value);
    }
    let policy = policy(rollout).map_err(|problem| problem.to_string())?;
    let choice = policy.choice(&group(), &read(&object));
    choice.map_err(|problem| problem.to_string())
}

fn strategy(rollout: Value, annotations: &[(&str, &str)]) -> RolloutStrategy {
    chosen(rollout, annotations).unwrap().strategy
}

fn call(method: CallMethod, port: CallPort, path: &str) -> RolloutCall {
    RolloutCall {
        method: Some(method),
        path: path.to_owned(),
        port,
    }
}

#[test]
fn the_annotation_wins_over_rules_those_over_the_certificate() {
    let ruled =
        || json!({ "strategy": "None", "rules": [{ "name": "web", "strategy": "Reload" }] });
    assert_eq!(
        strategy(ruled(), &[("rollout", "Restart")]),
        RolloutStrategy::Restart
    );
    assert_eq!(strategy(ruled(), &[]), RolloutStrategy::Reload);
    assert_eq!(
        strategy(json!({ "strategy": "None" }), &[]),
        RolloutStrategy::None
    );
    assert_eq!(strategy(json!({}), &[]), RolloutStrategy::Restart);
}

#[test]
fn a_rule_for_a_kind_that_is_not_rolled_is_told() {
    let rule = |kind: &str| chosen(json!({ "rules": [{ "kind": kind, "wave": 3 }] }), &[]);
    assert_eq!(rule("Deployment.apps").unwrap().wave, 3);
    assert_eq!(
        rule("Rollout").unwrap_err(),
        "spec.rollout.rules[0].kind: no workloads of kind \"Rollout\" are rolled; write one of Deployment, StatefulSet, DaemonSet, or have the operator told of it by --rollout-kinds"
    );
    let defaults = Defaults {
        kinds: "argoproj.io/v1alpha1/Rollout".parse().unwrap(),
        ..Defaults::default()
    };
    let rollout = serde_json::from_value(json!({ "rules": [{ "kind": "Rollout" }] })).unwrap();
    assert!(Policy::of(&group(), Some(&rollout), &BTreeMap::new(), &defaults).is_ok());
}

#[test]
fn the_first_rule_that_fits_counts_and_what_it_leaves_out_is_as_the_certificate_says() {
    let expression = |operator: &str, values: Value| json!({ "selector": { "matchExpressions": [{ "key": "app", "operator": operator, "values": values }] } });
    for (rule, fits) in [
        (json!({ "kind": "Deployment" }), true),
        (json!({ "kind": "StatefulSet" }), false),
        (json!({ "name": "web" }), true),
        (json!({ "name": "api" }), false),
        (json!({ "kind": "Deployment", "name": "api" }), false),
        (
            json!({ "selector": { "matchLabels": { "app": "web" } } }),
            true,
        ),
        (
            json!({ "selector": { "matchLabels": { "app": "api" } } }),
            false,
        ),
        (expression("In", json!(["web", "api"])), true),
        (expression("NotIn", json!(["web"])), false),
        (expression("Exists", json!([])), true),
        (expression("DoesNotExist", json!([])), false),
    ] {
        let with = |rule: &Value, field: &str, value: Value| {
            let mut rule = rule.clone();
            rule[field] = value;
            rule
        };
        let rules = json!([
            with(&rule, "wave", json!(3)),
            { "kind": "Deployment", "wave": 5, "strategy": "None" },
        ]);
        let choice = chosen(json!({ "strategy": "Reload", "rules": rules }), &[]).unwrap();
        let wanted = if fits {
            (3, RolloutStrategy::Reload)
        } else {
            (5, RolloutStrategy::None)
        };
        assert_eq!((choice.wave, choice.strategy), wanted, "{rule}");
    }
}

#[test]
fn without_the_certificates_word_the_namespaces_counts_then_the_operators() {
    let defaults = Defaults {
        strategy: RolloutStrategy::None,
        max_concurrent: 7,
        ..Defaults::default()
    };
    let namespace = marks(&[
        ("certwright.dev/rollout", "Reload"),
        ("certwright.dev/rollout-max-concurrent", "3"),
        ("certwright.dev/rollout-min-gap", "30s"),
    ]);
    let policy = |rollout: Value, namespace: &BTreeMap<String, String>| {
        let rollout = serde_json::from_value(rollout).unwrap();
        Policy::of(&group(), Some(&rollout), namespace, &defaults).unwrap()
    };
    let told = |policy: &Policy| {
        let strategy = policy
            .choice(&group(), &read(&deployment()))
            .unwrap()
            .strategy;
        (strategy, policy.max_concurrent, policy.min_gap.as_secs())
    };
    let own = json!({ "strategy": "Restart", "maxConcurrent": 1, "minGap": "1m" });
    assert_eq!(
        told(&policy(own, &namespace)),
        (RolloutStrategy::Restart, 1, 60)
    );
    assert_eq!(
        told(&policy(json!({}), &namespace)),
        (RolloutStrategy::Reload, 3, 30)
    );
    assert_eq!(
        told(&policy(json!({}), &BTreeMap::new())),
        (RolloutStrategy::None, 7, 0)
    );
}

#[test]
fn a_request_comes_from_the_annotation_the_rule_or_the_certificate() {
    let rollout = |in_rule: bool| {
        let mut rollout = json!({ "call": { "path": "/all", "port": 1 }, "rules": [{ "name": "web", "strategy": "Call" }] });
        if in_rule {
            rollout["rules"][0]["call"] = json!({ "path": "/rule", "port": "admin" });
        }
        rollout
    };
    let path = |rollout: Value, annotations: &[(&str, &str)]| {
        chosen(rollout, annotations).unwrap().call.unwrap().path
    };
    assert_eq!(path(rollout(true), &[("rollout-call", ":2/own")]), "/own");
    assert_eq!(path(rollout(true), &[]), "/rule");
    assert_eq!(path(rollout(false), &[]), "/all");
    // One that isn't called has none.
    assert_eq!(
        chosen(rollout(true), &[("rollout", "Restart")])
            .unwrap()
            .call,
        None
    );
    let nobody_says = chosen(json!({}), &[("rollout", "Call")]).unwrap_err();
    assert!(
        nobody_says.contains("certwright.dev/rollout-call: POST :9000"),
        "{nobody_says}"
    );
}

#[test]
fn annotations_are_read_or_refused_with_what_to_write() {
    let own_call = |text: &str| chosen(json!({ "strategy": "Call" }), &[("rollout-call", text)]);
    for (text, wanted) in [
        (
            "POST :9000/-/reload",
            call(CallMethod::Post, CallPort::Number(9000), "/-/reload"),
        ),
        (
            ":admin/",
            call(CallMethod::Post, CallPort::Name("admin".to_owned()), "/"),
        ),
        (
            "GET :80/a?b=c",
            call(CallMethod::Get, CallPort::Number(80), "/a?b=c"),
        ),
        ("PUT :1/x", call(CallMethod::Put, CallPort::Number(1), "/x")),
    ] {
        assert_eq!(own_call(text).unwrap().call, Some(wanted), "{text}");
    }
    for text in [
        "",
        "POST",
        "DELETE :80/",
        "POST 80/",
        "POST :80",
        "POST :0/",
        "POST :/x",
        "POST :80/a b",
        "http://x:80/",
        "POST :a-port-of-many-letters/",
    ] {
        let problem = own_call(text).unwrap_err();
        assert!(
            problem
                .contains("is no request; write method, port and path as in POST :9000/-/reload"),
            "{problem}"
        );
    }
    assert_eq!(
        chosen(json!({}), &[("rollout-wave", "100")]).unwrap().wave,
        100
    );
    for text in ["", "-1", "101", "first"] {
        let problem = chosen(json!({}), &[("rollout-wave", text)]).unwrap_err();
        assert!(
            problem.contains("write a number from 0 to 100"),
            "{problem}"
        );
    }
}

#[test]
fn what_cant_be_read_of_certificate_and_namespace_is_said_with_its_place() {
    for (rollout, namespace, wanted) in [
        (
            json!({ "minGap": "1d" }),
            marks(&[]),
            "spec.rollout.minGap: ",
        ),
        (
            json!({ "windows": [{ "cron": "99 * * * *", "windowDuration": "1h" }] }),
            marks(&[]),
            "spec.rollout.windows[0].cron: ",
        ),
        (
            json!({}),
            marks(&[("certwright.dev/rollout", "no")]),
            "annotation certwright.dev/rollout of the namespace: ",
        ),
        (
            json!({}),
            marks(&[("certwright.dev/rollout-max-concurrent", "0")]),
            "annotation certwright.dev/rollout-max-concurrent of the namespace: ",
        ),
        (
            json!({}),
            marks(&[("certwright.dev/rollout-min-gap", "soon")]),
            "annotation certwright.dev/rollout-min-gap of the namespace: ",
        ),
    ] {
        let rollout = serde_json::from_value(rollout).unwrap();
        let problem =
            Policy::of(&group(), Some(&rollout), &namespace, &Defaults::default()).unwrap_err();
        assert!(problem.to_string().starts_with(wanted), "{problem}");
    }
}
