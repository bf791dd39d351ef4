//! What to do to one workload.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::mark::{ROLLED_AT, RUNS_UNTIL};
use super::{Choice, Health, Misconfigured, Pods, Policy, Workload, is_mark, mark_key};
use crate::api::Group;
use crate::api::certificate::{RolloutCall, RolloutStrategy};

/// How long after a certificate was issued its dependents are left alone, so that certificates that are issued
/// together cost one roll.
pub const SETTLE: SignedDuration = SignedDuration::from_secs(5);

/// How long another issuance under way holds a roll back: one that fails must not do so for ever.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// How long after the certificate was issued a workload of which no Pod is available is rolled all the same: it may be
/// so because the certificate before has expired. Long enough for Pods that are just starting.
const LAST_RESORT: SignedDuration = SignedDuration::from_mins(10);

/// How long after the certificate was issued it has surely reached the files of running Pods: their kubelet looks every
/// minute, at what its cache says, which may be a minute old.
pub const PROJECTION: SignedDuration = SignedDuration::from_mins(2);

/// How much later than the certificate a container must have started to be trusted to have read it: its node has
/// a clock of its own, and its kubelet may serve Secrets from a cache.
const LAG: SignedDuration = SignedDuration::from_secs(60);

/// The certificate held in a Secret of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The Certificate that owns the Secret, by name.
    pub certificate: String,
    /// SHA-256 of the leaf's DER, in lower-case hexadecimal.
    pub fingerprint: String,
    /// When we stored it, as the Secret says; `None` if it was not us.
    pub issued_at: Option<Timestamp>,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// Whether the one before was revoked.
    pub replaces_revoked: bool,
    /// What the Certificate wants done to workloads, or why that can't be read.
    pub policy: Result<Policy, Misconfigured>,
    /// Whether another issuance of the Certificate is under way.
    pub issuing: bool,
}

/// All that [`plan_rollout`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Whose marks.
    pub group: &'a Group,
    /// The workload.
    pub workload: &'a Workload,
    /// Of the Secrets it reads those that are ours and hold a certificate, by name.
    pub held: &'a BTreeMap<String, Held>,
    /// Its current Pods, if they were read.
    pub pods: Option<Pods>,
}

/// All marks a workload is to carry: the whole intent, since whatever an apply leaves out is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// On the Pod template.
    pub template: BTreeMap<String, String>,
    /// On the workload itself.
    pub baseline: BTreeMap<String, String>,
}

/// What to do to a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutPlan {
    /// Nothing, until something changes.
    Nothing,
    /// Look again then.
    Wait {
        /// When.
        until: Timestamp,
        /// What is waited for.
        why: Wait,
    },
    /// It should be rolled, or judged, and can't be now; look again when it changes.
    Skip {
        /// What stands in the way.
        why: Skip,
        /// The Secrets whose certificate is another than its marks say, by name: those it should be rolled for.
        secrets: Vec<String>,
        /// When to look again although nothing changed.
        until: Option<Timestamp>,
    },
    /// Somebody wrote something that can't be read: it is left alone.
    Misconfigured {
        /// What.
        problem: Misconfigured,
        /// The Secrets whose certificate it is left without, by name.
        secrets: Vec<String>,
    },
    /// Its own marks don't tell: read its current Pods and plan again.
    NeedPods {
        /// Whether nothing needs to be read as long as it isn't its turn: its marks say that it was marked for another
        /// certificate.
        paced: bool,
    },
    /// Its Pods have what is held: note that on the workload, which restarts nothing.
    Baseline {
        /// What it is to carry.
        marks: Marks,
    },
    /// Replace its Pods.
    Roll {
        /// What it is to carry.
        marks: Marks,
        /// The Secrets that ask for it, by name.
        secrets: Vec<String>,
        /// Whether it has to be its turn: not where there is nothing that could get worse.
        paced: bool,
    },
    /// Once it is its turn, send its Pods a request, and note that on the workload.
    Call {
        /// The request.
        call: RolloutCall,
        /// What it is to carry.
        marks: Marks,
        /// The Secrets that ask for it, by name.
        secrets: Vec<String>,
    },
}

/// What a roll waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Another certificate may follow at once ([`SETTLE`]).
    Settling,
    /// Another issuance for the same workload is under way.
    Issuing,
    /// The certificate has to reach the files of its Pods ([`PROJECTION`]).
    Projecting,
}

/// What stands in the way of a roll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// The Deployment is paused.
    Paused,
    /// Another change of its Pods is still under way.
    RollingOut,
    /// Not all its Pods are available: a roll could take the rest.
    Unavailable,
}

/// Says what to do to a workload. Total, and always the same for the same inputs.
///
/// The first that holds:
/// 1. it could not be read, or is being deleted → Nothing;
/// 2. it reads no Secret of ours of which it is to be given the certificate → Nothing;
/// 3. each of those is up to date: the template's mark or the baseline says the held fingerprint → Nothing;
/// 4. what is wanted for one of the others can't be read → Misconfigured;
/// 5. of the others, one was issued less than [`SETTLE`] ago, or less than a minute ago while another issuance for
///    the workload is under way → Wait;
/// 6. it is scaled to zero: whatever starts later reads what is held → Baseline;
/// 7. it reads the others again by itself (Reload): it has once they have reached its files → Wait, then Baseline;
/// 8. it is paused or not healthy → Skip, unless there is nothing that a roll could take away: none of its Pods is
///    available ten minutes after the certificate was issued, though a container has started. Pods of a paused Deployment
///    can be called all the same;
/// 9. its Pods were not read → NeedPods;
/// 10. none of the others asks for a roll or a call → Baseline;
/// 11. one asks for a roll → Roll, once for all, with a baseline for each, so that a template put back to an older one by
///     its owner, which restarts the Pods too, costs no second roll;
/// 12. Call.
///
/// Of the others, one without marks asks for a roll or a call if it was issued after a container of the current Pods had
/// started: nothing rolls at installation, nothing is missed while nobody looked. One whose marks say another
/// certificate asks for it unless all containers are known to have started well after it was issued.
pub fn plan_rollout(now: Timestamp, inputs: &Inputs<'_>) -> RolloutPlan {
    let Inputs {
        group, workload, ..
    } = *inputs;
    if workload.problem.is_some() || workload.deleting() {
        return RolloutPlan::Nothing;
    }
    let chosen = inputs.chosen();
    let followed: BTreeMap<&str, &Held> = chosen
        .iter()
        .filter(|(_, (_, choice))| {
            !matches!(choice, Ok(choice) if choice.strategy == RolloutStrategy::None)
        })
        .map(|(secret, (held, _))| (*secret, *held))
        .collect();
    let open: BTreeMap<&str, &Held> = followed
        .iter()
        .filter(|(secret, held)| !is_up_to_date(group, workload, secret, &held.fingerprint))
        .map(|(secret, held)| (*secret, *held))
        .collect();
    if open.is_empty() {
        return RolloutPlan::Nothing;
    }
    let mut choices: BTreeMap<&str, &Choice> = BTreeMap::new();
    for secret in open.keys() {
        match &chosen[secret].1 {
            Ok(choice) => choices.insert(secret, choice),
            Err(problem) => {
                return RolloutPlan::Misconfigured {
                    problem: problem.clone(),
                    secrets: open.keys().map(|secret| (*secret).to_owned()).collect(),
                };
            }
        };
    }
    if let Some((until, why)) = wait(now, &followed, &open) {
        return RolloutPlan::Wait { until, why };
    }
    if workload.is_scaled_to_zero() {
        return inputs.baseline(&open);
    }
    let by_strategy = |strategy: RolloutStrategy| -> BTreeMap<&str, &Held> {
        let of = |secret: &&str| choices[*secret].strategy == strategy;
        let some = open.iter().filter(|(secret, _)| of(secret));
        some.map(|(secret, held)| (*secret, *held)).collect()
    };
    let restarted = by_strategy(RolloutStrategy::Restart);
    let called = by_strategy(RolloutStrategy::Call);
    if restarted.is_empty() && called.is_empty() {
        return inputs.reload(now, &open);
    }
    let last_resort = inputs
        .last_resort(now, &open)
        .filter(|_| !restarted.is_empty());
    let health = if restarted.is_empty() {
        workload.health_of_pods()
    } else {
        workload.health()
    };
    let blocked = skip(health);
    if let Some(why) = blocked
        && last_resort.is_none_or(|at| at > now)
    {
        let changed = open
            .keys()
            .filter(|secret| is_marked(group, workload, secret));
        let secrets = changed.map(|secret| (*secret).to_owned()).collect();
        return RolloutPlan::Skip {
            why,
            secrets,
            until: last_resort,
        };
    }
    // Whoever is down for long has nothing to lose, and takes nothing away from others.
    let paced = blocked.is_none();
    let Some(pods) = inputs.pods else {
        let marked = |secret: &&str| is_marked(group, workload, secret);
        return RolloutPlan::NeedPods {
            paced: paced && restarted.keys().chain(called.keys()).all(marked),
        };
    };
    let due = |of: &BTreeMap<&'_ str, &Held>| -> BTreeSet<String> {
        of.iter()
            .filter(|(secret, held)| {
                asks_for_roll(is_marked(group, workload, secret), held.issued_at, pods)
            })
            .map(|(secret, _)| (*secret).to_owned())
            .collect()
    };
    let (to_restart, to_call) = (due(&restarted), due(&called));
    if !to_restart.is_empty() {
        let mut marks = inputs.marks(&open, &to_restart);
        marks.note_begin(group, now, paced);
        return RolloutPlan::Roll {
            marks,
            secrets: to_restart.into_iter().collect(),
            paced,
        };
    }
    // What reaches the files only later is noted then.
    let read = |secret: &&str| !is_young(now, choices[*secret].strategy, open[*secret]);
    let carried: BTreeMap<&str, &Held> = open
        .iter()
        .filter(|(secret, _)| read(secret))
        .map(|(secret, held)| (*secret, *held))
        .collect();
    let call = to_call
        .first()
        .and_then(|secret| choices[secret.as_str()].call.clone());
    let Some(call) = call else {
        return inputs.baseline(&carried);
    };
    let mut marks = inputs.marks(&carried, &BTreeSet::new());
    marks.note_begin(group, now, true);
    RolloutPlan::Call {
        call,
        marks,
        secrets: to_call.into_iter().collect(),
    }
}

/// Whether the certificate may not have reached the files yet that the workload reads by itself.
fn is_young(now: Timestamp, strategy: RolloutStrategy, held: &Held) -> bool {
    strategy == RolloutStrategy::Reload
        && projected_at(held).is_some_and(|at| at > now && held.issued_at <= Some(now))
}

fn projected_at(held: &Held) -> Option<Timestamp> {
    held.issued_at?.saturating_add(PROJECTION).ok()
}

/// Whether the workload's own marks say that it runs with this certificate of the Secret.
pub(super) fn is_up_to_date(
    group: &Group,
    workload: &Workload,
    secret: &str,
    fingerprint: &str,
) -> bool {
    let key = mark_key(group, secret);
    [&workload.template_annotations, workload.annotations()]
        .iter()
        .any(|annotations| {
            annotations
                .get(&key)
                .is_some_and(|mark| mark == fingerprint)
        })
}

fn is_marked(group: &Group, workload: &Workload, secret: &str) -> bool {
    let key = mark_key(group, secret);
    workload.template_annotations.contains_key(&key) || workload.annotations().contains_key(&key)
}

fn wait(
    now: Timestamp,
    followed: &BTreeMap<&str, &Held>,
    open: &BTreeMap<&str, &Held>,
) -> Option<(Timestamp, Wait)> {
    let latest = latest_issue(now, open)?;
    let settled = latest.saturating_add(SETTLE).ok()?;
    let patient = latest.saturating_add(PATIENCE).ok()?;
    if now < patient && followed.values().any(|held| held.issuing) {
        // Whether it has ended is asked again and again: an issuance that fails changes no Secret.
        let again = now.saturating_add(SETTLE).ok()?;
        return Some((again.min(patient), Wait::Issuing));
    }
    (now < settled).then_some((settled, Wait::Settling))
}

/// One of the future was written before a clock was put back: it says nothing.
fn latest_issue(now: Timestamp, open: &BTreeMap<&str, &Held>) -> Option<Timestamp> {
    let issued = open.values().filter_map(|held| held.issued_at);
    issued.filter(|issued_at| *issued_at <= now).max()
}

fn skip(health: Health) -> Option<Skip> {
    match health {
        Health::Healthy => None,
        Health::Paused => Some(Skip::Paused),
        Health::RollingOut => Some(Skip::RollingOut),
        Health::Unavailable => Some(Skip::Unavailable),
    }
}

fn asks_for_roll(marked: bool, issued_at: Option<Timestamp>, pods: Pods) -> bool {
    match (marked, issued_at, pods.earliest_start) {
        (false, Some(issued_at), Some(start)) => issued_at > start,
        (false, _, _) => false,
        (true, Some(issued_at), Some(start)) => start.duration_since(issued_at) <= LAG,
        (true, _, _) => true,
    }
}

impl<'a> Inputs<'a> {
    /// The Secrets of ours that the workload reads, each with what is wanted for it.
    #[allow(clippy::type_complexity)]
    fn chosen(&self) -> BTreeMap<&'a str, (&'a Held, Result<Choice, Misconfigured>)> {
        let Inputs {
            group, workload, ..
        } = *self;
        self.held
            .iter()
            .filter(|(secret, _)| workload.secrets.contains(*secret))
            .map(|(secret, held)| (secret.as_str(), (held, held.choice(group, workload))))
            .collect()
    }

    /// What is to be done to a workload that reads all of `open` again by itself.
    fn reload(&self, now: Timestamp, open: &BTreeMap<&str, &Held>) -> RolloutPlan {
        let mut read = open.clone();
        read.retain(|_, held| !is_young(now, RolloutStrategy::Reload, held));
        match open.values().filter_map(|held| projected_at(held)).min() {
            Some(until) if read.is_empty() => RolloutPlan::Wait {
                until,
                why: Wait::Projecting,
            },
            _ => self.baseline(&read),
        }
    }

    fn baseline(&self, open: &BTreeMap<&str, &Held>) -> RolloutPlan {
        RolloutPlan::Baseline {
            marks: self.marks(open, &BTreeSet::new()),
        }
    }

    /// From when on the workload is rolled although it is not healthy; `None` if not.
    ///
    /// Containers that have not started yet will read what is held.
    fn last_resort(&self, now: Timestamp, open: &BTreeMap<&str, &Held>) -> Option<Timestamp> {
        let waits_for_start = self.pods.is_some_and(|pods| pods.earliest_start.is_none());
        if !self.workload.has_none_available() || waits_for_start {
            return None;
        }
        latest_issue(now, open)?.saturating_add(LAST_RESORT).ok()
    }

    /// All marks as just read, with those of `open` set in the baselines and those of `due` in the template.
    ///
    /// The template keeps even those of Secrets that are no longer read: taking one out would roll. Baselines of
    /// such Secrets go.
    fn marks(&self, open: &BTreeMap<&str, &Held>, due: &BTreeSet<String>) -> Marks {
        let Inputs {
            group, workload, ..
        } = *self;
        let read: BTreeSet<String> = workload
            .secrets
            .iter()
            .map(|secret| mark_key(group, secret))
            .collect();
        let mut marks = Marks {
            template: marks_of(group, &workload.template_annotations),
            baseline: marks_of(group, workload.annotations()),
        };
        marks.baseline.retain(|key, _| read.contains(key));
        for (secret, held) in open {
            let key = mark_key(group, secret);
            if due.contains(*secret) {
                marks.template.insert(key.clone(), held.fingerprint.clone());
            }
            marks.baseline.insert(key, held.fingerprint.clone());
        }
        if let Some(began) = workload.annotations().get(&group.key(ROLLED_AT)) {
            marks.baseline.insert(group.key(ROLLED_AT), began.clone());
        }
        let ends = self.held.iter().filter(|(secret, held)| {
            marks.baseline.get(&mark_key(group, secret)) == Some(&held.fingerprint)
        });
        if let Some(end) = ends.map(|(_, held)| held.not_after).min() {
            let end = end.to_string();
            marks.baseline.insert(group.key(RUNS_UNTIL), end);
        }
        marks
    }
}

impl Marks {
    /// Notes when the workload was restarted or called; one that was down before says nothing of those that are not.
    fn note_begin(&mut self, group: &Group, now: Timestamp, paced: bool) {
        let key = group.key(ROLLED_AT);
        if paced {
            let seconds = Timestamp::from_second(now.as_second()).unwrap_or(now);
            self.baseline.insert(key, seconds.to_string());
        } else {
            self.baseline.remove(&key);
        }
    }
}

impl Held {
    /// What is to be done to a workload for this certificate.
    ///
    /// # Errors
    /// When what somebody wrote can't be read.
    pub fn choice(&self, group: &Group, workload: &Workload) -> Result<Choice, Misconfigured> {
        let policy = self.policy.as_ref().map_err(Clone::clone)?;
        policy.choice(group, workload)
    }
}

fn marks_of(group: &Group, annotations: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    annotations
        .iter()
        .filter(|(key, _)| is_mark(group, key))
        .map(|(key, mark)| (key.clone(), mark.clone()))
        .collect()
}
