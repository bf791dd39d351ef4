//! A small cluster in which certificates change, owners edit, and the operator comes and goes.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const SECRETS: [&str; 2] = ["api-tls", "web-tls"];

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// A certificate is issued for the Secret of this number.
    Issue(usize),
    /// The operator stops: nothing is planned until it starts.
    Stop,
    /// The operator starts, with nothing but what the cluster says.
    Start,
    /// The Secret's labels change: the certificate does not.
    Relabel,
    /// The owner changes the template, which restarts the Pods.
    Edit,
    /// The owner puts back an older state of the template and of the annotations, as `kubectl rollout undo` does.
    Undo,
    /// The owner puts back the template only, as a sync from Git may.
    Revert,
    /// The owner replaces the object with one without marks.
    Replace,
    /// Time goes by.
    Pass(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (0..SECRETS.len()).prop_map(Happening::Issue),
        1 => Just(Happening::Stop),
        2 => Just(Happening::Start),
        1 => Just(Happening::Relabel),
        1 => Just(Happening::Edit),
        1 => Just(Happening::Undo),
        1 => Just(Happening::Revert),
        1 => Just(Happening::Replace),
        4 => (1_i64..200).prop_map(Happening::Pass),
    ]
}

struct Cluster {
    now: Timestamp,
    running: bool,
    held: BTreeMap<Source, Held>,
    issued: usize,
    object: Value,
    /// Template's and workload's annotations as they were before each roll.
    past: Vec<(Value, Value)>,
    /// What the rollout manager owns: what it leaves out next time is removed.
    owned: Marks,
    pods: Pods,
    /// What the Pods read when they started.
    read: BTreeMap<Source, String>,
    /// Which certificates a roll of the operator was for.
    rolled_for: BTreeSet<(Source, String)>,
}

impl Cluster {
    fn new() -> Self {
        let mut cluster = Self {
            now: at("12:00:00"),
            running: true,
            held: BTreeMap::new(),
            issued: 0,
            object: deployment(),
            past: Vec::new(),
            owned: Marks::default(),
            pods: Pods::default(),
            read: BTreeMap::new(),
            rolled_for: BTreeSet::new(),
        };
        for number in 0..SECRETS.len() {
            cluster.issue(number);
        }
        cluster.restart();
        cluster
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Issue(number) => self.issue(number),
            Happening::Stop => self.running = false,
            Happening::Start => self.running = true,
            Happening::Relabel => {}
            Happening::Edit => {
                let edit = json!(self.now.to_string());
                self.object["spec"]["template"]["metadata"]["annotations"]["edited"] = edit;
                self.restart();
            }
            Happening::Undo => {
                if let Some((template, workload)) = self.past.pop() {
                    self.object["metadata"]["annotations"] = workload;
                    self.put_back(template);
                }
            }
            Happening::Revert => {
                if let Some((template, _)) = self.past.first().cloned() {
                    self.put_back(template);
                }
            }
            Happening::Replace => {
                self.object["metadata"]["annotations"] = json!({});
                self.put_back(json!({}));
            }
            Happening::Pass(seconds) => self.pass(seconds),
        }
    }

    /// Pods and Secrets say the time to the second: what happens within the same one has no order.
    fn issue(&mut self, number: usize) {
        self.pass(1);
        self.issued += 1;
        let certificate = Held {
            issued_at: Some(self.now),
            ..held(&format!("fingerprint-{}", self.issued))
        };
        self.held
            .insert(Source::secret(SECRETS[number]), certificate);
    }

    fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    fn put_back(&mut self, template: Value) {
        let annotations = &mut self.object["spec"]["template"]["metadata"]["annotations"];
        if *annotations != template {
            *annotations = template;
            self.restart();
        }
    }

    /// The Pods are replaced within a second, and read what is held then.
    fn restart(&mut self) {
        self.pass(1);
        self.pods = Pods {
            earliest_start: Some(self.now),
        };
        let read = self
            .held
            .iter()
            .map(|(secret, held)| (secret.clone(), held.fingerprint.clone()));
        self.read = read.collect();
    }

    /// Lets the operator do all it wants to, and checks that each of its rolls is for something.
    fn settle(&mut self) {
        if !self.running {
            return;
        }
        for _ in 0..20 {
            let workload = read(&self.object);
            let plan = plan_rollout(
                self.now,
                &Inputs {
                    group: &group(),
                    workload: &workload,
                    held: &self.held,
                    pods: Some(self.pods),
                },
            );
            match plan {
                RolloutPlan::Nothing => return,
                RolloutPlan::Wait { until, .. } => {
                    assert!(until > self.now, "waits for the past");
                    self.now = until;
                }
                RolloutPlan::Baseline { marks } => {
                    let before = self.pods;
                    self.apply(marks);
                    assert_eq!(self.pods, before, "a baseline restarted the Pods");
                }
                RolloutPlan::Roll { marks, sources, .. } => {
                    self.past.push((
                        self.object["spec"]["template"]["metadata"]["annotations"].clone(),
                        self.object["metadata"]["annotations"].clone(),
                    ));
                    for source in &sources {
                        let held = &self.held[source];
                        let first = self
                            .rolled_for
                            .insert((source.clone(), held.fingerprint.clone()));
                        let since = self
                            .pods
                            .earliest_start
                            .unwrap()
                            .duration_since(held.issued_at.unwrap());
                        // Undone at once, nobody can tell what the Pods that followed have read.
                        assert!(
                            first || since.as_secs() <= 60,
                            "rolled twice for one certificate in {source}"
                        );
                    }
                    let before = self.pods;
                    self.apply(marks);
                    assert_ne!(self.pods, before, "a roll restarted nothing");
                }
                other => panic!("healthy, restarted, and its Pods were read: {other:?}"),
            }
        }
        panic!("the operator never comes to rest");
    }

    /// Server-side apply: sets what is said, removes what was owned and is not said any more.
    fn apply(&mut self, marks: Marks) {
        let owned = std::mem::replace(&mut self.owned, marks);
        let template = &mut self.object["spec"]["template"]["metadata"]["annotations"];
        let changed = apply_annotations(template, &owned.template, &self.owned.template);
        apply_annotations(
            &mut self.object["metadata"]["annotations"],
            &owned.baseline,
            &self.owned.baseline,
        );
        if changed {
            self.restart();
        }
    }
}

fn apply_annotations(
    live: &mut Value,
    owned: &BTreeMap<String, String>,
    said: &BTreeMap<String, String>,
) -> bool {
    let before = live.clone();
    let annotations = live.as_object_mut().unwrap();
    annotations.retain(|key, _| !owned.contains_key(key) || said.contains_key(key));
    annotations.extend(said.iter().map(|(key, mark)| (key.clone(), json!(mark))));
    *live != before
}

proptest! {
    #[test]
    fn pods_end_up_with_what_is_held_and_no_certificate_costs_two_rolls(
        happenings in prop::collection::vec(happening(), 0..30),
    ) {
        let mut cluster = Cluster::new();
        cluster.settle();
        prop_assert_eq!(cluster.rolled_for.len(), 0, "installing rolled");
        for happening in happenings {
            cluster.happen(happening);
            cluster.settle();
        }
        cluster.running = true;
        cluster.settle();
        let held: BTreeMap<Source, String> =
            cluster.held.iter().map(|(secret, held)| (secret.clone(), held.fingerprint.clone())).collect();
        prop_assert_eq!(&cluster.read, &held);
    }

    #[test]
    fn without_edits_each_new_certificate_costs_one_roll_and_two_together_one(
        changes in prop::collection::vec((any::<bool>(), any::<bool>(), 100_i64..1000), 1..10),
    ) {
        let mut cluster = Cluster::new();
        cluster.settle();
        for (number, (both, down, later)) in changes.into_iter().enumerate() {
            cluster.running = !down;
            cluster.pass(later);
            cluster.issue(0);
            cluster.settle_a_little();
            if both {
                cluster.issue(1);
            }
            cluster.settle();
            cluster.running = true;
            cluster.settle();
            cluster.happen(Happening::Relabel);
            cluster.settle();
            prop_assert_eq!(cluster.past.len(), number + 1);
        }
    }
}

impl Cluster {
    /// Two seconds in which nothing may have happened yet: certificates settle for five.
    fn settle_a_little(&mut self) {
        let until = self.now + SignedDuration::from_secs(2);
        self.settle_until(until);
        self.now = until;
    }

    fn settle_until(&self, until: Timestamp) {
        if self.running {
            let workload = read(&self.object);
            let plan = plan_rollout(
                self.now,
                &Inputs {
                    group: &group(),
                    workload: &workload,
                    held: &self.held,
                    pods: Some(self.pods),
                },
            );
            assert!(
                matches!(plan, RolloutPlan::Wait { until: then, .. } if then > until),
                "acted before the certificate settled: {plan:?}",
            );
        }
    }
}

/// A cluster in which a certificate was replaced, and rolled out.
fn after_a_renewal() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.settle();
    cluster.pass(100);
    cluster.issue(1);
    cluster.settle();
    assert_eq!(cluster.past.len(), 1);
    cluster
}

#[test]
fn a_template_put_back_at_once_costs_no_second_roll() {
    let mut cluster = after_a_renewal();
    cluster.happen(Happening::Revert);
    cluster.settle();
    assert_eq!(cluster.past.len(), 1);
}

#[test]
fn an_undo_after_a_minute_costs_no_second_roll() {
    let mut cluster = after_a_renewal();
    cluster.pass(60);
    cluster.happen(Happening::Undo);
    cluster.settle();
    assert_eq!(cluster.past.len(), 0, "the undo took the only roll back");
    assert_eq!(cluster.read[&web()], cluster.held[&web()].fingerprint);
}
