//! Workloads as they come from the API server. Whatever they hold: once what was planned for one has been applied to
//! it, there is nothing left to do.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use certwright_core::api::Group;
use certwright_core::rollout::{
    Defaults, Held, Index, Inputs, Marks, OtherKinds, Pods, Policy, RolloutPlan, Source,
    SourceKind, Workload, WorkloadKind, apply_body, plan_rollout,
};
use certwright_fuzz::now;
use jiff::SignedDuration;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|json: &[u8]| {
    let Ok(object) = serde_json::from_slice::<Value>(json) else {
        return;
    };
    let others: OtherKinds = "a.example/v1/A,b.example/v1/B::.spec.job.template"
        .parse()
        .expect("these are kinds");
    for kind in others.and_built_in() {
        let workload = Workload::from_object(kind, &object);
        assert!(workload.problem.is_none() || workload.reads.is_empty());
        let touched = Index::new(WorkloadKind::BUILT_IN).applied(&workload);
        assert_eq!(touched.len(), workload.reads.len());
        let marks = match plan(&workload) {
            RolloutPlan::Baseline { marks }
            | RolloutPlan::Roll { marks, .. }
            | RolloutPlan::Call { marks, .. } => marks,
            RolloutPlan::NeedPods { .. } => panic!("they were read"),
            _ => continue,
        };
        let _ = apply_body(&workload, &marks);
        let policy = held(&Source::secret("web"))
            .policy
            .expect("the defaults can be read");
        let _ = policy.probe(&Group::default(), &workload);
        assert_eq!(plan(&applied(&workload, marks)), RolloutPlan::Nothing);
    }
});

fn plan(workload: &Workload) -> RolloutPlan {
    let group = Group::default();
    let held: BTreeMap<Source, Held> = workload
        .reads
        .iter()
        .map(|source| (source.clone(), held(source)))
        .collect();
    let hour = SignedDuration::from_hours(1);
    let pods = Some(Pods {
        earliest_start: Some(now() - hour),
    });
    plan_rollout(
        now(),
        &Inputs {
            group: &group,
            workload,
            held: &held,
            pods,
        },
    )
}

fn held(source: &Source) -> Held {
    let ours = source.kind == SourceKind::Secret;
    Held {
        certificate: ours.then(|| source.name.clone()),
        fingerprint: "00".repeat(32),
        issued_at: Some(now() - SignedDuration::from_mins(30)),
        first_seen: !ours,
        not_after: ours.then(|| now() + SignedDuration::from_hours(1000)),
        replaces_refused: None,
        replaces_revoked: false,
        policy: Policy::of(
            &Group::default(),
            None,
            &BTreeMap::new(),
            &Defaults::default(),
        ),
        issuing: false,
        names: BTreeSet::new(),
        above: Vec::new(),
    }
}

fn applied(workload: &Workload, marks: Marks) -> Workload {
    let mut workload = workload.clone();
    workload.template_annotations.extend(marks.template);
    workload
        .metadata
        .annotations
        .get_or_insert_default()
        .extend(marks.baseline);
    workload
}
