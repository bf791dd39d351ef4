use super::*;

const ROLLOUT: &str = "argoproj.io/v1alpha1/Rollout";

fn kinds(text: &str) -> Result<Vec<WorkloadKind>, String> {
    let kinds: OtherKinds = text.parse()?;
    Ok(kinds.and_built_in().skip(3).collect())
}

fn kind(text: &str) -> WorkloadKind {
    kinds(text).unwrap().remove(0)
}

/// A healthy Rollout of two Pods, as its controller leaves it.
fn rollout() -> Value {
    let mut object = deployment();
    object["apiVersion"] = json!("argoproj.io/v1alpha1");
    object["kind"] = json!("Rollout");
    object["status"]["observedGeneration"] = json!("3");
    object["status"]["phase"] = json!("Healthy");
    object
}

fn read(object: &Value) -> Workload {
    Workload::from_object(kind(ROLLOUT), object)
}

fn with(changes: Value) -> Value {
    let mut object = rollout();
    for (pointer, value) in changes.as_object().unwrap() {
        let (part, field) = pointer.split_once('.').unwrap();
        object[part][field] = value.clone();
    }
    object
}

#[test]
fn kinds_are_named_by_group_version_and_kind() {
    assert_eq!(kinds(""), Ok(vec![]));
    let [one, two] = &kinds(
        "argoproj.io/v1alpha1/Rollout, farms.example.org/v1/Farm:farmsteads:.spec.job.template",
    )
    .unwrap()[..] else {
        unreachable!("there are two")
    };
    assert_eq!(one.api_version(), "argoproj.io/v1alpha1");
    assert_eq!((one.as_str(), one.plural()), ("Rollout", None));
    assert_eq!((two.as_str(), two.plural()), ("Farm", Some("farmsteads")));
    let paths = [
        "argoproj.io/v1alpha1/Rollout:rollouts",
        "argoproj.io/v1alpha1/Rollout::.spec.template",
        "argoproj.io/v1alpha1/Rollout:rollouts:",
    ];
    for path in paths {
        let WorkloadKind::Other(kind) = kind(path) else {
            unreachable!("it is none of the three")
        };
        assert_eq!(kind.template.to_string(), ".spec.template");
    }
}

#[test]
fn what_names_no_kind_is_refused_with_what_to_write() {
    for (text, advice) in [
        ("Rollout", "such as argoproj.io/v1alpha1/Rollout"),
        (
            "argoproj.io/Rollout",
            "such as argoproj.io/v1alpha1/Rollout",
        ),
        ("a.b/v1/Kind/x", "such as argoproj.io/v1alpha1/Rollout"),
        ("apps/v1/Deployment", "are rolled anyway"),
        ("batch/v1/CronJob", "nothing else of Kubernetes' own can be"),
        ("/v1/Pod", "no group of other kinds"),
        ("Argoproj.io/v1/Rollout", "no group of other kinds"),
        ("argoproj.io//Rollout", "no version, such as v1alpha1"),
        ("argoproj.io/v1/rollouts", "no kind, such as Rollout"),
        (
            "argoproj.io/v1/Rollout:Rollouts",
            "no plural, such as rollouts",
        ),
        (
            "argoproj.io/v1/Rollout:rollouts:spec.template",
            "such as .spec.template",
        ),
        (
            "argoproj.io/v1/Rollout:rollouts:.spec",
            "such as .spec.template",
        ),
        (
            "argoproj.io/v1/Rollout::.spec.a[0].b",
            "such as .spec.template",
        ),
        (
            "argoproj.io/v1/Rollout::.spec..template",
            "such as .spec.template",
        ),
        (
            "argoproj.io/v1/Rollout::.status.template",
            "such as .spec.template",
        ),
        (
            "argoproj.io/v1/Rollout,argoproj.io/v2/Rollout",
            "name each kind once",
        ),
    ] {
        let refusal = kinds(text).unwrap_err();
        assert!(refusal.contains(advice), "{text}: {refusal}");
    }
    let many: Vec<String> = (0..17).map(|n| format!("a.example/v1/Kind{n}")).collect();
    assert!(kinds(&many.join(",")).unwrap_err().contains("at most 16"));
}

#[test]
fn a_user_means_a_kind_with_or_without_its_group() {
    let rollout = kind(ROLLOUT);
    for (name, meant) in [
        ("Rollout", true),
        ("Rollout.argoproj.io", true),
        ("Rollout.apps", false),
        ("RolloutX", false),
        ("rollout", false),
        ("Deployment", false),
    ] {
        assert_eq!(rollout.is_called(name), meant, "{name}");
    }
    assert!(WorkloadKind::Deployment.is_called("Deployment.apps"));
    // Another group may have a kind of the same name: without a group, both are meant.
    let other = kind("apps.kruise.io/v1beta1/StatefulSet");
    assert!(other.is_called("StatefulSet") && WorkloadKind::StatefulSet.is_called("StatefulSet"));
    assert!(!other.is_called("StatefulSet.apps"));
}

#[test]
fn it_is_read_and_marked_where_its_template_is() {
    let mut object = rollout();
    object["kind"] = json!("Farm");
    object["spec"]["job"]["template"] = object["spec"]["template"].take();
    let farm = kind("farms.example.org/v1/Farm:farms:.spec.job.template");
    let workload = Workload::from_object(farm, &object);
    assert_eq!(workload.problem, None);
    assert!(workload.reads.contains(&web()));
    let marks = Marks {
        template: marks(&[(WEB, "one")]),
        baseline: marks(&[(WEB, "one")]),
    };
    assert_eq!(
        apply_body(&workload, &marks),
        json!({
            "apiVersion": "farms.example.org/v1",
            "kind": "Farm",
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u-web", "resourceVersion": "41",
                "annotations": { WEB: "one" },
            },
            "spec": { "job": { "template": { "metadata": { "annotations": { WEB: "one" } } } } },
        })
    );
}

#[test]
fn a_rollout_of_argo_is_as_well_as_it_says() {
    let health = |changes: Value| read(&with(changes)).health();
    assert_eq!(health(json!({})), Health::Healthy);
    for (phase, wanted) in [
        ("Progressing", Health::RollingOut),
        ("Degraded", Health::Unavailable),
        ("Paused", Health::Paused),
        // Another kind's word of the same name.
        ("Running", Health::Healthy),
    ] {
        assert_eq!(health(json!({ "status.phase": phase })), wanted, "{phase}");
    }
    assert_eq!(health(json!({ "spec.paused": true })), Health::Paused);
    // The controller hasn't seen what was written.
    assert_eq!(
        health(json!({ "status.observedGeneration": "2" })),
        Health::RollingOut
    );
    // Pods of the one before are kept for a while, and none of the new ones is left out of the status as zero.
    assert_eq!(health(json!({ "status.replicas": 4 })), Health::Healthy);
    assert_eq!(
        health(json!({ "status.updatedReplicas": null })),
        Health::RollingOut
    );
    let none = json!({ "status.availableReplicas": null, "status.readyReplicas": null });
    let none = read(&with(none));
    assert!(none.has_none_available());
    assert_eq!(none.health(), Health::Unavailable);
    assert!(read(&with(json!({ "spec.replicas": 0 }))).is_scaled_to_zero());
}

#[test]
fn other_kinds_are_read_as_far_as_they_say_something() {
    let bare = |status: Value| {
        let mut object = rollout();
        object["spec"].as_object_mut().unwrap().remove("replicas");
        object["status"] = status;
        read(&object)
    };
    for (status, wanted) in [
        (json!({}), Health::Healthy),
        (json!(null), Health::Healthy),
        (json!({ "observedGeneration": 2 }), Health::RollingOut),
        // A hash, as old controllers of Argo write it.
        (json!({ "observedGeneration": "5d4f8" }), Health::Healthy),
        (
            json!({ "replicas": 3, "updatedReplicas": 2 }),
            Health::RollingOut,
        ),
        (
            json!({ "replicas": 3, "readyReplicas": 2 }),
            Health::Unavailable,
        ),
        (
            json!({ "replicas": 3, "readyReplicas": 3 }),
            Health::Healthy,
        ),
        (
            json!({ "replicas": "many", "conditions": {} }),
            Health::Healthy,
        ),
        (condition("Reconciling", "True"), Health::RollingOut),
        (condition("Stalled", "True"), Health::Unavailable),
        (condition("Ready", "False"), Health::Unavailable),
        (condition("Ready", "Unknown"), Health::Healthy),
        (condition("Available", "True"), Health::Healthy),
    ] {
        assert_eq!(bare(status.clone()).health(), wanted, "{status}");
    }
    assert!(!bare(json!({})).is_scaled_to_zero());
    assert!(bare(condition("Stalled", "True")).is_stuck());
}

fn condition(type_: &str, status: &str) -> Value {
    json!({ "conditions": [{ "type": type_, "status": status }] })
}

#[test]
fn a_restart_that_waits_for_somebody_neither_fails_nor_ends() {
    let mut object = with(json!({ "status.phase": "Paused", "status.updatedReplicas": 1 }));
    on_template(&mut object, WEB, "new");
    on_workload(
        &mut object,
        "certwright.dev/rolled-at",
        "2026-11-02T12:00:00Z",
    );
    let pace = |object: &Value, now: &str| {
        let dependent = Dependent {
            workload: &read(object),
            begun: false,
        };
        Pace::of(at(now), &group(), &web(), &held("new"), [dependent])
    };
    let paused = pace(&object, "18:00:00");
    assert_eq!((paused.failed, paused.fails_at), (None, None));
    object["status"]["phase"] = json!("Progressing");
    assert!(pace(&object, "18:00:00").failed.is_some());
    object["status"]["phase"] = json!("Degraded");
    assert!(pace(&object, "12:00:01").failed.is_some());
    object["status"]["phase"] = json!("Healthy");
    assert_eq!(pace(&object, "18:00:00").failed, None);
}

#[test]
fn one_whose_template_is_another_workloads_is_told_where_that_one_reads_a_secret() {
    let mut object = rollout();
    object["metadata"]["name"] = json!("paced");
    object["metadata"]["uid"] = json!("u-paced");
    let spec = object["spec"].as_object_mut().unwrap();
    spec.remove("template");
    let reference = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" });
    spec.insert("workloadRef".to_owned(), reference);
    let workload = read(&object);
    let problem = workload.problem.as_deref().unwrap();
    assert!(
        problem.contains("Deployment web (workloadRef)"),
        "{problem}"
    );
    assert_eq!(workload.reads.len(), 0);

    let lender = Workload::from_object(WorkloadKind::Deployment, &deployment());
    let mut index = Index::new([]);
    assert_eq!(index.applied(&workload).len(), 0);
    index.applied(&lender);
    let name = WorkloadName::from(&workload);
    let readers = |index: &Index| -> Vec<WorkloadName> {
        let secret = web().within("shop");
        index.readers(&secret).cloned().collect()
    };
    assert_eq!(readers(&index), [WorkloadName::from(&lender), name.clone()]);
    let borrowed: Vec<_> = index.borrowed(&name).cloned().collect();
    assert_eq!(borrowed, [Source::secret("api-tls"), web()]);
    let turn = Turn::Now;
    assert_eq!(
        standing(
            at("13:00:00"),
            &group(),
            &workload,
            &web(),
            &held("new"),
            turn
        ),
        Standing::Misconfigured
    );
    // Its own change concerns the same Certificates; then it is gone.
    assert_eq!(index.applied(&workload).len(), 2);
    index.list_begins(&workload.kind);
    assert_eq!(index.list_ends(&workload.kind).len(), 2);
    assert_eq!(readers(&index), [WorkloadName::from(&lender)]);

    object["spec"]
        .as_object_mut()
        .unwrap()
        .remove("workloadRef");
    let workload = read(&object);
    assert_eq!(
        workload.problem.as_deref(),
        Some("it has no Pod template at .spec.template")
    );
    assert_eq!(workload.lender, None);
}

#[test]
fn its_pods_are_its_own_or_those_of_its_replica_sets() {
    let pod = |kind: &str, uid: &str| -> Pod {
        let owner = json!({ "apiVersion": "v1", "kind": kind, "name": "x", "uid": uid, "controller": true });
        let started = json!([{ "state": { "running": { "startedAt": "2026-11-02T10:00:00Z" } } }]);
        serde_json::from_value(json!({
            "metadata": { "ownerReferences": [owner] },
            "status": { "phase": "Running", "containerStatuses": started },
        }))
        .unwrap()
    };
    let found = |object: &Value, kind: &str, uid: &str| {
        let pods = Pods::of(&read(object), [&pod(kind, uid)]);
        pods.earliest_start.is_some()
    };
    let object = rollout();
    assert!(found(&object, "ReplicaSet", "u-rs"));
    assert!(found(&object, "Rollout", "u-web"));
    assert!(!found(&object, "Rollout", "u-other"));
    // With nothing to select by, ReplicaSets may be anybody's.
    for selector in [json!(null), json!({}), json!("app=web")] {
        let object = with(json!({ "spec.selector": selector }));
        assert!(!found(&object, "ReplicaSet", "u-rs"), "{selector}");
        assert!(found(&object, "Rollout", "u-web"), "{selector}");
    }
}
