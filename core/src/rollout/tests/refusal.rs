use serde_json::{Value, json};

use super::*;

const NEW: &str = "new";
const OLD: &str = "old";

/// A ReplicaSet of the Deployment `web`, for a certificate.
fn replica_set(number: u32, hash: &str, fingerprint: &str) -> Value {
    json!({
        "metadata": {
            "name": format!("web-{hash}"),
            "labels": { "app": "web", "pod-template-hash": hash },
            "annotations": { "deployment.kubernetes.io/revision": number.to_string() },
            "ownerReferences": [{ "kind": "Deployment", "name": "web", "uid": "u-web", "controller": true }],
        },
        "spec": { "template": {
            "metadata": {
                "labels": { "app": "web", "pod-template-hash": hash },
                "annotations": { WEB: fingerprint },
            },
            "spec": { "containers": [{ "name": "nginx", "image": "nginx:1.29" }] },
        }},
    })
}

/// The ReplicaSets of a Deployment that was restarted for the certificate [`NEW`].
fn restarted() -> [Value; 2] {
    // As a list may have them: "10" comes before "9" there.
    [replica_set(10, NEW, NEW), replica_set(9, OLD, OLD)]
}

/// A Pod of the Deployment `web`, with its container's status.
fn pod(hash: &str, ready: bool, container: Value) -> Pod {
    let status = if ready { "True" } else { "False" };
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("web-{hash}-1"),
            "labels": { "app": "web", "pod-template-hash": hash },
            "ownerReferences": [{ "kind": "ReplicaSet", "name": format!("web-{hash}"), "uid": "u-rs", "controller": true }],
        },
        "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": status }],
            "containerStatuses": [container],
        },
    }))
    .unwrap()
}

/// A container that is started and ends, again and again.
fn crashing() -> Value {
    json!({
        "name": "nginx", "ready": false, "restartCount": 4,
        "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "exitCode": 1, "reason": "Error", "startedAt": "2026-11-02T12:05:00Z" } },
    })
}

fn running(ready: bool) -> Value {
    json!({
        "name": "nginx", "ready": ready, "restartCount": 0,
        "state": { "running": { "startedAt": "2026-11-02T12:00:30Z" } },
    })
}

fn waiting(reason: &str) -> Value {
    json!({ "name": "nginx", "ready": false, "restartCount": 0, "state": { "waiting": { "reason": reason } } })
}

fn with(mut container: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        container[key] = value.clone();
    }
    container
}

fn judge(revisions: &[Value], pods: &[Pod]) -> Result<Refusal, Unclear> {
    judge_as(WorkloadKind::Deployment, revisions, pods)
}

fn judge_as(kind: WorkloadKind, revisions: &[Value], pods: &[Pod]) -> Result<Refusal, Unclear> {
    let workload = Workload::from_object(kind, &deployment());
    let read = |object| Revision::of(&workload, object);
    let revisions: Vec<Revision> = revisions.iter().filter_map(read).collect();
    refusal(&group(), &workload, (&web(), NEW), &revisions, pods)
}

fn refused(how: Failing) -> Result<Refusal, Unclear> {
    Ok(Refusal {
        pod: "web-new-1".to_owned(),
        container: "nginx".to_owned(),
        how,
    })
}

#[test]
fn a_server_that_ends_each_time_it_reads_the_new_certificate_refuses_it() {
    let beside_old = [pod(NEW, false, crashing()), pod(OLD, true, running(true))];
    assert_eq!(
        judge(&restarted(), &beside_old),
        refused(Failing::Ends { code: 1 })
    );
    let alone = &beside_old[..1];
    assert_eq!(
        judge(&restarted(), alone),
        refused(Failing::Ends { code: 1 })
    );
    let words = judge(&restarted(), alone).unwrap().to_string();
    assert_eq!(
        words,
        "container nginx of Pod web-new-1 ends with exit code 1"
    );
}

#[test]
fn its_first_certificate_on_a_template_may_be_refused_too() {
    let mut revisions = restarted();
    // It ran with the one before by a note on the workload itself.
    revisions[1]["spec"]["template"]["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("annotations");
    let judged = judge(&revisions, &[pod(NEW, false, crashing())]);
    assert_eq!(judged, refused(Failing::Ends { code: 1 }));
}

#[test]
fn a_server_that_runs_unready_refuses_it_only_beside_a_ready_one_from_before() {
    let unready = pod(NEW, false, running(false));
    let beside_old = [unready.clone(), pod(OLD, true, running(true))];
    assert_eq!(judge(&restarted(), &beside_old), refused(Failing::Unready));
    assert_eq!(judge(&restarted(), &[unready]), Err(Unclear::NoneFails));
    let words = judge(&restarted(), &beside_old).unwrap().to_string();
    assert_eq!(
        words,
        "container nginx of Pod web-new-1 runs and does not get ready"
    );
}

#[test]
fn what_an_init_container_refuses_is_refused() {
    let check = with(crashing(), json!({ "name": "check" }));
    let pod = serde_json::from_value(json!({
        "metadata": {
            "name": "web-new-1",
            "labels": { "app": "web", "pod-template-hash": NEW },
            "ownerReferences": [{ "kind": "ReplicaSet", "name": "web-new", "uid": "u-rs", "controller": true }],
        },
        "status": {
            "phase": "Pending",
            "initContainerStatuses": [check],
            "containerStatuses": [waiting("PodInitializing")],
        },
    }));
    let judged = judge(&restarted(), &[pod.unwrap()]).unwrap();
    assert_eq!(
        (judged.container.as_str(), judged.how),
        ("check", Failing::Ends { code: 1 })
    );
}

#[test]
fn a_broken_image_or_setting_is_no_refusal() {
    let beside = pod(NEW, false, crashing());
    for reason in [
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    ] {
        let pods = [beside.clone(), pod(NEW, false, waiting(reason))];
        let unclear = Unclear::DoesNotRun {
            pod: "web-new-1".to_owned(),
            reason: reason.to_owned(),
        };
        assert_eq!(judge(&restarted(), &pods), Err(unclear), "{reason}");
    }
}

#[test]
fn an_end_that_is_not_its_own_doing_is_no_refusal() {
    let ended = |code: i32, reason: &str, started: &str| {
        let state =
            json!({ "terminated": { "exitCode": code, "reason": reason, "startedAt": started } });
        [pod(
            NEW,
            false,
            with(crashing(), json!({ "lastState": state })),
        )]
    };
    let noon = "2026-11-02T12:05:00Z";
    for pods in [
        ended(0, "Completed", noon),
        ended(137, "Error", noon),
        ended(143, "Error", noon),
        ended(1, "OOMKilled", noon),
        ended(128, "StartError", noon),
        // It never ran.
        ended(1, "Error", "1970-01-01T00:00:00Z"),
    ] {
        assert_eq!(
            judge(&restarted(), &pods),
            Err(Unclear::NoneFails),
            "{pods:?}"
        );
    }
    assert_eq!(
        judge(&restarted(), &ended(139, "Error", noon)),
        refused(Failing::Ends { code: 139 })
    );
}

#[test]
fn one_end_may_be_an_accident() {
    let once = with(crashing(), json!({ "restartCount": 1 }));
    assert_eq!(
        judge(&restarted(), &[pod(NEW, false, once)]),
        Err(Unclear::NoneFails)
    );
    let twice = with(crashing(), json!({ "restartCount": 2 }));
    assert!(judge(&restarted(), &[pod(NEW, false, twice)]).is_ok());
}

#[test]
fn what_one_pod_accepts_is_not_refused() {
    let pods = [pod(NEW, false, crashing()), pod(NEW, true, running(true))];
    let accepted = Unclear::Accepted("web-new-1".to_owned());
    assert_eq!(judge(&restarted(), &pods), Err(accepted));
}

#[test]
fn what_pods_from_before_suffer_from_too_is_not_the_certificate() {
    let pods = [pod(NEW, false, crashing()), pod(OLD, false, crashing())];
    assert_eq!(judge(&restarted(), &pods), Err(Unclear::OthersNeither));
}

#[test]
fn what_came_with_another_change_is_not_laid_to_the_certificate() {
    let pods = [pod(NEW, false, crashing()), pod(OLD, true, running(true))];
    let changed = |pointer: &str, value: &str| {
        let mut revisions = restarted();
        *revisions[0].pointer_mut(pointer).unwrap() = json!(value);
        judge(&revisions, &pods)
    };
    let image = "/spec/template/spec/containers/0/image";
    assert_eq!(changed(image, "nginx:1.30"), Err(Unclear::TemplateChanged));
    let label = "/spec/template/metadata/labels/app";
    assert_eq!(changed(label, "other"), Err(Unclear::TemplateChanged));
    let annotated = |key: &str| {
        let mut revisions = restarted();
        revisions[0]["spec"]["template"]["metadata"]["annotations"][key] = json!("x");
        judge(&revisions, &pods)
    };
    let by_hand = "kubectl.kubernetes.io/restartedAt";
    assert_eq!(annotated(by_hand), Err(Unclear::TemplateChanged));
    assert_eq!(annotated(API), Err(Unclear::OtherMarks));
}

#[test]
fn only_the_newest_template_and_the_one_before_count() {
    let pods = [pod(NEW, false, crashing())];
    // Its owner changed it since, and the mark stayed.
    let mut since = replica_set(11, "since", NEW);
    since["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:1.30");
    let [new, old] = restarted();
    let three = [old.clone(), since, new.clone()];
    assert_eq!(judge(&three, &pods), Err(Unclear::TemplateChanged));
    // It runs with another certificate by now.
    let another = replica_set(11, "another", "another");
    assert_eq!(
        judge(&[another, new.clone(), old.clone()], &pods),
        Err(Unclear::NotMarked)
    );
    // One of longer ago.
    let mut older = replica_set(8, "older", "older");
    older["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:1.28");
    assert!(judge(&[older, new.clone(), old], &pods).is_ok());
    assert_eq!(
        judge(std::slice::from_ref(&new), &pods),
        Err(Unclear::NothingBefore)
    );
    let same = replica_set(9, OLD, NEW);
    assert_eq!(judge(&[new, same], &pods), Err(Unclear::NoOtherBefore));
}

#[test]
fn revisions_of_others_are_not_read() {
    let [new, mut old] = restarted();
    old["metadata"]["ownerReferences"][0]["uid"] = json!("u-other");
    let pods = [pod(NEW, false, crashing())];
    assert_eq!(judge(&[new, old], &pods), Err(Unclear::NothingBefore));
}

/// A ControllerRevision, as StatefulSets and DaemonSets keep them.
fn controller_revision(number: u32, hash: &str) -> Value {
    let mut template = replica_set(number, hash, hash)["spec"]["template"].take();
    template["$patch"] = json!("replace");
    let labels = template["metadata"]["labels"].as_object_mut().unwrap();
    labels.remove("pod-template-hash");
    json!({
        "metadata": {
            "name": format!("web-{hash}"),
            "labels": { "controller-revision-hash": hash },
            "ownerReferences": [{ "kind": "StatefulSet", "name": "web", "uid": "u-web", "controller": true }],
        },
        "revision": number,
        "data": { "spec": { "template": template } },
    })
}

#[test]
fn stateful_sets_and_daemon_sets_are_judged_by_their_controller_revisions() {
    let revisions = [controller_revision(9, OLD), controller_revision(10, NEW)];
    let owned = |label: &str| {
        let pod = json!({
            "metadata": {
                "name": "web-new-1",
                "labels": { "app": "web", "controller-revision-hash": label },
                "ownerReferences": [{ "kind": "StatefulSet", "name": "web", "uid": "u-web", "controller": true }],
            },
            "status": { "phase": "Running", "containerStatuses": [crashing()] },
        });
        [serde_json::from_value::<Pod>(pod).unwrap()]
    };
    // A StatefulSet's Pods name the whole revision, a DaemonSet's its hash.
    for (kind, label, other) in [
        (WorkloadKind::StatefulSet, "web-new", NEW),
        (WorkloadKind::DaemonSet, NEW, "web-new"),
    ] {
        let judged = judge_as(kind.clone(), &revisions, &owned(label));
        assert_eq!(judged, refused(Failing::Ends { code: 1 }), "{kind:?}");
        let judged = judge_as(kind.clone(), &revisions, &owned(other));
        assert_eq!(judged, Err(Unclear::NoneFails), "{kind:?}");
    }
}
