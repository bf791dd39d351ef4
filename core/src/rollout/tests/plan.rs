use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::*;

const ROLLED_AT: &str = "certwright.dev/rolled-at";
const RUNS_UNTIL: &str = "certwright.dev/runs-until";

/// What [`plan_rollout`] looks at, to be changed one thing at a time. It is past one o'clock, an hour after both
/// certificates were issued, and the Pods started at eleven.
struct Case {
    now: Timestamp,
    object: Value,
    held: BTreeMap<Source, Held>,
    pods: Option<Pods>,
}

impl Case {
    /// Reads one Secret of ours; its template's mark is of the certificate before.
    fn due() -> Self {
        let mut object = deployment();
        on_template(&mut object, WEB, "old");
        Self {
            now: at("13:00:00"),
            object,
            held: BTreeMap::from([(web(), held("new"))]),
            pods: Some(started("11:00:00")),
        }
    }

    /// The same without marks.
    fn unmarked() -> Self {
        Self {
            object: deployment(),
            ..Self::due()
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn web(&mut self) -> &mut Held {
        self.held.get_mut(&web()).unwrap()
    }

    /// Without the notes beside the marks, which are looked at here.
    fn plan(&self) -> RolloutPlan {
        let mut plan = self.plan_with_notes();
        let paced = match &plan {
            RolloutPlan::Roll { paced, .. } => Some(*paced),
            RolloutPlan::Call { .. } => Some(true),
            _ => None,
        };
        if let RolloutPlan::Roll { marks, .. }
        | RolloutPlan::Call { marks, .. }
        | RolloutPlan::Baseline { marks } = &mut plan
        {
            let begun = marks.baseline.remove(ROLLED_AT);
            let noted = paced.unwrap_or(false).then(|| self.now.to_string());
            assert_eq!(begun, noted, "{marks:?}");
            let until = marks.baseline.remove(RUNS_UNTIL);
            let ends = self
                .held
                .values()
                .map(|held| held.not_after.unwrap().to_string());
            assert!(
                ends.clone().any(|end| until.as_ref() == Some(&end)),
                "{until:?}"
            );
        }
        plan
    }

    fn plan_with_notes(&self) -> RolloutPlan {
        let (group, workload) = (group(), read(&self.object));
        plan_rollout(
            self.now,
            &Inputs {
                group: &group,
                workload: &workload,
                held: &self.held,
                pods: self.pods,
            },
        )
    }
}

fn started(time: &str) -> Pods {
    Pods {
        earliest_start: Some(at(time)),
    }
}

fn roll(template: &[(&str, &str)], baseline: &[(&str, &str)], secrets: &[&str]) -> RolloutPlan {
    RolloutPlan::Roll {
        marks: Marks {
            template: marks(template),
            baseline: marks(baseline),
        },
        sources: secrets.iter().copied().map(Source::secret).collect(),
        paced: true,
    }
}

/// The same of one that has nothing to lose.
fn at_once(plan: RolloutPlan) -> RolloutPlan {
    match plan {
        RolloutPlan::Roll { marks, sources, .. } => RolloutPlan::Roll {
            marks,
            sources,
            paced: false,
        },
        other => panic!("{other:?}"),
    }
}

fn baseline(template: &[(&str, &str)], baseline: &[(&str, &str)]) -> RolloutPlan {
    RolloutPlan::Baseline {
        marks: Marks {
            template: marks(template),
            baseline: marks(baseline),
        },
    }
}

fn rolled() -> RolloutPlan {
    roll(&[(WEB, "new")], &[(WEB, "new")], &["web-tls"])
}

fn noted() -> RolloutPlan {
    baseline(&[(WEB, "old")], &[(WEB, "new")])
}

fn wait(until: &str, why: Wait) -> RolloutPlan {
    RolloutPlan::Wait {
        until: at(until),
        why,
    }
}

fn paused(case: &mut Case) {
    case.object["spec"]["paused"] = json!(true);
}

fn reloads(case: &mut Case) {
    case.web().policy = policy(json!({ "strategy": "Reload" }));
}

fn calls(case: &mut Case) {
    let call = json!({ "path": "/-/reload", "port": 9000 });
    case.web().policy = policy(json!({ "strategy": "Call", "call": call }));
}

fn called() -> RolloutPlan {
    RolloutPlan::Call {
        call: serde_json::from_value(json!({ "path": "/-/reload", "port": 9000 })).unwrap(),
        marks: Marks {
            template: marks(&[(WEB, "old")]),
            baseline: marks(&[(WEB, "new")]),
        },
        sources: vec![web()],
    }
}

fn unread(case: &mut Case) {
    case.pods = None;
}

fn scaled_to_zero(case: &mut Case) {
    case.object["spec"]["replicas"] = json!(0);
}

fn just_issued(case: &mut Case) {
    case.now = at("12:00:04");
}

#[test]
fn a_new_certificate_rolls() {
    assert_eq!(Case::due().plan(), rolled());
}

// The precedence, each rule against the next.

#[test]
fn rule_1_a_workload_that_is_unreadable_or_being_deleted_is_left() {
    for (field, value) in [
        ("deletionTimestamp", json!("2026-11-02T12:00:00Z")),
        ("generation", json!("three")),
    ] {
        let case = Case::due().with(|case| case.object["metadata"][field] = value);
        assert_eq!(case.plan(), RolloutPlan::Nothing, "{field}");
    }
}

#[test]
fn rule_2_nothing_is_done_for_secrets_that_are_not_followed() {
    let not_read =
        Case::due().with(|case| case.object["spec"]["template"]["spec"]["volumes"] = json!([]));
    assert_eq!(not_read.plan(), RolloutPlan::Nothing);
    let not_ours = Case::due().with(|case| case.held.clear());
    assert_eq!(not_ours.plan(), RolloutPlan::Nothing);
    let strategy_none =
        Case::due().with(|case| case.web().policy = policy(json!({ "strategy": "None" })));
    assert_eq!(strategy_none.plan(), RolloutPlan::Nothing);
}

#[test]
fn rule_2_the_workloads_own_word_wins() {
    for (word, certificate, wanted) in [
        ("None", "Restart", RolloutPlan::Nothing),
        ("Restart", "None", rolled()),
        ("Reload", "Restart", noted()),
    ] {
        let case = Case::due().with(|case| {
            on_workload(&mut case.object, "certwright.dev/rollout", word);
            case.web().policy = policy(json!({ "strategy": certificate }));
        });
        assert_eq!(case.plan(), wanted, "{word}");
    }
    let of_another_group =
        Case::due().with(|case| on_workload(&mut case.object, "example.org/rollout", "None"));
    assert_eq!(of_another_group.plan(), rolled());
}

#[test]
fn rule_3_either_mark_makes_it_up_to_date_even_just_after_the_issue() {
    let template = Case::due().with(|case| on_template(&mut case.object, WEB, "new"));
    assert_eq!(template.with(just_issued).plan(), RolloutPlan::Nothing);
    let workload = Case::due().with(|case| on_workload(&mut case.object, WEB, "new"));
    assert_eq!(workload.with(just_issued).plan(), RolloutPlan::Nothing);
    let neither = Case::due().with(|case| on_workload(&mut case.object, WEB, "older"));
    assert_eq!(neither.plan(), rolled());
}

#[test]
fn rule_4_what_cant_be_read_is_told_at_once_unless_it_is_up_to_date() {
    let case = |word: &str| {
        Case::due()
            .with(just_issued)
            .with(|case| on_workload(&mut case.object, "certwright.dev/rollout", word))
    };
    let RolloutPlan::Misconfigured { problem, sources } = case("Reboot").plan() else {
        panic!("{:?}", case("Reboot").plan())
    };
    assert_eq!(
        problem.to_string(),
        "annotation certwright.dev/rollout: \"Reboot\" is no strategy; write Restart, Reload, Call or None"
    );
    assert_eq!(sources, [web()]);
    let done = case("Reboot").with(|case| on_template(&mut case.object, WEB, "new"));
    assert_eq!(done.plan(), RolloutPlan::Nothing);
}

#[test]
fn rule_5_a_certificate_settles_for_five_seconds_even_with_no_pods() {
    let case = || Case::due().with(scaled_to_zero);
    assert_eq!(
        case().with(just_issued).plan(),
        wait("12:00:05", Wait::Settling)
    );
    assert_eq!(
        case().with(|case| case.now = at("12:00:05")).plan(),
        baseline(&[(WEB, "old")], &[(WEB, "new")])
    );
}

#[test]
fn rule_5_the_last_of_those_to_be_carried_counts() {
    let both = Case::due().with(|case| {
        let api = Held {
            issued_at: Some(at("12:00:03")),
            ..held("api")
        };
        case.held.insert(Source::secret("api-tls"), api);
        case.now = at("12:00:06");
    });
    assert_eq!(both.plan(), wait("12:00:08", Wait::Settling));
    let one_is_carried = both.with(|case| on_workload(&mut case.object, API, "api"));
    assert_eq!(
        one_is_carried.plan(),
        roll(&[(WEB, "new")], &[(API, "api"), (WEB, "new")], &["web-tls"])
    );
}

#[test]
fn rule_5_another_issuance_holds_it_back_for_a_minute_at_most() {
    let case = |now: &str| {
        Case::due().with(|case| {
            let api = Held {
                issuing: true,
                ..held("api")
            };
            case.held.insert(Source::secret("api-tls"), api);
            on_template(&mut case.object, API, "api");
            case.now = at(now);
        })
    };
    assert_eq!(case("12:00:30").plan(), wait("12:00:35", Wait::Issuing));
    assert_eq!(case("12:00:58").plan(), wait("12:01:00", Wait::Issuing));
    let template = [(API, "api"), (WEB, "new")];
    assert_eq!(
        case("12:01:00").plan(),
        roll(&template, &[(WEB, "new")], &["web-tls"])
    );
}

#[test]
fn rule_5_a_certificate_from_the_future_or_of_unknown_age_is_not_waited_for() {
    let future = Case::due().with(|case| case.now = at("11:59:59"));
    assert_eq!(future.plan(), rolled());
    let unknown = Case::due()
        .with(|case| case.web().issued_at = None)
        .with(just_issued);
    assert_eq!(unknown.plan(), rolled());
}

#[test]
fn rule_6_scaled_to_zero_it_is_only_noted_even_if_paused() {
    let case = Case::due().with(scaled_to_zero).with(paused).with(unread);
    assert_eq!(case.plan(), baseline(&[(WEB, "old")], &[(WEB, "new")]));
}

#[test]
fn rule_6_scaled_to_zero_one_that_reloads_has_nothing_to_wait_for() {
    let case = Case::due().with(scaled_to_zero).with(reloads);
    assert_eq!(case.with(|case| case.now = at("12:01:00")).plan(), noted());
}

#[test]
fn rule_7_nobody_is_called_before_the_files_are_there() {
    let case = |now: &str| Case::due().with(calls).with(|case| case.now = at(now));
    let early = case("12:01:59");
    assert_eq!(early.plan(), wait("12:02:00", Wait::Projecting));
    assert_eq!(
        early.with(unread).with(paused).plan(),
        wait("12:02:00", Wait::Projecting)
    );
    assert_eq!(case("12:02:00").plan(), called());
}

#[test]
fn rule_7_what_reloads_is_noted_once_the_files_are_there_whatever_its_health() {
    let case = |now: &str| {
        Case::due()
            .with(reloads)
            .with(paused)
            .with(unread)
            .with(|case| case.now = at(now))
    };
    assert_eq!(case("12:01:59").plan(), wait("12:02:00", Wait::Projecting));
    assert_eq!(case("12:02:00").plan(), noted());
    let unknown = case("12:00:00").with(|case| case.web().issued_at = None);
    assert_eq!(unknown.plan(), noted());
}

#[test]
fn rule_8_pods_of_a_paused_deployment_can_be_called_and_broken_ones_not() {
    assert_eq!(Case::due().with(calls).with(paused).plan(), called());
    let broken = Case::due()
        .with(calls)
        .with(|case| case.object["status"]["availableReplicas"] = json!(0));
    assert_eq!(
        broken.plan(),
        RolloutPlan::Skip {
            why: Skip::Unavailable,
            sources: vec![web()],
            until: None,
        }
    );
}

#[test]
fn rule_8_what_stands_in_the_way_is_told_before_pods_are_read() {
    type Change = fn(&mut Case);
    let cases: [(Change, Skip); 3] = [
        (paused, Skip::Paused),
        (
            |case| case.object["status"]["updatedReplicas"] = json!(1),
            Skip::RollingOut,
        ),
        (
            |case| case.object["status"]["availableReplicas"] = json!(1),
            Skip::Unavailable,
        ),
    ];
    for (change, why) in cases {
        assert_eq!(
            Case::due().with(change).with(unread).plan(),
            RolloutPlan::Skip {
                why,
                sources: vec![web()],
                until: None,
            }
        );
        assert_eq!(
            Case::unmarked().with(change).with(unread).plan(),
            RolloutPlan::Skip {
                why,
                sources: Vec::new(),
                until: None,
            }
        );
    }
}

#[test]
fn rule_8_with_no_pod_available_it_is_rolled_after_ten_minutes_all_the_same() {
    let down = |now: &str| {
        Case::due().with(|case| {
            case.object["status"]["availableReplicas"] = json!(0);
            case.now = at(now);
        })
    };
    let skipped = |why, until| RolloutPlan::Skip {
        why,
        sources: vec![web()],
        until,
    };
    let later = skipped(Skip::Unavailable, Some(at("12:10:00")));
    assert_eq!(down("12:09:59").plan(), later);
    let unpaced = RolloutPlan::NeedPods { paced: false };
    assert_eq!(down("12:10:00").with(unread).plan(), unpaced);
    assert_eq!(down("12:10:00").plan(), at_once(rolled()));
    // Stuck in another change it is the same.
    let stuck = |case: &mut Case| case.object["status"]["updatedReplicas"] = json!(1);
    assert_eq!(down("12:10:00").with(stuck).plan(), at_once(rolled()));
    // What was noted of a restart before says nothing any more.
    let before = |case: &mut Case| on_workload(&mut case.object, ROLLED_AT, "2026-11-01T00:00:00Z");
    assert_eq!(down("12:10:00").with(before).plan(), at_once(rolled()));

    // Pods that have started since have what is held, and those that are to start will.
    let young = |case: &mut Case| case.pods = Some(started("12:05:00"));
    assert_eq!(
        down("12:10:00").with(young).plan(),
        baseline(&[(WEB, "old")], &[(WEB, "new")])
    );
    let none = |case: &mut Case| case.pods = Some(Pods::default());
    let never = |why| skipped(why, None);
    assert_eq!(down("12:10:00").with(none).plan(), never(Skip::Unavailable));
    // Nor where it would do nothing, or the numbers are those of an older generation, or the age is not known.
    assert_eq!(down("12:10:00").with(paused).plan(), never(Skip::Paused));
    let changed = |case: &mut Case| case.object["metadata"]["generation"] = json!(4);
    assert_eq!(
        down("12:10:00").with(changed).plan(),
        never(Skip::RollingOut)
    );
    let unknown = |case: &mut Case| case.web().issued_at = None;
    assert_eq!(
        down("12:10:00").with(unknown).plan(),
        never(Skip::Unavailable)
    );
}

#[test]
fn rule_8_what_is_not_well_with_a_refused_certificate_gets_the_one_before() {
    let failed = || {
        Case::due().with(|case| {
            case.object["status"]["updatedReplicas"] = json!(1);
            case.web().replaces_refused = Some("old".to_owned());
        })
    };
    let unavailable = |case: &mut Case| {
        case.object["status"]["updatedReplicas"] = json!(2);
        case.object["status"]["availableReplicas"] = json!(1);
    };
    for case in [failed(), failed().with(unavailable)] {
        assert_eq!(case.plan(), rolled());
    }
    let paced = RolloutPlan::NeedPods { paced: true };
    assert_eq!(failed().with(unread).plan(), paced);
    let skipped = |why| RolloutPlan::Skip {
        why,
        sources: vec![web()],
        until: None,
    };
    let resting = failed().with(paused);
    assert_eq!(resting.plan(), skipped(Skip::Paused));
    // What isn't well with another one has it from somewhere else.
    let young = |case: &mut Case| {
        let now = case.now;
        case.web().issued_at = Some(now);
    };
    assert_eq!(failed().with(young).plan(), rolled());
    let another = |case: &mut Case| case.web().replaces_refused = Some("older".to_owned());
    assert_eq!(failed().with(another).plan(), skipped(Skip::RollingOut));
}

#[test]
fn rule_9_pods_are_read_before_anything_is_written() {
    for (case, paced) in [(Case::due(), true), (Case::unmarked(), false)] {
        assert_eq!(case.with(unread).plan(), RolloutPlan::NeedPods { paced });
    }
}

#[test]
fn rule_10_without_marks_only_pods_older_than_the_certificate_roll() {
    let noted = baseline(&[], &[(WEB, "new")]);
    for (pods, wanted) in [
        (Pods::default(), noted.clone()),
        (started("12:00:00"), noted.clone()),
        (started("12:00:01"), noted.clone()),
        (started("11:59:59"), rolled()),
    ] {
        let case = Case::unmarked().with(|case| case.pods = Some(pods));
        assert_eq!(case.plan(), wanted, "{pods:?}");
    }
    let not_issued_by_us = Case::unmarked().with(|case| case.web().issued_at = None);
    assert_eq!(not_issued_by_us.plan(), noted);
}

#[test]
fn rule_10_with_an_old_mark_only_pods_surely_younger_than_the_certificate_do_not_roll() {
    let noted = baseline(&[(WEB, "old")], &[(WEB, "new")]);
    for (pods, wanted) in [
        (Pods::default(), rolled()),
        (started("11:59:59"), rolled()),
        (started("12:01:00"), rolled()),
        (started("12:01:01"), noted),
    ] {
        let case = Case::due().with(|case| case.pods = Some(pods));
        assert_eq!(case.plan(), wanted, "{pods:?}");
    }
    let not_issued_by_us = Case::due().with(|case| case.web().issued_at = None);
    assert_eq!(not_issued_by_us.plan(), rolled());
}

#[test]
fn rule_11_one_write_carries_all() {
    let case = Case::due().with(|case| {
        case.held.insert(Source::secret("api-tls"), held("api"));
        on_template(&mut case.object, API, "old");
    });
    let both = [(API, "api"), (WEB, "new")];
    assert_eq!(case.plan(), roll(&both, &both, &["api-tls", "web-tls"]));
    let one_needs_no_roll = case.with(|case| {
        let api = Held {
            issued_at: Some(at("10:00:00")),
            ..held("api")
        };
        case.held.insert(Source::secret("api-tls"), api);
    });
    assert_eq!(
        one_needs_no_roll.plan(),
        roll(&[(API, "old"), (WEB, "new")], &both, &["web-tls"]),
    );
}

#[test]
fn rule_11_a_restart_reads_what_would_have_been_called_or_reloaded_for() {
    for strategy in ["Call", "Reload"] {
        let case = Case::due().with(|case| {
            let api = Held {
                policy: policy(json!({ "strategy": strategy, "call": { "path": "/", "port": 1 } })),
                issued_at: Some(at("12:59:30")),
                ..held("api")
            };
            case.held.insert(Source::secret("api-tls"), api);
            on_template(&mut case.object, API, "old");
        });
        let template = [(API, "old"), (WEB, "new")];
        assert_eq!(
            case.plan(),
            roll(&template, &[(API, "api"), (WEB, "new")], &["web-tls"]),
            "{strategy}"
        );
    }
}

#[test]
fn rule_12_a_call_leaves_the_template_and_what_still_reloads_for_later() {
    assert_eq!(Case::due().with(calls).plan(), called());
    let young = Case::due().with(calls).with(|case| {
        let api = Held {
            policy: policy(json!({ "strategy": "Reload" })),
            issued_at: Some(at("12:59:00")),
            ..held("api")
        };
        case.held.insert(Source::secret("api-tls"), api);
        on_workload(&mut case.object, API, "old");
    });
    let RolloutPlan::Call { marks, .. } = young.plan() else {
        panic!("{:?}", young.plan())
    };
    assert_eq!(marks.baseline[API], "old");
    assert_eq!(marks.baseline[WEB], "new");
    // Pods that have started since have read it.
    let restarted = Case::due()
        .with(calls)
        .with(|case| case.pods = Some(started("12:05:00")));
    assert_eq!(restarted.plan(), noted());
}

#[test]
fn the_earliest_end_of_all_it_runs_with_is_noted() {
    let case = Case::due().with(|case| {
        let api = Held {
            not_after: Some(at("20:00:00")),
            ..held("api")
        };
        case.held.insert(Source::secret("api-tls"), api);
        on_template(&mut case.object, API, "older");
    });
    let RolloutPlan::Roll { marks, .. } = case.plan_with_notes() else {
        panic!("{:?}", case.plan_with_notes())
    };
    assert_eq!(marks.baseline[RUNS_UNTIL], "2026-11-02T20:00:00Z");
}

#[test]
fn marks_as_just_read_are_carried_and_only_they() {
    let case = Case::due().with(|case| {
        on_template(&mut case.object, "certwright.dev/secret-gone-tls", "gone");
        on_workload(&mut case.object, "certwright.dev/secret-gone-tls", "gone");
        on_template(&mut case.object, API, "not ours today");
        on_workload(&mut case.object, API, "not ours today");
        on_workload(&mut case.object, "certwright.dev/rollout", "Restart");
        on_workload(&mut case.object, "example.org/secret-web-tls", "theirs");
    });
    let template = [
        (API, "not ours today"),
        ("certwright.dev/secret-gone-tls", "gone"),
        (WEB, "new"),
    ];
    assert_eq!(
        case.plan(),
        roll(
            &template,
            &[(API, "not ours today"), (WEB, "new")],
            &["web-tls"]
        )
    );
}

#[test]
fn an_on_delete_workload_is_marked_whatever_its_health() {
    let mut object = deployment();
    object["spec"]["updateStrategy"] = json!({ "type": "OnDelete" });
    on_template(&mut object, WEB, "old");
    object["status"]["availableReplicas"] = json!(0);
    let workload = Workload::from_object(WorkloadKind::StatefulSet, &object);
    let plan = plan_rollout(
        at("13:00:00"),
        &Inputs {
            group: &group(),
            workload: &workload,
            held: &Case::due().held,
            pods: Some(Pods::default()),
        },
    );
    let RolloutPlan::Roll { marks, .. } = plan else {
        panic!("{plan:?}")
    };
    assert_eq!(marks.template[WEB], "new");
}

#[test]
fn nothing_overflows_at_the_ends_of_time() {
    for now in [Timestamp::MIN, Timestamp::MAX] {
        let case = Case::due().with(|case| {
            case.now = now;
            case.web().issued_at = Some(now);
            case.web().issuing = true;
            case.pods = Some(Pods {
                earliest_start: Some(Timestamp::MIN + SignedDuration::from_secs(1)),
            });
        });
        assert_ne!(case.plan_with_notes(), RolloutPlan::Nothing);
    }
}

#[test]
fn an_apply_names_exactly_the_object_that_was_read() {
    let workload = read(&deployment());
    let name =
        json!({ "name": "web", "namespace": "shop", "uid": "u-web", "resourceVersion": "41" });
    let mut noted = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": name });
    noted["metadata"]["annotations"] = json!({ WEB: "new" });
    let mut body = Marks {
        template: marks(&[]),
        baseline: marks(&[(WEB, "new")]),
    };
    assert_eq!(apply_body(&workload, &body), noted);
    body.template = marks(&[(API, "api")]);
    noted["spec"] = json!({ "template": { "metadata": { "annotations": { API: "api" } } } });
    assert_eq!(apply_body(&workload, &body), noted);
}
