use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::*;
use crate::api::certificate::{RolloutStatus, WaitingWorkload};
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
    let dependents = workloads.iter().map(|workload| Dependent {
        workload,
        begun: false,
    });
    let now = at("13:00:00");
    let pace = Pace::of(now, &group(), "web-tls", held, dependents.clone());
    carried(now, &group(), certificate, held, dependents, (&pace, false))
}

fn waiting(name: &str, reason: &str) -> WaitingWorkload {
    WaitingWorkload {
        kind: "Deployment".to_owned(),
        name: name.to_owned(),
        reason: reason.to_owned(),
    }
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
    let tell = |held: &Held, workloads: &[Workload]| {
        let told = tell_of(&certificate(), held, workloads).unwrap();
        (told.status.waiting, told.condition.message)
    };
    let one = held(json!({ "maxConcurrent": 1 }));
    let (told, _) = tell(&one, &[restarted("a", "12:55:00"), due()]);
    assert_eq!(told, [waiting("a", "RollingOut"), waiting("b", "Busy")]);
    let second = held(json!({ "rules": [{ "name": "b", "wave": 1 }] }));
    let (told, _) = tell(&second, &[named("a", |_| ()), due()]);
    assert_eq!(told, [waiting("a", "Pending"), waiting("b", "NextWave")]);
    let window = json!({ "cron": "0 22 * * *", "windowDuration": "2h" });
    let nightly = held(json!({ "windows": [window] }));
    let lasts = named("b", |object| {
        on_workload(object, "certwright.dev/runs-until", "2026-12-01T00:00:00Z");
    });
    let (told, message) = tell(&nightly, &[lasts]);
    assert_eq!(told, [waiting("b", "Window")]);
    assert!(
        message.contains("b (Window until 2026-11-02T22:00:00Z)"),
        "{message}"
    );
    let called = held(json!({ "strategy": "Call", "call": { "path": "/", "port": 80 } }));
    assert_eq!(tell(&called, &[due()]).0, [waiting("b", "Calling")]);
}

#[test]
fn a_halt_is_told_with_who_caused_it_even_if_nobody_waits() {
    for others in [vec![], vec![named("b", |_| ())]] {
        let workloads: Vec<_> = others
            .into_iter()
            .chain([restarted("a", "12:50:00")])
            .collect();
        let told = tell(&workloads).unwrap();
        assert_eq!(told.condition.reason, "Halted");
        assert_eq!(told.condition.status, ConditionStatus::False);
        let message = &told.condition.message;
        assert!(
            message.contains("the Pods of Deployment a did not come up"),
            "{message}"
        );
        let halted = waiting("b", "Halted");
        assert_eq!(told.status.waiting.contains(&halted), workloads.len() == 2);
    }
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
        (restarted("web", "12:50:00"), Standing::Unavailable),
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
                "web-tls",
                &held("new"),
                Turn::Now
            ),
            wanted
        );
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
            waiting: Vec::new(),
        }
    );
    assert_eq!(
        told.condition,
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
        told.status.waiting,
        [waiting("b", "Pending"), waiting("c", "OptedOut")]
    );
    assert_eq!((told.status.dependents, told.status.up_to_date), (3, 1));
    assert_eq!(
        (told.condition.status, told.condition.reason.as_str()),
        (ConditionStatus::False, "RollingOut")
    );
    assert_eq!(
        told.condition.message,
        "1 of 2 workloads run with the held certificate; waiting: Deployment b (Pending); 1 opted out",
    );
    let paused = named("d", |object| object["spec"]["paused"] = json!(true));
    assert_eq!(tell(&[paused]).unwrap().condition.reason, "Waiting");
}

#[test]
fn at_most_twenty_are_named_and_the_message_stays_short() {
    let many: Vec<Workload> = (0..30)
        .map(|number| named(&format!("w{number:02}"), |_| ()))
        .collect();
    let told = tell(&many).unwrap();
    assert_eq!(
        (told.status.dependents, told.status.waiting.len()),
        (30, 20)
    );
    assert_eq!(told.status.waiting[0], waiting("w00", "Pending"));
    assert!(
        told.condition
            .message
            .ends_with("Deployment w02 (Pending), …"),
        "{}",
        told.condition.message
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
        ..carried.condition.clone()
    };
    Certificate {
        status: Some(CertificateStatus {
            rollout: Some(carried.status.clone()),
            conditions: vec![ready, carried.condition.clone()],
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
                "rollout": { "fingerprint": "new", "dependents": 1, "upToDate": 1 },
                "conditions": [{
                    "type": "RolledOut", "status": "True", "observedGeneration": 2,
                    "lastTransitionTime": "2026-11-02T13:00:00Z", "reason": "RolledOut",
                    "message": "1 of 1 workloads run with the held certificate",
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
        )
        .unwrap()
        .condition
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
