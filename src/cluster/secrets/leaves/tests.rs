use std::collections::BTreeMap;
use std::ops::Range;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::watcher::Event;
use serde_json::json;

use super::super::state::State;
use super::*;

const CA: Fingerprint = Fingerprint([1; 32]);

fn now() -> Timestamp {
    "2026-11-02T10:00:00Z".parse().unwrap()
}

fn issuer(name: &str) -> IssuerKey {
    let name = name.to_owned();
    let issuer = IssuerName {
        cluster: false,
        name,
    };
    (issuer, "shop".to_owned())
}

/// A Secret as a test sees it: which issuer's it is, whether its certificate is older, whether it keeps an older root.
#[derive(Clone, Debug)]
struct Sketch {
    number: usize,
    issuer: &'static str,
    older: bool,
    keeps: bool,
}

impl Sketch {
    fn observed(&self, version: u64) -> Observed {
        let group = Group::default();
        let mut annotations = BTreeMap::from([
            (group.key("issuer-kind"), "Issuer".to_owned()),
            (group.key("issuer-name"), self.issuer.to_owned()),
        ]);
        if self.keeps {
            annotations.insert(group.key("ca-replaced-at"), now().to_string());
        }
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {
                "namespace": "shop", "name": format!("web-{}", self.number), "annotations": annotations,
                "resourceVersion": version.to_string(),
                // Where the tests write what a certificate would say.
                "uid": if self.older { "older" } else { "" },
            },
        }))
        .unwrap();
        Observed::of(&secret, &group)
    }
}

fn never_ends(secret: &Observed) -> Option<Timestamp> {
    (secret.uid == "older").then_some(Timestamp::MAX)
}

/// The Secrets, and what it cost to ask about them.
struct Shop {
    state: State,
    version: u64,
    read: usize,
}

impl Shop {
    fn new(sketches: impl IntoIterator<Item = Sketch>) -> Self {
        let mut shop = Self {
            state: State::default(),
            version: 0,
            read: 0,
        };
        shop.list(sketches);
        shop
    }

    fn list(&mut self, sketches: impl IntoIterator<Item = Sketch>) {
        self.state.follow_ours(Event::Init);
        for sketch in sketches {
            let event = Event::InitApply(self.next(&sketch));
            self.state.follow_ours(event);
        }
        self.state.follow_ours(Event::InitDone);
    }

    fn next(&mut self, sketch: &Sketch) -> Arc<Observed> {
        self.version += 1;
        Arc::new(sketch.observed(self.version))
    }

    /// Our write; the watch shows it afterwards.
    fn write(&mut self, sketch: &Sketch) {
        let written = self.next(sketch);
        self.state.wrote(&written);
        self.state.follow_ours(Event::Apply(written));
    }

    fn ask(&mut self, now: Timestamp, name: &str) -> OldLeaves {
        self.state.old_leaves(now, &issuer(name), CA, |secret| {
            self.read += 1;
            never_ends(secret)
        })
    }

    /// Whether an older certificate of an issuer is held, as asked of each Secret.
    fn truth(&self, name: &str) -> bool {
        let group = Group::default();
        let all = self.state.all();
        all.iter().any(|secret| {
            secret
                .issuer(&group)
                .is_some_and(|issuer| issuer.name == name)
                && secret.uid == "older"
        })
    }
}

fn sketches(numbers: Range<usize>, issuer: &'static str) -> impl Iterator<Item = Sketch> {
    numbers.map(move |number| Sketch {
        number,
        issuer,
        older: true,
        keeps: false,
    })
}

#[test]
fn a_ca_of_ten_thousand_leaves_is_replaced_with_a_few_looks_at_each() {
    const LEAVES: usize = 10_000;
    let mut leaves: Vec<_> = sketches(0..LEAVES, "ca").collect();
    let others = sketches(LEAVES..LEAVES + 1_000, "other");
    let mut shop = Shop::new(leaves.iter().cloned().chain(others));
    // Each reconcile of one that keeps an older root asks: after each write, and between.
    for leaf in &mut leaves {
        leaf.keeps = true;
        shop.write(leaf);
        assert_eq!(shop.ask(now(), "ca"), OldLeaves::Held);
    }
    for leaf in &mut leaves {
        assert_eq!(shop.ask(now(), "ca"), OldLeaves::Held);
        leaf.older = false;
        shop.write(leaf);
        shop.ask(now(), "ca");
    }
    let later = now() + SignedDuration::from_hours(1);
    let mut gone = 0;
    for leaf in &mut leaves {
        gone += usize::from(shop.ask(later, "ca") != OldLeaves::Held);
        leaf.keeps = false;
        shop.write(leaf);
    }
    // All read within the first few hundred, each of which reads some.
    assert!(gone > LEAVES / 2, "{gone}");
    assert!(shop.read <= 4 * LEAVES, "{} read", shop.read);
    assert!(shop.state.is_at_rest(), "nothing is kept");
}

#[test]
fn an_answer_never_costs_more_than_some_and_is_held_until_all_were_read() {
    let current = sketches(0..AT_ONCE * 3, "ca").map(|sketch| Sketch {
        older: false,
        keeps: true,
        ..sketch
    });
    let mut shop = Shop::new(current);
    for (read, answer) in [
        (AT_ONCE, OldLeaves::Held),
        (AT_ONCE * 2, OldLeaves::Held),
        (AT_ONCE * 3, OldLeaves::GoneSince(now())),
        (AT_ONCE * 3, OldLeaves::GoneSince(now())),
    ] {
        assert_eq!((shop.ask(now(), "ca"), shop.read), (answer, read));
    }
}

#[test]
fn gone_is_gone_since_it_was_found_so_first() {
    let minutes = |minutes| now() + SignedDuration::from_mins(minutes);
    let mut leaf = Sketch {
        number: 1,
        issuer: "ca",
        older: false,
        keeps: true,
    };
    let mut shop = Shop::new([leaf.clone()]);
    assert_eq!(shop.ask(minutes(0), "ca"), OldLeaves::GoneSince(minutes(0)));
    assert_eq!(shop.ask(minutes(9), "ca"), OldLeaves::GoneSince(minutes(0)));
    // A new list changes nothing about that.
    shop.list([leaf.clone()]);
    assert_eq!(shop.ask(minutes(9), "ca"), OldLeaves::GoneSince(minutes(0)));
    // A clock set back: what was noted ahead of it would last too long.
    assert_eq!(
        shop.ask(minutes(-9), "ca"),
        OldLeaves::GoneSince(minutes(-9))
    );
    leaf.older = true;
    shop.write(&leaf);
    assert_eq!(shop.ask(minutes(10), "ca"), OldLeaves::Held);
    leaf.older = false;
    shop.write(&leaf);
    assert_eq!(
        shop.ask(minutes(20), "ca"),
        OldLeaves::GoneSince(minutes(20))
    );
    // Another CA: what was known of the one before says nothing.
    let other = Fingerprint([2; 32]);
    let answer = shop
        .state
        .old_leaves(minutes(30), &issuer("ca"), other, never_ends);
    assert_eq!(answer, OldLeaves::GoneSince(minutes(30)));
}

#[test]
fn a_certificate_that_expired_keeps_nobody_waiting() {
    let kept = sketches(0..2, "ca").map(|sketch| Sketch {
        keeps: true,
        ..sketch
    });
    let mut shop = Shop::new(kept);
    let ends = |secret: &Observed| never_ends(secret).map(|_| now());
    let mut ask = |at| shop.state.old_leaves(at, &issuer("ca"), CA, ends);
    assert_eq!(ask(now()), OldLeaves::Held);
    let after = now() + SignedDuration::from_secs(1);
    let ends = |_: &Observed| None;
    let answer = shop.state.old_leaves(after, &issuer("ca"), CA, ends);
    assert_eq!(answer, OldLeaves::GoneSince(after));
}

#[test]
fn an_issuer_is_one_of_its_namespace_and_a_cluster_issuer_of_all() {
    let group = Group::default();
    let replacements = Replacements::new(group.clone());
    let mut secret = Sketch {
        number: 1,
        issuer: "ca",
        older: true,
        keeps: true,
    }
    .observed(1);
    assert_eq!(replacements.issuer(&secret), Some(issuer("ca")));
    secret
        .annotations
        .insert(group.key("issuer-kind"), "ClusterIssuer".to_owned());
    let name = IssuerName {
        cluster: true,
        name: "ca".to_owned(),
    };
    assert_eq!(replacements.issuer(&secret), Some((name, String::new())));
    secret.annotations.clear();
    assert_eq!(replacements.issuer(&secret), None);
}

#[test]
fn whatever_happens_in_whatever_order_the_answer_is_that_of_looking_at_each() {
    // Numbers that are the same each time, and look random (MMIX by Knuth).
    let mut seed = 42_u64;
    let mut random = |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut shop = Shop::new([]);
    let mut unseen = Vec::new();
    let mut answers = [0, 0];
    for step in 0..20_000 {
        let sketch = Sketch {
            number: random(6) as usize,
            issuer: if random(2) == 0 { "ca" } else { "other" },
            older: random(6) == 0,
            keeps: random(2) == 0,
        };
        match random(12) {
            0..=3 => shop.write(&sketch),
            4..=5 => {
                // The watch shows it some time later, or never.
                let written = shop.next(&sketch);
                shop.state.wrote(&written);
                unseen.push(written);
            }
            6 => {
                if let Some(written) = unseen.pop() {
                    shop.state.follow_ours(Event::Apply(written));
                }
            }
            7 => {
                let gone = shop.next(&sketch);
                shop.state.follow_ours(Event::Delete(gone));
            }
            8 if random(20) == 0 => {
                let listed: Vec<_> = sketches(0..random(6) as usize, "ca").collect();
                shop.list(listed);
            }
            _ => {
                let held = shop.ask(now(), sketch.issuer) == OldLeaves::Held;
                assert_eq!(held, shop.truth(sketch.issuer), "step {step}");
                answers[usize::from(held)] += 1;
            }
        }
    }
    assert!(answers.iter().all(|count| *count > 500), "{answers:?}");
}
