use kube::Resource;
use serde_json::json;

use super::*;

fn reads(pod: Value) -> Vec<String> {
    let mut object = deployment();
    object["spec"]["template"]["spec"] = pod;
    let reads = read(&object).reads.into_iter();
    reads.map(|source| source.to_string()).collect()
}

#[test]
fn every_way_to_read_a_secret_counts() {
    for pod in [
        json!({ "volumes": [{ "secret": { "secretName": "a" } }] }),
        json!({ "volumes": [{ "secret": { "secretName": "a", "optional": true } }] }),
        json!({ "volumes": [{ "projected": { "sources": [{ "configMap": {} }, { "secret": { "name": "a" } }] } }] }),
        json!({ "containers": [{ "env": [{ "name": "X", "valueFrom": { "secretKeyRef": { "name": "a", "key": "k" } } }] }] }),
        json!({ "containers": [{}, { "envFrom": [{ "configMapRef": {} }, { "secretRef": { "name": "a" } }] }] }),
        json!({ "initContainers": [{ "env": [{ "valueFrom": { "secretKeyRef": { "name": "a" } } }] }] }),
        json!({ "initContainers": [{ "envFrom": [{ "secretRef": { "name": "a", "optional": true } }] }] }),
    ] {
        assert_eq!(reads(pod.clone()), ["Secret a"], "{pod}");
    }
}

#[test]
fn every_way_to_read_a_config_map_counts() {
    for pod in [
        json!({ "volumes": [{ "configMap": { "name": "a" } }] }),
        json!({ "volumes": [{ "configMap": { "name": "a", "optional": true } }, { "secret": {} }] }),
        json!({ "volumes": [{ "projected": { "sources": [{ "secret": {} }, { "configMap": { "name": "a" } }] } }] }),
        json!({ "containers": [{ "env": [{ "valueFrom": { "configMapKeyRef": { "name": "a", "key": "k" } } }] }] }),
        json!({ "containers": [{ "envFrom": [{ "configMapRef": { "name": "a" } }, { "secretRef": {} }] }] }),
        json!({ "initContainers": [{ "envFrom": [{ "configMapRef": { "name": "a" } }] }] }),
    ] {
        assert_eq!(reads(pod.clone()), ["ConfigMap a"], "{pod}");
    }
    let both = json!({ "volumes": [{ "configMap": { "name": "a" } }, { "secret": { "secretName": "a" } }] });
    assert_eq!(reads(both), ["Secret a", "ConfigMap a"]);
}

#[test]
fn what_containers_never_read_does_not_count() {
    for pod in [
        json!({ "imagePullSecrets": [{ "name": "a" }] }),
        json!({ "volumes": [{ "csi": { "driver": "d", "nodePublishSecretRef": { "name": "a" } } }] }),
        json!({ "volumes": [{ "configMap": { "name": "" } }, { "secret": { "secretName": null } }] }),
        json!({ "ephemeralContainers": [{ "envFrom": [{ "secretRef": { "name": "a" } }] }] }),
        json!({ "containers": [{ "env": [{ "name": "X", "value": "a" }], "envFrom": null }], "volumes": null }),
    ] {
        assert_eq!(reads(pod.clone()), [""; 0], "{pod}");
    }
}

#[test]
fn only_what_is_needed_is_kept() {
    let mut object = deployment();
    on_template(&mut object, WEB, "one");
    on_workload(&mut object, WEB, "two");
    on_workload(&mut object, "certwright.dev/rollout", "None");
    let workload = read(&object);
    assert_eq!(workload.template_annotations, marks(&[(WEB, "one")]));
    assert_eq!(
        *workload.annotations(),
        marks(&[("certwright.dev/rollout", "None"), (WEB, "two")])
    );
    let selector = workload.selector.as_ref().map(ToString::to_string);
    assert_eq!(selector.as_deref(), Some("app=web"));
    assert_eq!(*workload.labels(), marks(&[("app", "web")]));
    assert_eq!(workload.metadata.managed_fields, None);
    // Rules go by labels, but only of those that read a Secret.
    object["spec"]["template"]["spec"] = json!({ "volumes": [{ "configMap": { "name": "a" } }] });
    assert_eq!(read(&object).metadata.labels, None);
}

#[test]
fn a_broken_object_keeps_its_name_and_references_nothing() {
    let mut object = deployment();
    object["spec"]["replicas"] = json!("many");
    let workload = read(&object);
    assert!(workload.problem.is_some());
    assert_eq!((workload.namespace(), workload.name()), ("shop", "web"));
    assert!(workload.reads.is_empty());
    for nonsense in [json!(null), json!([1]), json!({ "metadata": 7 })] {
        assert_eq!(read(&nonsense).reads.len(), 0);
    }
}

#[test]
fn an_object_is_what_it_was_asked_for_as_and_always_decodable() {
    let mut object = deployment();
    object.as_object_mut().unwrap().remove("kind");
    let read: Object = serde_json::from_value(object.clone()).unwrap();
    let kind = WorkloadKind::DaemonSet;
    assert_eq!(
        read.workload(&kind),
        Workload::from_object(kind.clone(), &object)
    );
    assert_eq!(read.meta().name.as_deref(), Some("web"));
    assert_eq!(
        format!("{read:?}"),
        r#"Object { namespace: Some("shop"), name: Some("web"), .. }"#
    );
    for nonsense in [json!(null), json!({ "metadata": { "name": 7 } })] {
        let read: Object = serde_json::from_value(nonsense).unwrap();
        assert_eq!(read.workload(&kind).name(), "");
    }
}

#[test]
fn a_deployment_is_healthy_when_all_its_pods_are_new_and_available() {
    let cases = [
        (json!({}), Health::Healthy),
        (json!({ "observedGeneration": 2 }), Health::RollingOut),
        (json!({ "updatedReplicas": 1 }), Health::RollingOut),
        (json!({ "replicas": 3 }), Health::RollingOut),
        (json!({ "availableReplicas": 1 }), Health::Unavailable),
        (
            json!({ "updatedReplicas": 1, "availableReplicas": 1 }),
            Health::RollingOut,
        ),
    ];
    for (change, health) in cases {
        let mut object = deployment();
        for (field, value) in change.as_object().unwrap() {
            object["status"][field] = value.clone();
        }
        assert_eq!(read(&object).health(), health, "{change}");
        object["spec"]["paused"] = json!(true);
        assert_eq!(read(&object).health(), Health::Paused, "{change}");
    }
    let mut object = deployment();
    object.as_object_mut().unwrap().remove("status");
    assert_eq!(read(&object).health(), Health::RollingOut);
}

#[test]
fn a_stateful_set_is_judged_by_what_its_strategy_replaces() {
    let stateful = |strategy: Value, status: Value| {
        let object = json!({
            "metadata": { "generation": 1 },
            "spec": { "replicas": 3, "updateStrategy": strategy },
            "status": status,
        });
        Workload::from_object(WorkloadKind::StatefulSet, &object)
    };
    let partly = json!({ "observedGeneration": 1, "replicas": 3, "updatedReplicas": 1, "availableReplicas": 3 });
    let all = json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } });
    let two_stay = json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 2 } });
    let on_delete = json!({ "type": "OnDelete" });
    assert_eq!(stateful(all, partly.clone()).health(), Health::RollingOut);
    assert_eq!(stateful(two_stay, partly.clone()).health(), Health::Healthy);
    assert_eq!(
        stateful(on_delete.clone(), partly).health(),
        Health::Healthy
    );
    assert_eq!(stateful(on_delete, json!({})).health(), Health::Healthy);
}

#[test]
fn a_daemon_set_may_lack_as_many_pods_as_it_allows() {
    let daemon = |max_unavailable: Value, updated: i32, available: i32| {
        let object = json!({
            "metadata": { "generation": 1 },
            "spec": { "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": max_unavailable } } },
            "status": {
                "observedGeneration": 1, "desiredNumberScheduled": 30, "currentNumberScheduled": 30,
                "updatedNumberScheduled": updated, "numberAvailable": available,
            },
        });
        Workload::from_object(WorkloadKind::DaemonSet, &object).health()
    };
    assert_eq!(daemon(json!(1), 30, 29), Health::Healthy);
    assert_eq!(daemon(json!(1), 29, 29), Health::Healthy);
    assert_eq!(daemon(json!(1), 30, 28), Health::Unavailable);
    assert_eq!(daemon(json!(1), 28, 30), Health::RollingOut);
    assert_eq!(daemon(json!("5%"), 30, 28), Health::Healthy);
    assert_eq!(daemon(json!("5%"), 30, 27), Health::Unavailable);
    assert_eq!(daemon(json!(0), 30, 29), Health::Unavailable);
}

#[test]
fn keys_of_long_names_are_hashed_and_stay_apart() {
    let longest = "a".repeat(56);
    assert_eq!(mark_key(&group(), &web()), "certwright.dev/secret-web-tls");
    assert_eq!(
        mark_key(&group(), &Source::secret(&longest)),
        format!("certwright.dev/secret-{longest}")
    );
    let hashed = mark_key(&group(), &Source::secret("a".repeat(57)));
    // The first 20 bytes of SHA-256 of 57 times "a".
    assert_eq!(
        hashed,
        "certwright.dev/secret_f13b2d724659eb3bf47f2dd6af1accc87b81f09f"
    );
    assert_ne!(mark_key(&group(), &Source::secret("a".repeat(253))), hashed);
    // A ConfigMap of the same name is another.
    let config_map = |name: &str| mark_key(&group(), &Source::config_map(name));
    assert_eq!(config_map("web-tls"), "certwright.dev/configmap-web-tls");
    let long = config_map(&"a".repeat(54));
    assert!(long.starts_with("certwright.dev/configmap_"), "{long}");
    for key in [mark_key(&group(), &Source::secret(&longest)), hashed, long] {
        assert!(key.split_once('/').unwrap().1.len() <= 63);
        assert!(is_mark(&group(), &key));
    }
}

#[test]
fn marks_of_another_group_are_not_ours() {
    for key in [
        "example.org/secret-web-tls",
        "certwright.dev/rollout",
        "certwright.dev.evil/secret-x",
        "secret-x",
    ] {
        assert!(!is_mark(&group(), key), "{key}");
    }
}

fn pod(change: Value) -> Pod {
    let mut pod = json!({
        "metadata": { "ownerReferences": [{ "kind": "ReplicaSet", "uid": "u-rs", "name": "web-1", "apiVersion": "apps/v1", "controller": true }] },
        "status": { "phase": "Running", "startTime": "2026-11-02T08:00:00Z" },
    });
    for (pointer, value) in change.as_object().unwrap() {
        let (part, field) = pointer.split_once('.').unwrap();
        pod[part][field] = value.clone();
    }
    serde_json::from_value(pod).unwrap()
}

fn running(time: &str) -> Value {
    json!([{ "state": { "running": { "startedAt": format!("2026-11-02T{time}Z") } } }])
}

fn start_of(pods: &[Pod]) -> Option<Timestamp> {
    Pods::of(&read(&deployment()), pods).earliest_start
}

#[test]
fn the_earliest_container_counts_and_the_pod_itself_does_not() {
    assert_eq!(start_of(&[pod(json!({}))]), None);
    let first = pod(json!({ "status.containerStatuses": running("10:00:00") }));
    let second = pod(json!({
        "status.containerStatuses": running("11:00:00"),
        "status.initContainerStatuses": [{ "state": { "terminated": { "startedAt": "2026-11-02T09:00:00Z" } } }],
    }));
    assert_eq!(start_of(std::slice::from_ref(&first)), Some(at("10:00:00")));
    assert_eq!(
        start_of(&[first.clone(), second.clone()]),
        Some(at("09:00:00"))
    );
    let read_in_pages =
        Pods::of(&read(&deployment()), [&first]).and(Pods::of(&read(&deployment()), [&second]));
    assert_eq!(read_in_pages.earliest_start, Some(at("09:00:00")));
}

#[test]
fn only_current_pods_of_the_workload_count() {
    let ten = running("10:00:00");
    for change in [
        json!({ "status.containerStatuses": ten, "metadata.deletionTimestamp": "2026-11-02T12:00:00Z" }),
        json!({ "status.containerStatuses": ten, "status.phase": "Failed" }),
        json!({ "status.containerStatuses": ten, "status.phase": "Succeeded" }),
        json!({ "status.containerStatuses": ten, "metadata.ownerReferences": [] }),
        json!({ "status.containerStatuses": [{ "state": { "waiting": {} }, "lastState": { "terminated": { "startedAt": "2026-11-02T09:00:00Z" } } }] }),
        json!({ "status.containerStatuses": [{ "state": { "terminated": { "startedAt": "1970-01-01T00:00:00Z" } } }] }),
        json!({ "status.containerStatuses": [{ "state": { "terminated": { "startedAt": null } } }] }),
    ] {
        assert_eq!(start_of(&[pod(change.clone())]), None, "{change}");
    }
    let stateful = Workload::from_object(WorkloadKind::StatefulSet, &deployment());
    let owned_by = |uid: &str| {
        pod(json!({
            "status.containerStatuses": ten,
            "metadata.ownerReferences": [{ "kind": "StatefulSet", "uid": uid, "name": "web", "apiVersion": "apps/v1", "controller": true }],
        }))
    };
    assert_eq!(
        Pods::of(&stateful, [&owned_by("u-other")]).earliest_start,
        None
    );
    assert_eq!(
        Pods::of(&stateful, [&owned_by("u-web")]).earliest_start,
        Some(at("10:00:00"))
    );
}
