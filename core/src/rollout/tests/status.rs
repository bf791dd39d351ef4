use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::*;
use crate::api::certificate::{
    HostState, RefusedStatus, RolloutStatus, WorkloadState, WorkloadStatus,
};
use crate::api::{Certificate, CertificateStatus, Condition, ConditionStatus};

fn certificate() -> Certificate {
    let mut certificate = Certificate::default();
    certificate.metadata.name = Some("web".to_owned());
    certificate.metadata.namespace = Some("shop".to_owned());
    certificate.metadata.uid = Some("u-cert".to_owned());
    certificate.metadata.resource_version = Some("7".to_owned());
    certificate.metadata.generation = Some(2);
    certificate.spec.secret_name = "web-tls".to_owned();
    certificate
}

fn named(name: &str, change: impl FnOnce(&mut Value)) -> Workload {
    let mut object = deployment();
    object["metadata"]["name"] = json!(name);
    change(&mut object);
    read(&object)
}

fn done(name: &str) -> Workload {
    named(name, |object| on_workload(object, WEB, "new"))
}

fn tell(workloads: &[Workload]) -> Option<Carried> {
    tell_of(&certificate(), &held("new"), workloads)
}

fn tell_of(certificate: &Certificate, held: &Held, workloads: &[Workload]) -> Option<Carried> {
    tell_found(certificate, held, workloads, &Proven::default())
}

fn tell_found(
    certificate: &Certificate,
    held: &Held,
    workloads: &[Workload],
    proven: &Proven,
) -> Option<Carried> {
    let dependents = workloads.iter().map(|workload| Dependent {
        workload,
        begun: false,
    });
    let now = at("13:00:00");
    let pace = Pace::of(now, &group(), &web(), held, dependents.clone());
    carried(
        now,
        &group(),
        certificate,
        held,
        dependents,
        (&pace, false),
        proven,
    )
}

/// The condition `RolledOut`.
fn rolled_out(told: &Carried) -> &Condition {
    assert_eq!(told.conditions[0].type_, ROLLED_OUT);
    &told.conditions[0]
}

/// Kind, name, state and reason of the workloads that are told.
fn workloads(told: &Carried) -> Vec<(&str, WorkloadState, &str)> {
    let told = told.status.workloads.iter();
    told.map(|told| {
        assert_eq!(told.kind, "Deployment");
        let reason = told.reason.as_deref().unwrap_or_default();
        (told.name.as_str(), told.state, reason)
    })
    .collect()
}

/// One that was restarted then, and of which one Pod is not available since.
fn restarted(name: &str, time: &str) -> Workload {
    named(name, |object| {
        on_template(object, WEB, "new");
        on_workload(object, "certwright.dev/rolled-at", &at(time).to_string());
        object["status"]["availableReplicas"] = json!(1);
    })
}

#[test]
fn who_waits_for_its_turn_is_told_what_for() {
    let held = |rollout: Value| Held {
        policy: policy(rollout),
        ..held("new")
    };
    let due = || named("b", |_| ());
    let tell =
        |held: &Held, workloads: &[Workload]| tell_of(&certificate(), held, workloads).unwrap();
    let one = held(json!({ "maxConcurrent": 1 }));
    let told = tell(&one, &[restarted("a", "12:55:00"), due()]);
    let (rolling, waiting) = (WorkloadState::Rolling, WorkloadState::Waiting);
    let wanted = [("a", rolling, "RollingOut"), ("b", waiting, "Busy")];
    assert_eq!(workloads(&told), wanted);
    let second = held(json!({ "rules": [{ "name": "b", "wave": 1 }] }));
    let told = tell(&second, &[named("a", |_| ()), due()]);
    let wanted = [("a", waiting, "Pending"), ("b", waiting, "NextWave")];
    assert_eq!(workloads(&told), wanted);
    let window = json!({ "cron": "0 22 * * *", "windowDuration": "2h" });
    let nightly = held(json!({ "windows": [window] }));
    let lasts = named("b", |object| {
        on_workload(object, "certwright.dev/runs-until", "2026-12-01T00:00:00Z");
    });
    let told = tell(&nightly, &[lasts]);
    assert_eq!(workloads(&told), [("b", waiting, "Window")]);
    let message = &rolled_out(&told).message;
    assert!(
        message.contains("b (Window until 2026-11-02T22:00:00Z)"),
        "{message}"
    );
    let called = held(json!({ "strategy": "Call", "call": { "path": "/", "port": 80 } }));
    let told = tell(&called, &[due()]);
    assert_eq!(workloads(&told), [("b", rolling, "Calling")]);
}

#[test]
fn a_halt_is_told_with_who_caused_it_even_if_nobody_waits() {
    for others in [vec![], vec![named("b", |_| ())]] {
        let all: Vec<_> = others
            .into_iter()
            .chain([restarted("a", "12:50:00")])
            .collect();
        let told = tell(&all).unwrap();
        let condition = rolled_out(&told);
        assert_eq!(condition.reason, "Halted");
        assert_eq!(condition.status, ConditionStatus::False);
        let message = &condition.message;
        assert!(
            message.contains("the Pods of Deployment a did not come up"),
            "{message}"
        );
        let mut wanted = vec![("a", WorkloadState::Halted, "Unavailable")];
        if all.len() == 2 {
            wanted.push(("b", WorkloadState::Halted, "Halted"));
        }
        assert_eq!(workloads(&told), wanted);
    }
}

#[test]
fn who_refuses_it_is_told_as_long_as_nothing_else_is_known() {
    let refuses = Proven {
        refused: Some((
            WorkloadName::from(&named("a", |_| ())),
            "container web of Pod a-1 ends with exit code 1".to_owned(),
        )),
        ..Proven::default()
    };
    let mut certificate = certificate();
    let failed = [restarted("a", "12:50:00")];
    let told = tell_found(&certificate, &held("new"), &failed, &refuses).unwrap();
    let wanted = RefusedStatus {
        fingerprint: "new".to_owned(),
        kind: "Deployment".to_owned(),
        name: "a".to_owned(),
        message: "container web of Pod a-1 ends with exit code 1".to_owned(),
        since: Time(at("13:00:00")),
    };
    assert_eq!(told.status.refused.as_ref(), Some(&wanted));
    let message = &rolled_out(&told).message;
    assert!(
        message.contains("Deployment a refuses the certificate: container web of Pod a-1"),
        "{message}"
    );
    certificate.status = Some(CertificateStatus {
        rollout: Some(RolloutStatus {
            refused: Some(RefusedStatus {
                since: Time(at("12:59:00")),
                ..wanted
            }),
            ..told.status
        }),
        ..CertificateStatus::default()
    });
    // It is not looked at again.
    let told = tell_of(&certificate, &held("new"), &failed).unwrap();
    let since = told.status.refused.map(|refused| refused.since);
    assert_eq!(since, Some(Time(at("12:59:00"))));
    // Of another certificate, or once it is well, it says nothing.
    let told = tell_of(&certificate, &held("newer"), &failed).unwrap();
    assert_eq!(told.status.refused, None);
    let told = tell_of(&certificate, &held("new"), &[done("a")]).unwrap();
    assert_eq!(told.status.refused, None);
}

#[test]
fn standings() {
    let stateful = |strategy: Value, on: fn(&mut Value, &str, &str)| {
        let mut object = deployment();
        object["spec"]["updateStrategy"] = strategy;
        object["status"]["updatedReplicas"] = json!(1);
        on(&mut object, WEB, "new");
        Workload::from_object(WorkloadKind::StatefulSet, &object)
    };
    let on_delete = json!({ "type": "OnDelete" });
    let partition = json!({ "rollingUpdate": { "partition": 1 } });
    for (workload, wanted) in [
        (done("web"), Standing::UpToDate),
        (named("web", |_| ()), Standing::Pending),
        (
            named("web", |object| {
                on_workload(object, "certwright.dev/rollout", "None")
            }),
            Standing::OptedOut,
        ),
        (
            named("web", |object| object["spec"]["paused"] = json!(true)),
            Standing::Paused,
        ),
        (
            named("web", |object| {
                object["status"]["updatedReplicas"] = json!(1)
            }),
            Standing::RollingOut,
        ),
        (
            named("web", |object| {
                object["status"]["availableReplicas"] = json!(1)
            }),
            Standing::Unavailable,
        ),
        (
            named("web", |object| {
                on_workload(object, "certwright.dev/rollout", "Reboot")
            }),
            Standing::Misconfigured,
        ),
        (restarted("web", "12:55:00"), Standing::RollingOut),
        (restarted("web", "12:50:00"), Standing::Failed),
        (
            named("web", |object| object["spec"]["paused"] = json!("yes")),
            Standing::Unreadable,
        ),
        (stateful(on_delete.clone(), on_template), Standing::OnDelete),
        (stateful(on_delete, on_workload), Standing::UpToDate),
        (stateful(partition, on_template), Standing::Partition),
        (stateful(json!({}), on_template), Standing::UpToDate),
    ] {
        assert_eq!(
            standing(
                at("13:00:00"),
                &group(),
                &workload,
                &web(),
                &held("new"),
                Turn::Now
            ),
            wanted
        );
    }
}

fn healthy(name: &str) -> WorkloadStatus {
    WorkloadStatus {
        kind: "Deployment".to_owned(),
        name: name.to_owned(),
        state: WorkloadState::Healthy,
        reason: None,
        message: None,
        since: Time(at("13:00:00")),
    }
}

#[test]
fn all_up_to_date_is_rolled_out() {
    let told = tell(&[done("a"), done("b")]).unwrap();
    assert_eq!(
        told.status,
        RolloutStatus {
            fingerprint: Some("new".to_owned()),
            dependents: 2,
            up_to_date: 2,
            served: 0,
            stale_endpoints: 0,
            refused: None,
            workloads: ["a", "b"].map(healthy).to_vec(),
            hosts: Vec::new(),
        }
    );
    assert_eq!(
        *rolled_out(&told),
        Condition {
            type_: "RolledOut".to_owned(),
            status: ConditionStatus::True,
            observed_generation: Some(2),
            last_transition_time: Time(at("13:00:00")),
            reason: "RolledOut".to_owned(),
            message: "2 of 2 workloads run with the held certificate".to_owned(),
        }
    );
}

#[test]
fn those_that_wait_are_named_with_the_reason() {
    let opted_out = named("c", |object| {
        on_workload(object, "certwright.dev/rollout", "None")
    });
    let told = tell(&[opted_out, named("b", |_| ()), done("a")]).unwrap();
    assert_eq!(
        workloads(&told),
        [
            ("b", WorkloadState::Waiting, "Pending"),
            ("a", WorkloadState::Healthy, "")
        ]
    );
    assert_eq!((told.status.dependents, told.status.up_to_date), (3, 1));
    assert_eq!(
        (rolled_out(&told).status, rolled_out(&told).reason.as_str()),
        (ConditionStatus::False, "RollingOut")
    );
    assert_eq!(
        rolled_out(&told).message,
        "1 of 2 workloads run with the held certificate; waiting: Deployment b (Pending); 1 opted out",
    );
    let paused = named("d", |object| object["spec"]["paused"] = json!(true));
    assert_eq!(rolled_out(&tell(&[paused]).unwrap()).reason, "Waiting");
}

#[test]
fn at_most_twenty_are_named_and_the_message_stays_short() {
    let many: Vec<Workload> = (0..30)
        .map(|number| named(&format!("w{number:02}"), |_| ()))
        .collect();
    let told = tell(&many).unwrap();
    assert_eq!(
        (told.status.dependents, told.status.workloads.len()),
        (30, 20)
    );
    let first = ("w00", WorkloadState::Waiting, "Pending");
    assert_eq!(workloads(&told)[0], first);
    let message = &rolled_out(&told).message;
    assert!(
        message.ends_with("Deployment w02 (Pending), …"),
        "{message}"
    );
}

#[test]
fn nothing_is_told_where_no_dependent_is_followed() {
    assert_eq!(tell(&[]), None);
    let opted_out = named("web", |object| {
        on_workload(object, "certwright.dev/rollout", "None")
    });
    assert_eq!(tell(&[opted_out]), None);
    let deleting = named("web", |object| {
        object["metadata"]["deletionTimestamp"] = json!("2026-11-02T12:00:00Z")
    });
    assert_eq!(tell(&[deleting]), None);
    assert_eq!(status_body(&group(), &certificate(), None), None);
}

fn told_before(carried: &Carried) -> Certificate {
    let ready = Condition {
        type_: "Ready".to_owned(),
        ..carried.conditions[0].clone()
    };
    let conditions = [ready].into_iter().chain(carried.conditions.clone());
    Certificate {
        status: Some(CertificateStatus {
            rollout: Some(carried.status.clone()),
            conditions: conditions.collect(),
            ..CertificateStatus::default()
        }),
        ..certificate()
    }
}

#[test]
fn only_changes_are_written_and_only_what_is_ours() {
    let told = tell(&[done("web")]).unwrap();
    assert_eq!(
        status_body(&group(), &told_before(&told), Some(&told)),
        None
    );
    let metadata =
        json!({ "name": "web", "namespace": "shop", "uid": "u-cert", "resourceVersion": "7" });
    assert_eq!(
        status_body(&group(), &certificate(), Some(&told)),
        Some(json!({
            "apiVersion": "certwright.dev/v1alpha1",
            "kind": "Certificate",
            "metadata": metadata,
            "status": {
                "rollout": {
                    "fingerprint": "new", "dependents": 1, "upToDate": 1, "served": 0, "staleEndpoints": 0,
                    "workloads": [{ "kind": "Deployment", "name": "web", "state": "Healthy", "since": "2026-11-02T13:00:00Z" }],
                },
                "conditions": [{
                    "type": "RolledOut", "status": "True", "observedGeneration": 2,
                    "lastTransitionTime": "2026-11-02T13:00:00Z", "reason": "RolledOut",
                    "message": "1 of 1 workloads run with the held certificate",
                }, {
                    "type": "Served", "status": "Unknown", "observedGeneration": 2,
                    "lastTransitionTime": "2026-11-02T13:00:00Z", "reason": "NotSeen",
                    "message": "0 of 1 were seen to serve the held certificate; Deployment web",
                }],
            },
        })),
    );
    let withdrawn = status_body(&group(), &told_before(&told), None).unwrap();
    assert_eq!(withdrawn["status"], json!({}));
}

#[test]
fn the_transition_time_stays_while_the_status_does() {
    let told = tell(&[named("web", |_| ())]).unwrap();
    let later = |workload: &Workload| {
        let dependent = Dependent {
            workload,
            begun: false,
        };
        carried(
            at("14:00:00"),
            &group(),
            &told_before(&told),
            &held("new"),
            [dependent],
            (&Pace::default(), false),
            &Proven::default(),
        )
        .unwrap()
        .conditions
        .remove(0)
    };
    let paused = later(&named("web", |object| {
        object["spec"]["paused"] = json!(true)
    }));
    assert_eq!(
        (paused.reason.as_str(), paused.last_transition_time.0),
        ("Waiting", at("13:00:00"))
    );
    assert_eq!(later(&done("web")).last_transition_time.0, at("14:00:00"));
}

fn proven(name: &str, verdict: Verdict) -> Proven {
    let workload = WorkloadName::from(&done(name));
    Proven {
        workloads: BTreeMap::from([(workload, verdict)]),
        ..Proven::default()
    }
}

fn saw(outcome: Outcome, stale: usize, message: Option<&str>) -> Verdict {
    Verdict {
        outcome,
        stale,
        message: message.map(str::to_owned),
    }
}

fn tell_proven(
    certificate: &Certificate,
    held: &Held,
    workloads: &[Workload],
    proven: &Proven,
) -> Option<Carried> {
    let dependents = workloads.iter().map(|workload| Dependent {
        workload,
        begun: false,
    });
    let pace = (&Pace::default(), false);
    let now = at("14:00:00");
    carried(now, &group(), certificate, held, dependents, pace, proven)
}

/// Status and reason of the condition `Served`, and its message.
fn served(told: &Carried) -> (ConditionStatus, &str, &str) {
    let served = told.conditions.last().unwrap();
    assert_eq!(served.type_, SERVED);
    (served.status, &served.reason, &served.message)
}

#[test]
fn what_was_seen_to_be_served_is_told() {
    for (verdict, state, stale, status, reason) in [
        (
            saw(Outcome::Served, 0, None),
            (WorkloadState::Served, ""),
            0,
            ConditionStatus::True,
            "Served",
        ),
        (
            saw(Outcome::Stale, 3, Some("Pod web-0 serves another")),
            (WorkloadState::Stale, ""),
            3,
            ConditionStatus::False,
            "Stale",
        ),
        (
            saw(Outcome::Incomplete, 0, Some("Pod web-0 leaves out")),
            (WorkloadState::Healthy, "IncompleteChain"),
            0,
            ConditionStatus::False,
            "IncompleteChain",
        ),
        (
            saw(Outcome::Unknown, 0, Some("Pod web-0 can't be reached")),
            (WorkloadState::Healthy, "NotSeen"),
            0,
            ConditionStatus::Unknown,
            "NotSeen",
        ),
    ] {
        let message = verdict.message.clone().unwrap_or_default();
        let proven = proven("web", verdict);
        let told = tell_proven(&certificate(), &held("new"), &[done("web")], &proven).unwrap();
        assert_eq!(workloads(&told), [("web", state.0, state.1)]);
        assert_eq!(told.status.stale_endpoints, stale);
        assert_eq!(told.status.served, i32::from(reason == "Served"));
        let (told_status, told_reason, told_message) = served(&told);
        assert_eq!((told_status, told_reason), (status, reason));
        assert!(told_message.contains(&message), "{told_message}");
    }
}

#[test]
fn who_does_not_run_with_the_certificate_is_not_told_by_what_it_serves() {
    let proven = proven("web", saw(Outcome::Served, 0, None));
    let due = named("web", |_| ());
    let told = tell_proven(&certificate(), &held("new"), &[due], &proven).unwrap();
    assert_eq!(
        workloads(&told),
        [("web", WorkloadState::Waiting, "Pending")]
    );
    let wanted = (ConditionStatus::Unknown, "RollingOut");
    assert_eq!((served(&told).0, served(&told).1), wanted);
}

#[test]
fn what_was_told_of_this_certificate_holds_until_it_is_looked_at_again() {
    let seen = proven("web", saw(Outcome::Served, 0, None));
    let first = tell_proven(&certificate(), &held("new"), &[done("web")], &seen).unwrap();
    let before = told_before(&first);
    let nothing = Proven::default();
    let again = tell_proven(&before, &held("new"), &[done("web")], &nothing).unwrap();
    assert_eq!(again, first, "the next leader has seen nothing yet");
    let renewed = named("web", |object| on_workload(object, WEB, "newer"));
    let newer = tell_proven(&before, &held("newer"), &[renewed], &nothing).unwrap();
    assert_eq!(workloads(&newer), [("web", WorkloadState::Healthy, "")]);
}

#[test]
fn who_is_not_to_be_looked_at_keeps_nothing_from_being_served() {
    let unseen = named("api", |object| {
        on_workload(object, WEB, "new");
        on_workload(object, "certwright.dev/rollout-probe", "Disabled");
    });
    let seen = proven("web", saw(Outcome::Served, 0, None));
    let all = [done("web"), unseen.clone()];
    let told = tell_proven(&certificate(), &held("new"), &all, &seen).unwrap();
    assert_eq!(served(&told).0, ConditionStatus::True);
    let nothing = Proven::default();
    let alone = tell_proven(&certificate(), &held("new"), &[unseen], &nothing).unwrap();
    assert_eq!(alone.conditions.len(), 1, "nothing is to be seen");
}

#[test]
fn hosts_are_told_also_without_workloads() {
    let host = |name: &str, verdict| Host {
        name: name.to_owned(),
        ingress: "web".to_owned(),
        verdict,
    };
    let tell = |hosts: Vec<Host>| {
        let proven = Proven {
            hosts,
            ..Proven::default()
        };
        tell_proven(&certificate(), &held("new"), &[], &proven).unwrap()
    };
    let (seen, unseen) = (
        saw(Outcome::Served, 0, None),
        saw(Outcome::Unknown, 0, Some("away")),
    );
    let told = tell(vec![host("a", None)]);
    assert_eq!(
        (served(&told).0, served(&told).1),
        (ConditionStatus::Unknown, "NotSeen")
    );
    let told = tell(vec![host("a", Some(seen.clone())), host("b", Some(unseen))]);
    assert_eq!(
        served(&told).0,
        ConditionStatus::True,
        "what is not reached is no alarm"
    );
    assert!(
        served(&told).2.contains("host b: away"),
        "{:?}",
        served(&told)
    );
    assert_eq!(told.conditions.len(), 1);
    let states: Vec<_> = told.status.hosts.iter().map(|host| host.state).collect();
    assert_eq!(states, [HostState::Unknown, HostState::Served]);
    let stale = saw(Outcome::Stale, 1, Some("it serves another"));
    let told = tell(vec![host("a", Some(seen)), host("b", Some(stale))]);
    assert_eq!(
        (served(&told).0, served(&told).1),
        (ConditionStatus::False, "Stale")
    );
    assert_eq!(told.status.stale_endpoints, 1);
}
