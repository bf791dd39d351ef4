//! A CA of five hundred certificates replaced: what each client and each server has at every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};

use super::cas::{Ca, root};
use super::world::{Given, World, at};
use crate::pki::Authority;
use crate::pki::facts::Fingerprint;
use crate::plan::{IssueReason, OldLeaves, older_until};

/// How late a volume shows what its Secret holds, at most.
const LAG: SignedDuration = SignedDuration::from_mins(2);
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
const LEAVES: usize = 500;

/// When what happened to one Secret.
#[derive(Clone, Debug)]
struct Seen {
    /// The new root came into `ca.crt`.
    trusts_new: Timestamp,
    /// The leaf of the new key came into `tls.crt`.
    shows_new: Timestamp,
    /// The old root left `ca.crt`.
    trusts_old_until: Timestamp,
}

/// All Secrets of one issuer, looked after as the shell does it.
struct Fleet {
    worlds: Vec<World>,
    new: Authority,
    old_root: Fingerprint,
    new_root: Fingerprint,
    old_leaves: BTreeSet<usize>,
    gone_since: Option<Timestamp>,
    seen: BTreeMap<usize, Seen>,
    ticks: BTreeSet<(Timestamp, usize)>,
}

impl Fleet {
    /// So many certificates of one CA, which is replaced now.
    fn replaced(begin: Timestamp) -> Self {
        let (old, new) = (root(), root());
        let worlds: Vec<World> = (0..LEAVES)
            .map(|number| {
                let name = format!("web-{number}");
                let mut world = Given::certificate(&name).by(&old).issued("2026-11-02");
                world.sign_by(&new);
                world
            })
            .collect();
        let top = |ca: &Ca| ca.authority().top().fingerprint;
        Self {
            worlds,
            old_root: top(&old),
            new_root: top(&new),
            new: new.authority(),
            old_leaves: (0..LEAVES).collect(),
            gone_since: None,
            seen: BTreeMap::new(),
            // Ten a second: an API server that is busy with other work.
            ticks: (0..LEAVES)
                .map(|number| {
                    let turn = SignedDuration::from_secs(number as i64 / 10);
                    (begin + turn, number)
                })
                .collect(),
        }
    }

    /// Lets everybody look whenever the shell would, up to this moment.
    fn run(&mut self, until: Timestamp) {
        while let Some((now, number)) = self.ticks.pop_first() {
            if now > until {
                self.ticks.insert((now, number));
                return;
            }
            self.look(now, number);
        }
    }

    fn look(&mut self, now: Timestamp, number: usize) {
        let old_leaves = if self.old_leaves.is_empty() {
            OldLeaves::GoneSince(*self.gone_since.get_or_insert(now))
        } else {
            OldLeaves::Held
        };
        let world = &mut self.worlds[number];
        world.old_leaves = old_leaves;
        let before = world.secret.clone();
        let next = world.reconcile(now).next;
        if world.secret == before {
            self.ticks.insert((next, number));
        } else {
            // The watch shows what was written, and it is looked at again.
            let next = now + SignedDuration::from_secs(1);
            self.ticks.insert((next, number));
            self.note(now, number);
        }
    }

    fn note(&mut self, now: Timestamp, number: usize) {
        let observed = self.worlds[number].observed().unwrap();
        if older_until(now, &observed, &self.new).is_none() {
            self.old_leaves.remove(&number);
        }
        let roots = observed.ca.as_ref().unwrap();
        let never = Timestamp::MAX;
        let seen = self.seen.entry(number).or_insert(Seen {
            trusts_new: never,
            shows_new: never,
            trusts_old_until: never,
        });
        if roots.contains(&self.new_root) {
            seen.trusts_new = seen.trusts_new.min(now);
        }
        if !self.old_leaves.contains(&number) {
            seen.shows_new = seen.shows_new.min(now);
        }
        if !roots.contains(&self.old_root) {
            seen.trusts_old_until = seen.trusts_old_until.min(now);
        }
    }
}

const BEGIN: &str = "2026-11-10T12:00:00Z";

/// One replacement from end to end, and the fleet after it.
fn over() -> &'static Vec<Seen> {
    static OVER: OnceLock<Vec<Seen>> = OnceLock::new();
    OVER.get_or_init(|| {
        let mut fleet = Fleet::replaced(at(BEGIN));
        fleet.run(at(BEGIN) + SignedDuration::from_hours(4));
        for world in &fleet.worlds {
            let reasons: Vec<_> = world.issued[1..].iter().map(|(_, why)| why).collect();
            assert_eq!(reasons, [&IssueReason::CaReplaced]);
            assert_eq!(world.repaired.len(), 2, "a root came, and one went");
            assert_eq!(world.status().last_restored, None);
            assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
        }
        fleet.seen.into_values().collect()
    })
}

#[test]
fn every_client_has_the_new_root_before_any_server_shows_its_leaf() {
    let last = over().iter().map(|seen| seen.trusts_new).max().unwrap();
    let first = over().iter().map(|seen| seen.shows_new).min().unwrap();
    assert!(last + LAG <= first, "{last} {first}");
}

#[test]
fn every_server_shows_its_new_leaf_before_any_client_drops_the_old_root() {
    let last = over().iter().map(|seen| seen.shows_new).max().unwrap();
    let first = over()
        .iter()
        .map(|seen| seen.trusts_old_until)
        .min()
        .unwrap();
    assert!(last + LAG <= first, "{last} {first}");
    // And drop it they do, at one of their hourly looks.
    let last = over()
        .iter()
        .map(|seen| seen.trusts_old_until)
        .max()
        .unwrap();
    let soonest = at(BEGIN) + OVERLAP;
    assert!(
        (soonest..soonest + SignedDuration::from_hours(2)).contains(&last),
        "{last}"
    );
}

#[test]
fn five_hundred_leaves_follow_evenly_over_the_overlap() {
    let mut per_bin = [0; 11];
    let mut per_second = BTreeMap::<i64, usize>::new();
    for seen in over() {
        let wait = seen.shows_new.duration_since(seen.trusts_new);
        assert!(wait >= SignedDuration::from_mins(5), "{wait}");
        assert!(wait <= OVERLAP, "{wait}");
        per_bin[((wait.as_secs() - 300) / 300).min(10) as usize] += 1;
        *per_second.entry(seen.shows_new.as_second()).or_default() += 1;
    }
    // 45 are expected in each five minutes; six standard deviations are 39.
    assert!(
        per_bin.iter().all(|count| (6..=84).contains(count)),
        "{per_bin:?}"
    );
    let most = per_second.values().max().unwrap();
    assert!(*most <= 6, "{most} in one second");
}

#[test]
fn one_that_comes_late_keeps_the_old_root_with_all_others_until_its_server_has_changed() {
    let (old, new) = (root(), root());
    let overlap_over = at(BEGIN) + OVERLAP + SignedDuration::from_mins(30);
    let mut world = Given::certificate("web").by(&old).issued("2026-11-02");
    world.old_leaves = OldLeaves::Held;
    world.sign_by(&new);
    world.run(at(BEGIN), overlap_over);
    // Another Secret that nobody could write was written at last.
    world.old_leaves = OldLeaves::GoneSince(overlap_over);
    let roots = |world: &World| world.stored("ca.crt").len();
    for (minute, expected) in [(0, 2), (2, 2), (4, 2), (5, 1)] {
        world.reconcile(overlap_over + SignedDuration::from_mins(minute));
        assert_eq!(roots(&world), expected, "{minute} minutes after");
    }
}

#[test]
fn an_older_certificate_is_one_of_another_key_or_chain_while_it_lasts() {
    let (old, new) = (root(), root());
    let world = Given::certificate("web").by(&old).issued("2026-11-02");
    let (held, leaf) = (world.observed().unwrap(), world.leaf());
    let older = |now, ca: &Ca| older_until(now, &held, &ca.authority());
    assert_eq!(older(at(BEGIN), &new), Some(leaf.not_after));
    assert_eq!(older(at(BEGIN), &old), None);
    assert_eq!(older(at(BEGIN), &old.renewed("2026-11-03", "87600h")), None);
    assert_eq!(older(leaf.not_after, &new), Some(leaf.not_after));
    assert_eq!(
        older(leaf.not_after + SignedDuration::from_secs(1), &new),
        None
    );

    let middle = old.below("Middle", "2026-11-01", "50000h");
    let world = Given::certificate("web").by(&middle).issued("2026-11-02");
    let held = world.observed().unwrap();
    let resigned = middle.signed_anew_by(&new, "2026-11-03", "50000h");
    assert_eq!(older_until(at(BEGIN), &held, &middle.authority()), None);
    assert!(older_until(at(BEGIN), &held, &resigned.authority()).is_some());
}
