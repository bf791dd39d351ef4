use serde_json::json;

use super::*;

const RUNS_UNTIL: &str = "certwright.dev/runs-until";
const ROLLED_AT: &str = "certwright.dev/rolled-at";

/// Some workloads of a Certificate, of which `web` is due, at one o'clock.
struct Case {
    rollout: Value,
    /// What `web` runs with is valid until then.
    runs_until: &'static str,
    revoked: bool,
    refused: Option<&'static str>,
    others: Vec<(Value, bool)>,
    full: bool,
}

impl Case {
    fn new(rollout: Value, others: Vec<Value>) -> Self {
        Self {
            rollout,
            runs_until: "2026-12-01T00:00:00Z",
            revoked: false,
            refused: None,
            others: others.into_iter().map(|other| (other, false)).collect(),
            full: false,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn held(&self) -> Held {
        Held {
            policy: policy(self.rollout.clone()),
            replaces_refused: self.refused.map(str::to_owned),
            replaces_revoked: self.revoked,
            ..held("new")
        }
    }

    fn pace(&self, now: Timestamp) -> (Pace, Workload) {
        let mut web = deployment();
        on_workload(&mut web, RUNS_UNTIL, self.runs_until);
        if let Some(refused) = self.refused {
            on_template(&mut web, WEB, refused);
            web["status"]["updatedReplicas"] = json!(1);
        }
        let workloads: Vec<_> = self
            .others
            .iter()
            .map(|(other, begun)| (read(other), *begun))
            .collect();
        let web = read(&web);
        let dependents = workloads.iter().map(|(workload, begun)| Dependent {
            workload,
            begun: *begun,
        });
        let all = dependents.chain([Dependent {
            workload: &web,
            begun: false,
        }]);
        (
            Pace::of(now, &group(), &super::web(), &self.held(), all),
            web,
        )
    }

    fn turn_at(&self, now: &str) -> Turn {
        let (pace, web) = self.pace(at(now));
        pace.turn(at(now), &group(), &web, &self.held(), self.full)
    }

    fn turn(&self) -> Turn {
        self.turn_at("13:00:00")
    }
}

fn other(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = deployment();
    object["metadata"]["name"] = json!("other");
    change(&mut object);
    object
}

fn done() -> Value {
    other(|object| on_workload(object, WEB, "new"))
}

fn due() -> Value {
    other(|_| ())
}

/// Restarted then; its Pods are not up yet.
fn restarted(time: &str) -> Value {
    other(|object| {
        on_template(object, WEB, "new");
        on_workload(object, ROLLED_AT, &at(time).to_string());
        object["status"]["updatedReplicas"] = json!(1);
    })
}

fn failed() -> Value {
    restarted("12:50:00")
}

fn progress(mut object: Value, reason: &str) -> Value {
    object["status"]["conditions"] = json!([{ "type": "Progressing", "reason": reason }]);
    object
}

fn later(why: Hold) -> Turn {
    Turn::Later { why, until: None }
}

fn until(why: Hold, time: &str) -> Turn {
    Turn::Later {
        why,
        until: Some(at(time)),
    }
}

fn second_wave(mut rollout: Value) -> Value {
    rollout["rules"] = json!([{ "name": "web", "wave": 1 }]);
    rollout
}

/// Open from ten to midnight, in UTC.
fn nightly() -> Value {
    json!({ "windows": [{ "cron": "0 22 * * *", "windowDuration": "2h" }], "minGap": "10m", "maxConcurrent": 1 })
}

// The precedence, each rule against the next.

#[test]
fn rule_1_a_halt_comes_before_waves() {
    let case = Case::new(second_wave(json!({})), vec![failed()]);
    assert_eq!(case.turn(), later(Hold::Halted));
}

#[test]
fn rule_2_waves_come_before_windows() {
    let case = Case::new(second_wave(nightly()), vec![due()]);
    assert_eq!(case.turn(), later(Hold::NextWave));
}

#[test]
fn rule_3_windows_come_before_the_gap() {
    let case = Case::new(nightly(), vec![restarted("12:55:00")]);
    assert_eq!(case.turn(), until(Hold::Window, "22:00:00"));
}

#[test]
fn rule_4_the_gap_comes_before_the_number_at_once() {
    let case = Case::new(
        json!({ "minGap": "10m", "maxConcurrent": 1 }),
        vec![restarted("12:55:00")],
    );
    assert_eq!(case.turn(), until(Hold::Busy, "13:05:00"));
}

#[test]
fn rules_5_and_6_certificate_and_cluster_bound_how_many_are_under_way() {
    let busy = |most: usize| {
        Case::new(
            json!({ "maxConcurrent": most }),
            vec![restarted("12:55:00")],
        )
    };
    assert_eq!(busy(1).turn(), later(Hold::Busy));
    assert_eq!(busy(2).turn(), Turn::Now);
    assert_eq!(
        busy(2).with(|case| case.full = true).turn(),
        later(Hold::Busy)
    );
    let (pace, _) = busy(3).pace(at("13:00:00"));
    assert_eq!(pace.room(&busy(3).held()), 2);
    assert_eq!(pace.fails_at, Some(at("13:05:00")));
}

// Each rule by itself.

#[test]
fn a_halt_ends_with_the_failed_ones_health_or_a_newer_certificate() {
    let turn = |other: Value| Case::new(json!({}), vec![other]).turn();
    assert_eq!(turn(failed()), later(Hold::Halted));
    assert_eq!(turn(restarted("12:50:01")), Turn::Now, "not yet");
    let mut well = failed();
    well["status"]["updatedReplicas"] = json!(2);
    assert_eq!(turn(well), Turn::Now);
    let mut of_another = failed();
    on_template(&mut of_another, WEB, "before");
    assert_eq!(turn(of_another), Turn::Now);
    // What happens to Pods after their restart is no fault of the certificate.
    assert_eq!(
        turn(progress(failed(), "NewReplicaSetAvailable")),
        Turn::Now
    );
    // A controller that gives up is believed before the time is over, if it speaks of this change.
    let stuck = progress(restarted("12:59:00"), "ProgressDeadlineExceeded");
    assert_eq!(turn(stuck.clone()), later(Hold::Halted));
    let mut earlier = stuck;
    earlier["metadata"]["generation"] = json!(4);
    assert_eq!(turn(earlier), Turn::Now);
    let slow = Case::new(json!({ "healthTimeout": "1h" }), vec![failed()]);
    assert_eq!(slow.turn(), Turn::Now);
}

#[test]
fn stateful_sets_and_daemon_sets_are_judged_by_what_their_controllers_keep() {
    let of_kind = |kind: WorkloadKind, object: &Value| {
        let workload = Workload::from_object(kind, object);
        let dependent = Dependent {
            workload: &workload,
            begun: false,
        };
        Pace::of(at("13:00:00"), &group(), &web(), &held("new"), [dependent]).failed
    };
    let mut broken = failed();
    broken["status"]["currentRevision"] = json!("1");
    broken["status"]["updateRevision"] = json!("2");
    assert!(of_kind(WorkloadKind::StatefulSet, &broken).is_some());
    broken["status"]["currentRevision"] = json!("2");
    assert_eq!(of_kind(WorkloadKind::StatefulSet, &broken), None);
    let mut nodes = failed();
    nodes["status"] = json!({
        "observedGeneration": 3, "desiredNumberScheduled": 9, "currentNumberScheduled": 9,
        "updatedNumberScheduled": 5, "numberAvailable": 8,
    });
    assert!(of_kind(WorkloadKind::DaemonSet, &nodes).is_some());
    nodes["status"]["updatedNumberScheduled"] = json!(9);
    nodes["status"]["numberAvailable"] = json!(5);
    assert_eq!(
        of_kind(WorkloadKind::DaemonSet, &nodes),
        None,
        "all were replaced"
    );
}

#[test]
fn a_wave_waits_until_all_before_run_with_the_certificate_and_are_well() {
    let turn = |other: Value| Case::new(second_wave(json!({})), vec![other]).turn();
    assert_eq!(turn(done()), Turn::Now);
    assert_eq!(turn(due()), later(Hold::NextWave));
    assert_eq!(turn(restarted("12:59:00")), later(Hold::NextWave));
    let mut unwell = done();
    unwell["status"]["availableReplicas"] = json!(1);
    assert_eq!(turn(unwell), later(Hold::NextWave));
    // Those that nobody has to do anything about don't count.
    let mut opted_out = due();
    on_workload(&mut opted_out, "certwright.dev/rollout", "None");
    assert_eq!(turn(opted_out), Turn::Now);
    let mut leaving = due();
    leaving["metadata"]["deletionTimestamp"] = json!("2026-11-02T12:00:00Z");
    assert_eq!(turn(leaving), Turn::Now);
    let mut unclear = due();
    on_workload(&mut unclear, "certwright.dev/rollout", "Reboot");
    assert_eq!(turn(unclear), later(Hold::NextWave));
    // The same wave or a later one holds nothing up.
    let mut same = due();
    on_workload(&mut same, "certwright.dev/rollout-wave", "1");
    assert_eq!(turn(same), Turn::Now);
}

#[test]
fn windows_hold_restarts_back_while_what_runs_lasts() {
    let case = || Case::new(nightly(), vec![]);
    assert_eq!(case().turn(), until(Hold::Window, "22:00:00"));
    assert_eq!(case().turn_at("22:00:00"), Turn::Now);
    assert_eq!(case().turn_at("23:59:59"), Turn::Now);
    // Who can't do with what it was restarted for doesn't wait for the one before.
    let refuses = |case: &mut Case| case.refused = Some("old");
    assert_eq!(case().with(refuses).turn(), Turn::Now);
    // Calls don't wait.
    let call = |case: &mut Case| {
        case.rollout["strategy"] = json!("Call");
        case.rollout["call"] = json!({ "path": "/", "port": 80 });
    };
    assert_eq!(case().with(call).turn(), Turn::Now);
    // Less than 72 hours are left.
    let ends = |end: &'static str| case().with(|case| case.runs_until = end);
    assert_eq!(ends("2026-11-05T13:00:00Z").turn(), Turn::Now);
    assert_eq!(
        ends("2026-11-05T13:00:01Z").turn(),
        until(Hold::Window, "13:00:01")
    );
    assert_eq!(
        ends("whenever").turn(),
        Turn::Now,
        "nobody knows how long it lasts"
    );
    assert_eq!(case().with(|case| case.revoked = true).turn(), Turn::Now);
    let shorter = |case: &mut Case| case.rollout["urgentBefore"] = json!("71h");
    assert_eq!(
        ends("2026-11-05T13:00:00Z").with(shorter).turn(),
        until(Hold::Window, "14:00:00")
    );
}

#[test]
fn what_was_just_begun_counts_although_nothing_shows_it_yet() {
    let begun = |rollout: Value| {
        Case::new(rollout, vec![due()])
            .with(|case| case.others[0].1 = true)
            .turn()
    };
    assert_eq!(begun(json!({ "maxConcurrent": 1 })), later(Hold::Busy));
    assert_eq!(
        begun(json!({ "minGap": "30s" })),
        until(Hold::Busy, "13:00:30")
    );
    assert_eq!(begun(second_wave(json!({}))), later(Hold::NextWave));
    assert_eq!(begun(json!({})), Turn::Now);
}

#[test]
fn a_moment_of_the_future_holds_no_gap() {
    let case = Case::new(json!({ "minGap": "10m" }), vec![restarted("14:00:00")]);
    assert_eq!(case.turn(), Turn::Now);
}
