use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::json;

use super::*;
use crate::api::certificate::{CallPort, RolloutStrategy};
use crate::pki::testing;

const TRUST: &str = "certwright.dev/configmap-trust";

fn config_map(object: Value) -> Foreign {
    let config_map: ConfigMap = serde_json::from_value(object).unwrap();
    Foreign::of_config_map(&group(), &config_map)
}

fn secret(type_: &str, data: Value) -> Foreign {
    let secret = json!({ "metadata": { "name": "x" }, "type": type_, "stringData": data });
    let mut secret: Secret = serde_json::from_value(secret).unwrap();
    let data = secret.string_data.take().unwrap().into_iter();
    let bytes = data.map(|(key, text)| (key, k8s_openapi::ByteString(text.into_bytes())));
    secret.data = Some(bytes.collect());
    Foreign::of_secret(&group(), &secret)
}

#[test]
fn all_data_and_nothing_else_makes_the_fingerprint() {
    let bundle = |data: Value| config_map(json!({ "metadata": {}, "data": data })).fingerprint;
    let plain = bundle(json!({ "ca.crt": "one" }));
    // SHA-256 of both, each with its length in eight bytes before it.
    assert_eq!(
        plain,
        "657b9f7fe6dc6662430b0954b3e3aeeebf8c293db22b0e5c318df234ee3e54ac"
    );
    let dressed = config_map(json!({
        "metadata": { "name": "other", "labels": { "a": "b" }, "annotations": { "c": "d" }, "resourceVersion": "7" },
        "data": { "ca.crt": "one" }, "immutable": false,
    }));
    assert_eq!(dressed.fingerprint, plain);
    for other in [
        json!({ "ca.crt": "two" }),
        json!({ "ca.crto": "ne" }),
        json!({ "ca.crt": "one", "more": "" }),
        json!({}),
    ] {
        assert_ne!(bundle(other.clone()), plain, "{other}");
    }
    // The same bytes, wherever they are.
    let binary = config_map(json!({ "metadata": {}, "binaryData": { "ca.crt": "b25l" } }));
    assert_eq!(binary.fingerprint, plain);
    assert_eq!(
        secret("Opaque", json!({ "ca.crt": "one" })).fingerprint,
        plain
    );
}

#[test]
fn of_a_tls_secret_the_leaf_makes_the_fingerprint() {
    let leaf = testing::self_signed(&testing::leaf(&["web.example.com"]), &testing::key());
    let pem = testing::pem(&[&leaf]);
    let tls = |ca: &str| {
        secret(
            "kubernetes.io/tls",
            json!({ "tls.crt": pem, "tls.key": "k", "ca.crt": ca }),
        )
    };
    assert_eq!(tls("a").fingerprint, leaf.fingerprint.to_string());
    assert_eq!(tls("b").fingerprint, tls("a").fingerprint);
    let unreadable = |key: &str| {
        secret(
            "kubernetes.io/tls",
            json!({ "tls.crt": "-", "tls.key": key }),
        )
    };
    assert_ne!(unreadable("a").fingerprint, unreadable("b").fingerprint);
    let opaque = |ca: &str| secret("Opaque", json!({ "tls.crt": pem, "ca.crt": ca }));
    assert_ne!(opaque("a").fingerprint, opaque("b").fingerprint);
}

#[test]
fn the_last_write_of_data_is_when_it_was_written_and_nothing_of_it_is_kept() {
    let entry =
        |time: &str, fields: Value| json!({ "manager": "m", "time": time, "fieldsV1": fields });
    let managed = json!([
        entry("2026-11-02T10:00:00Z", json!({ "f:data": { "f:a": {} } })),
        entry(
            "2026-11-02T11:00:00Z",
            json!({ "f:binaryData": {}, "f:metadata": {} })
        ),
        entry(
            "2026-11-02T12:00:00Z",
            json!({ "f:metadata": { "f:labels": {} } })
        ),
    ]);
    let foreign = config_map(json!({
        "metadata": {
            "name": "trust", "namespace": "shop", "uid": "u", "resourceVersion": "7", "managedFields": managed,
            "labels": { "certwright.dev/rollout": "true", "app": "x" },
            "annotations": { "certwright.dev/rollout": "Reload", "kubectl.kubernetes.io/last-applied-configuration": "secret" },
        },
        "data": { "a": "secret" },
    }));
    assert_eq!(foreign.written_at, Some(at("11:00:00")));
    assert_eq!(foreign.name(), Source::config_map("trust").within("shop"));
    assert_eq!(
        foreign.metadata.labels,
        Some(marks(&[("certwright.dev/rollout", "true")]))
    );
    assert_eq!(
        foreign.metadata.annotations,
        Some(marks(&[("certwright.dev/rollout", "Reload")]))
    );
    assert!(!format!("{foreign:?}").contains("secret"));
    assert_eq!(config_map(json!({ "metadata": {} })).written_at, None);
}

#[test]
fn its_label_says_true_or_false() {
    let labelled = |text: &str| {
        let labels = json!({ "certwright.dev/rollout": text });
        config_map(json!({ "metadata": { "labels": labels } })).is_wanted(&group())
    };
    assert_eq!(labelled("true"), Ok(true));
    assert_eq!(labelled("false"), Ok(false));
    for text in ["", "True", "Restart"] {
        let problem = labelled(text).unwrap_err().to_string();
        assert!(
            problem.starts_with("label certwright.dev/rollout: ")
                && problem.contains("is neither true nor false"),
            "{problem}"
        );
    }
}

#[test]
fn its_annotations_count_then_its_namespaces_then_what_the_operator_is_started_with() {
    let defaults = Defaults {
        max_concurrent: 7,
        ..Defaults::default()
    };
    let namespace = marks(&[
        ("certwright.dev/rollout", "no such thing"),
        ("certwright.dev/rollout-min-gap", "30s"),
    ]);
    let policy = |annotations: Value, namespace: &BTreeMap<String, String>| {
        config_map(json!({ "metadata": { "annotations": annotations } })).policy(
            &group(),
            namespace,
            &defaults,
        )
    };
    let own = json!({
        "certwright.dev/rollout": "Call",
        "certwright.dev/rollout-call": "PUT :80/again",
        "certwright.dev/rollout-max-concurrent": "2",
    });
    let said = policy(own, &namespace).unwrap();
    assert_eq!((said.max_concurrent, said.min_gap.as_secs()), (2, 30));
    let choice = said.choice(&group(), &read(&deployment())).unwrap();
    assert_eq!(choice.strategy, RolloutStrategy::Call);
    assert_eq!(choice.call.unwrap().port, CallPort::Number(80));
    let plain = policy(json!({}), &BTreeMap::new()).unwrap();
    assert_eq!((plain.max_concurrent, plain.min_gap.as_secs()), (7, 0));
    for (key, text, wanted) in [
        (
            "rollout",
            "true",
            "annotation certwright.dev/rollout of the ConfigMap: ",
        ),
        (
            "rollout-call",
            "x",
            "annotation certwright.dev/rollout-call of the ConfigMap: ",
        ),
        (
            "rollout-max-concurrent",
            "0",
            "annotation certwright.dev/rollout-max-concurrent of the ConfigMap: ",
        ),
        (
            "rollout-min-gap",
            "1d",
            "annotation certwright.dev/rollout-min-gap of the ConfigMap: ",
        ),
    ] {
        let annotations = json!({ format!("certwright.dev/{key}"): text });
        let problem = policy(annotations, &BTreeMap::new())
            .unwrap_err()
            .to_string();
        assert!(problem.starts_with(wanted), "{problem}");
    }
    let problem = policy(json!({}), &namespace).unwrap_err().to_string();
    assert!(
        problem.starts_with("annotation certwright.dev/rollout of the namespace: "),
        "{problem}"
    );
}

/// What is planned for a Deployment that mounts the ConfigMap `trust` and has this mark on its template. Its Pods started at
/// eleven.
fn plan(mark: Option<&str>, held: Held) -> RolloutPlan {
    let mut object = deployment();
    object["spec"]["template"]["spec"] =
        json!({ "volumes": [{ "configMap": { "name": "trust" } }] });
    if let Some(mark) = mark {
        on_template(&mut object, TRUST, mark);
    }
    let held = BTreeMap::from([(Source::config_map("trust"), held)]);
    plan_rollout(
        at("13:00:00"),
        &Inputs {
            group: &group(),
            workload: &read(&object),
            held: &held,
            pods: Some(Pods {
                earliest_start: Some(at("11:00:00")),
            }),
        },
    )
}

/// Written at noon.
fn written(first_seen: bool) -> Held {
    Held {
        certificate: None,
        first_seen,
        not_after: None,
        ..held("new")
    }
}

#[test]
fn labelling_rolls_nothing_and_a_change_that_was_seen_or_marked_does() {
    let noted = RolloutPlan::Baseline {
        marks: Marks {
            template: marks(&[]),
            baseline: marks(&[(TRUST, "new")]),
        },
    };
    assert_eq!(plan(None, written(true)), noted);
    let unknown = Held {
        issued_at: None,
        ..written(true)
    };
    assert_eq!(plan(None, unknown.clone()), noted);
    let rolled = RolloutPlan::Roll {
        marks: Marks {
            template: marks(&[(TRUST, "new")]),
            baseline: marks(&[
                ("certwright.dev/rolled-at", "2026-11-02T13:00:00Z"),
                (TRUST, "new"),
            ]),
        },
        sources: vec![Source::config_map("trust")],
        paced: true,
    };
    assert_eq!(plan(None, written(false)), rolled);
    for held in [written(true), written(false), unknown] {
        assert_eq!(plan(Some("old"), held), rolled);
    }
    assert_eq!(plan(Some("new"), written(false)), RolloutPlan::Nothing);
    // Its Pods are younger than what is new.
    let older = Held {
        issued_at: Some(at("10:00:00")),
        ..written(true)
    };
    assert!(matches!(
        plan(Some("old"), older),
        RolloutPlan::Baseline { .. }
    ));
}

#[test]
fn what_is_not_ours_ends_at_no_time_that_windows_go_by() {
    let mut object = deployment();
    object["spec"]["template"]["spec"]["volumes"] =
        json!([{ "configMap": { "name": "trust" } }, { "secret": { "secretName": "web-tls" } }]);
    let held = BTreeMap::from([
        (Source::config_map("trust"), written(true)),
        (web(), held("web")),
    ]);
    let plan = plan_rollout(
        at("13:00:00"),
        &Inputs {
            group: &group(),
            workload: &read(&object),
            held: &held,
            pods: Some(Pods {
                earliest_start: Some(at("12:30:00")),
            }),
        },
    );
    let RolloutPlan::Baseline { marks } = plan else {
        panic!("{plan:?}");
    };
    assert_eq!(
        marks.baseline["certwright.dev/runs-until"],
        "2027-01-31T12:00:00Z"
    );
}
