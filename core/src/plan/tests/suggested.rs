//! What a CA suggests (RFC 9773), and lives so short that nobody needs to be asked.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::world::{Given, World, at};
use crate::api::certificate::{Renewal, RenewalPolicy, SuggestedWindow};
use crate::plan::assess::later;
use crate::plan::{Heard, IssueReason, Plan, Suggestion};

const HEARD: &str = "2026-11-02T13:00:00Z";

/// Held from 2 November at noon on, for 90 days.
fn held() -> World {
    let mut world = Given::certificate("web").by_an_outsider("acme.1");
    renew(&mut world, at("2026-11-02T12:00:00Z"));
    world
}

/// An order, and its end.
fn renew(world: &mut World, now: Timestamp) {
    let serial = world.status_serial();
    world.reconcile(now);
    world.reconcile(now);
    assert_ne!(world.status_serial(), serial);
}

impl World {
    fn status_serial(&self) -> Option<String> {
        self.certificate.status.as_ref()?.serial_number.clone()
    }

    fn hears(&mut self, when: &str, suggestion: Suggestion) {
        self.heard.suggestion = suggestion;
        self.reconcile(at(when));
        self.heard = Heard::default();
    }

    fn reason(&self, now: &str) -> Option<IssueReason> {
        self.assess(at(now)).reason
    }
}

fn window(start: &str, end: &str, heard: &str) -> SuggestedWindow {
    SuggestedWindow {
        start: Time(at(start)),
        end: Time(at(end)),
        explanation_url: Some("https://ca.example/why".to_owned()),
        checked_at: Some(Time(at(heard))),
    }
}

#[test]
fn what_the_ca_suggested_is_kept_in_the_status_and_counts_from_there() {
    let mut world = held();
    let suggested = window("2026-11-20", "2026-11-22", HEARD);
    world.hears(HEARD, Suggestion::Window(suggested.clone()));
    assert_eq!(world.status().renewal_window, Some(suggested));
    let moment = world.status().renewal_time.as_ref().unwrap().0;
    assert!(at("2026-11-20") <= moment && moment < at("2026-11-22"));
    assert_eq!(world.reason("2026-11-19T23:59:59Z"), None);
    assert_eq!(
        world.reason("2026-11-22"),
        Some(IssueReason::Suggested),
        "{moment}"
    );
    // Nothing new is nothing to write.
    let writes = world.status_writes;
    world.reconcile(at("2026-11-03"));
    assert_eq!(world.status_writes, writes);

    renew(&mut world, at("2026-11-22"));
    assert_eq!(world.status().renewal_window, None);
    assert_eq!(world.reason("2026-12-25"), None);
}

#[test]
fn a_later_window_puts_the_renewal_off_and_a_window_after_the_end_counts_for_nothing() {
    let mut world = held();
    let ordinary = world.status().renewal_time.clone().unwrap();
    let late = window("2027-01-10", "2027-01-12", HEARD);
    world.hears(HEARD, Suggestion::Window(late));
    assert_eq!(world.reason("2027-01-09"), None);
    assert_eq!(world.reason("2027-01-12"), Some(IssueReason::Suggested));
    let nonsense = window("2028-01-10", "2028-01-12", HEARD);
    world.hears(HEARD, Suggestion::Window(nonsense));
    assert_eq!(world.status().renewal_time, Some(ordinary));
    assert_eq!(world.reason("2027-01-09"), Some(IssueReason::Due));
}

#[test]
fn a_window_in_the_past_means_at_once_and_then_not_again_for_a_day() {
    let mut world = held();
    let past = || window("2026-11-01", "2026-11-02", HEARD);
    world.hears(HEARD, Suggestion::Window(past()));
    assert_eq!(world.reason(HEARD), Some(IssueReason::Suggested));
    renew(&mut world, at(HEARD));
    // The CA says the same of whatever it signs.
    world.hears("2026-11-02T13:05:00Z", Suggestion::Window(past()));
    let plan = world.plan("2026-11-03T12:00:00Z");
    assert!(matches!(plan, Plan::Keep { .. }), "{plan:?}");
    assert_eq!(
        world.reason("2026-11-03T13:30:00Z"),
        Some(IssueReason::Suggested)
    );
}

#[test]
fn a_suggestion_is_of_one_certificate_and_of_a_ca_that_may_be_listened_to() {
    let past = || window("2026-11-01", "2026-11-02", HEARD);
    let told = |serial: Option<&str>| {
        let mut world = held();
        let status = world.certificate.status.as_mut().unwrap();
        status.renewal_window = Some(past());
        if let Some(serial) = serial {
            status.serial_number = Some(serial.to_owned());
        }
        world
    };
    assert_eq!(told(None).reason(HEARD), Some(IssueReason::Suggested));
    assert_eq!(told(Some("04ab")).reason(HEARD), None);
    let mut unheard = told(None);
    unheard.hears(HEARD, Suggestion::Nothing);
    assert_eq!(unheard.status().renewal_window, None);
    assert_eq!(unheard.reason(HEARD), None);
    // While the CA can't be asked, what it said holds.
    let lapsed = told(None).lapsed("it is away");
    assert_eq!(lapsed.reason(HEARD), Some(IssueReason::Suggested));
}

#[test]
fn whoever_renews_nothing_by_itself_follows_no_suggestion() {
    let mut world = held().changed(|spec| {
        spec.renewal = Some(Renewal {
            policy: RenewalPolicy::Disabled,
            windows: Vec::new(),
        });
    });
    let past = window("2026-11-01", "2026-11-02", HEARD);
    world.hears(HEARD, Suggestion::Window(past));
    assert_eq!(world.reason(HEARD), None);
}

#[test]
fn short_lives_are_renewed_in_time_without_any_suggestion() {
    for hours in [160, 45 * 24] {
        let mut world = Given::certificate("web")
            .by_an_outsider("acme.1")
            .with(|spec| spec.duration = Some(format!("{hours}h").as_str().into()));
        let start = at("2026-11-02T12:00:00Z");
        let life = jiff::SignedDuration::from_hours(hours);
        world.run(start, later(start, life * 4));
        assert!(world.issued.len() >= 5, "{:?}", world.issued);
        for pair in world.issued.windows(2) {
            let lived = pair[1].0.duration_since(pair[0].0);
            assert!(
                lived >= life / 2 && lived <= life * 2 / 3,
                "{hours}: {pair:?}"
            );
            assert_eq!(pair[1].1, IssueReason::Due);
        }
    }
}
