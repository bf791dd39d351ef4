//! What holds for every spec, and for whatever stands in a cluster.

use jiff::{SignedDuration, Timestamp};
use proptest::option::of;
use proptest::prelude::*;

use super::anything::{any_secret, any_status, any_time, any_world, cas};
use super::cas::Ca;
use super::restored::rolls_back;
use super::specs;
use super::world::{Given, World, at};
use crate::api::CertificateSpec;
use crate::api::certificate::PrivateKey;
use crate::plan::drift::differences;
use crate::plan::status::{Failure, Outcome};
use crate::plan::{MAX_LOOK_AGAIN, Observed, Plan, Undoes, assess, decide, status};

/// Who signs in a test, and how to make it so.
#[derive(Clone, Copy, Debug)]
enum Signer {
    Itself,
    /// One of [`cas`] that can sign on 2026-11-02.
    Ca(usize),
    /// One that ends so many minutes after it signs.
    Ending(u16),
}

fn signer() -> impl Strategy<Value = Signer> {
    prop_oneof![
        2 => Just(Signer::Itself),
        3 => (0..4_usize).prop_map(Signer::Ca),
        1 => (2_u16..10_000).prop_map(Signer::Ending),
    ]
}

/// What was issued at `now` is right, and is left alone then and a moment later; that is told in one write.
fn stays_as_issued(spec: &CertificateSpec, signer: Signer, now: Timestamp) {
    let world = Given::certificate("web").with(|given| given.clone_from(spec));
    let mut world = match signer {
        Signer::Itself => world.by_itself(),
        Signer::Ca(at) => world.by(&cas()[at]),
        Signer::Ending(minutes) => {
            let lives = format!("{}m", 1440 + u32::from(minutes));
            world.by(&Ca::root("Ending", "2026-11-01", &lives))
        }
    };
    let step = world.reconcile(now);
    assert!(matches!(step.plan, Plan::Issue { .. }), "{step:?}");
    let assessment = world.assess(now);
    let profile = &assessment.request.as_ref().unwrap().profile;
    assert_eq!(differences(profile, &world.leaf()), Vec::<String>::new());
    let soon = now + SignedDuration::from_secs(1);
    for later in [now, soon] {
        let plan = world.plan(&later.to_string());
        let Plan::Keep { look_again } = plan else {
            panic!("{later}: {plan:?}");
        };
        // In whole seconds.
        let wait = look_again.duration_since(later).as_secs();
        assert!(look_again > later && wait <= MAX_LOOK_AGAIN.as_secs());
    }
    world.reconcile(soon);
    assert_eq!(world.status_writes, 1);
    assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
}

#[test]
fn rsa_stays_as_issued() {
    let spec = CertificateSpec {
        secret_name: "web".into(),
        issuer_ref: Given::certificate("web").certificate.spec.issuer_ref,
        dns_names: vec!["www.example.com".into()],
        private_key: Some(PrivateKey {
            size: Some(2048),
            ..PrivateKey::default()
        }),
        ..CertificateSpec::default()
    };
    stays_as_issued(&spec, Signer::Ca(0), at("2026-11-02"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is issued has no drift, is kept, and is told once: by whomever, at any moment of a second.
    #[test]
    fn what_is_issued_is_kept(spec in specs::valid(), signer in signer(), nanosecond in 0..1_000_000_000_i32) {
        stays_as_issued(&spec, signer, at("2026-11-02") + SignedDuration::new(0, nanosecond));
    }

    /// Whatever is repaired or issued for a new spec comes to rest, and nothing is done twice.
    #[test]
    fn a_new_spec_comes_to_rest(before in specs::valid(), after in specs::valid()) {
        let mut world = Given::certificate("web").with(|spec| *spec = before).by(&cas()[0]).issued("2026-11-02");
        world.change(|spec| *spec = after);
        let first = world.reconcile(at("2026-11-02T00:10:00Z")).plan;
        let plan = world.plan("2026-11-02T00:10:00Z");
        let kept = matches!(plan, Plan::Keep { .. });
        prop_assert!(kept || matches!(first, Plan::Blocked { .. }), "{first:?}, then {plan:?}");
        prop_assert_eq!(&world.status().last_restored, &None);
        let writes = world.status_writes;
        world.reconcile(at("2026-11-02T00:10:01Z"));
        prop_assert_eq!(world.status_writes, writes);
    }

    /// Whatever is refused, it comes back to what was there before at most once, and nothing is issued for it again and again.
    #[test]
    fn what_is_refused_comes_to_rest(before in specs::valid(), after in specs::valid()) {
        let mut world = Given::certificate("web")
            .with(|spec| {
                *spec = before;
                spec.rollout = rolls_back();
            })
            .by(&cas()[0])
            .issued("2026-11-02");
        let first = world.leaf().fingerprint;
        world.change(|spec| {
            *spec = after;
            spec.rollout = rolls_back();
        });
        world.reconcile(at("2026-11-02T00:10:00Z"));
        let issued = world.issued.len();
        let refused = world.leaf().fingerprint;
        for minute in 20..40 {
            if refused != first && world.leaf().fingerprint == refused {
                world.refuse();
            }
            world.reconcile(at(&format!("2026-11-02T00:{minute}:00Z")));
        }
        prop_assert_eq!(world.issued.len(), issued);
        let held = world.leaf().fingerprint;
        prop_assert!(held == first || held == refused);
        if held != refused {
            prop_assert!(world.status().held_back.is_some());
            prop_assert_eq!(world.status().revision, Some(3));
        }
    }

    /// Whatever stands in the Secret and the status, a Certificate that can be issued comes to rest, within a day: with
    /// what was asked for, or with a word about who is in the way.
    #[test]
    fn whatever_stands_there_comes_to_rest(
        spec in specs::valid(),
        secret in of(any_secret()),
        told in of(any_status()),
        ca in 0..4_usize,
    ) {
        let mut world = Given::certificate("web").with(|given| *given = spec).by(&cas()[ca]);
        // 90 days, so that none is due.
        world.certificate.spec.duration = None;
        world.secret = secret;
        world.certificate.status = told;
        let begin = at("2026-11-02");
        world.run(begin, at("2026-11-03"));
        let plan = world.plan("2026-11-03");
        prop_assert!(matches!(plan, Plan::Keep { .. } | Plan::Blocked { .. }), "{plan:?}");
        prop_assert!(world.issued.len() <= 1, "{:?}", world.issued);
        let writes = world.status_writes;
        world.reconcile(at("2026-11-03"));
        world.reconcile(at("2026-11-03"));
        prop_assert!(world.status_writes <= writes + 1);
    }

    /// There is a plan and a status for whatever stands in the cluster, at any time.
    #[test]
    fn nothing_makes_planning_panic(world in any_world(), now in any_time()) {
        looks(&world, now);
    }
}

fn looks(world: &World, now: Timestamp) {
    let observed = world
        .secret
        .as_ref()
        .map(|secret| Observed::of(secret, &world.group));
    let inputs = world.inputs(observed.as_ref());
    let assessment = assess(now, &inputs);
    let plan = decide(now, &inputs, &assessment);
    assert_eq!(
        plan,
        decide(now, &inputs, &assess(now, &inputs)),
        "it is the same each time"
    );
    if let Plan::Keep { look_again: next }
    | Plan::Hold { until: next, .. }
    | Plan::HoldRepair { until: next, .. } = &plan
    {
        // Rounded up to whole seconds.
        let longest = MAX_LOOK_AGAIN + SignedDuration::from_secs(1);
        assert!(
            *next >= now && next.duration_since(now) <= longest,
            "{next}"
        );
    }
    let failed = Failure::new("No", "No.".into());
    for outcome in [
        Outcome::Nothing,
        Outcome::Done(Undoes::Nothing),
        Outcome::Done(Undoes::Again { by: None }),
        Outcome::Failed(failed),
    ] {
        let told = status::status(now, &inputs, &assessment, &plan, &outcome);
        assert!(status::unchanged(Some(&told), &told));
    }
}
