//! What to do to one workload.

mod carry;
mod marks;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use self::carry::carry;
use super::pace::{is_held_back, restart};
use super::{Choice, Misconfigured, Pods, Policy, Source, Workload, mark_key};
use crate::api::Group;
use crate::api::certificate::{RolloutCall, RolloutStrategy};
use crate::pki::facts::Fingerprint;

/// How long after a certificate was issued its dependents are left alone, so that certificates that are issued
/// together cost one roll.
pub const SETTLE: SignedDuration = SignedDuration::from_secs(5);

/// How long another issuance under way holds a roll back: one that fails must not do so for ever.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// The certificate held in a Secret of ours, or what a Secret or ConfigMap of somebody else holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The Certificate that owns the Secret, by name; `None` of what isn't ours.
    pub certificate: Option<String>,
    /// SHA-256 of the leaf's DER, or of what else is held, in lower-case hexadecimal.
    pub fingerprint: String,
    /// When we stored it, as the Secret says, or when somebody else did; `None` if that isn't known.
    pub issued_at: Option<Timestamp>,
    /// Whether it may have been there for longer than `issued_at` says: nobody saw what was there before. Workloads without a
    /// mark are then taken to run with it.
    pub first_seen: bool,
    /// Until when it is valid, if it is a certificate of ours.
    pub not_after: Option<Timestamp>,
    /// The certificate that workloads refused, where this is the one before, put back in its place: its fingerprint.
    pub replaces_refused: Option<String>,
    /// Whether the one before was revoked.
    pub replaces_revoked: bool,
    /// What the Certificate wants done to workloads, or why that can't be read.
    pub policy: Result<Policy, Misconfigured>,
    /// Whether another issuance of the Certificate is under way.
    pub issuing: bool,
    /// The DNS names and addresses it is for.
    pub names: BTreeSet<String>,
    /// What follows it in the Secret.
    pub above: Vec<Fingerprint>,
}

/// All that [`plan_rollout`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Whose marks.
    pub group: &'a Group,
    /// The workload.
    pub workload: &'a Workload,
    /// Of what it reads that which is ours and holds a certificate, or is labelled by somebody else.
    pub held: &'a BTreeMap<Source, Held>,
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

/// What is wanted for a workload, if it can be read.
type Choosing = Result<Choice, Misconfigured>;

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
        /// What holds something else than its marks say: what it should be rolled for.
        sources: Vec<Source>,
        /// When to look again although nothing changed.
        until: Option<Timestamp>,
    },
    /// Somebody wrote something that can't be read: it is left alone.
    Misconfigured {
        /// What.
        problem: Misconfigured,
        /// What it is left without.
        sources: Vec<Source>,
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
        /// What asks for it.
        sources: Vec<Source>,
        /// Whether it has to be its turn: not where there is nothing that could get worse.
        paced: bool,
    },
    /// Once it is its turn, send its Pods a request, and note that on the workload.
    Call {
        /// The request.
        call: RolloutCall,
        /// What it is to carry.
        marks: Marks,
        /// What asks for it.
        sources: Vec<Source>,
    },
}

/// What a roll waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Another certificate may follow at once ([`SETTLE`]).
    Settling,
    /// Another issuance for the same workload is under way.
    Issuing,
    /// The certificate has to reach the files of its Pods ([`Policy::volume_delay`]).
    Projecting,
}

/// What stands in the way of a roll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// It is paused.
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
/// 2. it reads nothing that it is to be given → Nothing;
/// 3. each of those is up to date: the template's mark or the baseline says the held fingerprint → Nothing;
/// 4. what is wanted for one of the others can't be read → Misconfigured;
/// 5. of the others, not all of which were put back in place of what was refused, one was issued less than [`SETTLE`] ago, or
///    less than a minute ago while another issuance for the workload is under way → Wait;
/// 6. it is scaled to zero: whatever starts later reads what is held → Baseline;
/// 7. it reads the others again by itself or when it is called (Reload, Call), and they have not reached its files yet → Wait;
///    where it is by itself, Baseline then;
/// 8. it is paused or not healthy → Skip, unless there is nothing that a roll could take away: none of its Pods is
///    available ten minutes after the certificate was issued, though a container has started, or it is marked for a
///    certificate that workloads refuse, in whose place the held one was put back. Pods of a paused Deployment can be called all
///    the same;
/// 9. its Pods were not read → NeedPods;
/// 10. none of the others asks for a roll or a call → Baseline;
/// 11. one asks for a roll → Roll, once for all, with a baseline for each, so that a template put back to an older one by
///     its owner, which restarts the Pods too, costs no second roll;
/// 12. Call.
///
/// Of the others, one without marks asks for a roll or a call if it was issued after a container of the current Pods had
/// started: nothing rolls at installation, nothing is missed while nobody looked. Of what isn't ours that holds only if it was
/// seen to change: nothing rolls when it is labelled. One whose marks say another
/// certificate asks for it unless all containers are known to have started well after it was issued.
pub fn plan_rollout(now: Timestamp, inputs: &Inputs<'_>) -> RolloutPlan {
    let Inputs {
        group, workload, ..
    } = *inputs;
    if workload.problem.is_some() || workload.deleting() {
        return RolloutPlan::Nothing;
    }
    let chosen = inputs.chosen();
    let followed: BTreeMap<&Source, &Held> = chosen
        .iter()
        .filter(|(_, (_, choice))| {
            !matches!(choice, Ok(choice) if choice.strategy == RolloutStrategy::None)
        })
        .map(|(source, (held, _))| (*source, *held))
        .collect();
    let open: BTreeMap<&Source, &Held> = followed
        .iter()
        .filter(|(source, held)| !is_up_to_date(group, workload, source, &held.fingerprint))
        .map(|(source, held)| (*source, *held))
        .collect();
    if open.is_empty() {
        return RolloutPlan::Nothing;
    }
    let mut choices: BTreeMap<&Source, &Choice> = BTreeMap::new();
    for source in open.keys() {
        match &chosen[source].1 {
            Ok(choice) => choices.insert(source, choice),
            Err(problem) => {
                return RolloutPlan::Misconfigured {
                    problem: problem.clone(),
                    sources: open.keys().map(|source| (*source).clone()).collect(),
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
    carry(now, inputs, &open, &choices)
}

/// Whether the workload's own marks say that it runs with what this source holds.
pub(super) fn is_up_to_date(
    group: &Group,
    workload: &Workload,
    source: &Source,
    fingerprint: &str,
) -> bool {
    let key = mark_key(group, source);
    [&workload.template_annotations, workload.annotations()]
        .iter()
        .any(|annotations| {
            annotations
                .get(&key)
                .is_some_and(|mark| mark == fingerprint)
        })
}

/// Whether a workload that is to be given the certificate runs with it, as far as its marks and its own controller say: then
/// it can be looked at what it serves.
pub fn runs_with(
    now: Timestamp,
    group: &Group,
    workload: &Workload,
    source: &Source,
    held: &Held,
) -> bool {
    let followed = || {
        let choice = held.choice(group, workload);
        matches!(choice, Ok(choice) if choice.strategy != RolloutStrategy::None)
    };
    workload.problem.is_none()
        && !workload.deleting()
        && is_up_to_date(group, workload, source, &held.fingerprint)
        && !is_held_back(group, workload, source, &held.fingerprint)
        && restart(now, group, workload, source, held).is_none()
        && followed()
}

fn is_marked(group: &Group, workload: &Workload, source: &Source) -> bool {
    let key = mark_key(group, source);
    workload.template_annotations.contains_key(&key) || workload.annotations().contains_key(&key)
}

fn wait(
    now: Timestamp,
    followed: &BTreeMap<&Source, &Held>,
    open: &BTreeMap<&Source, &Held>,
) -> Option<(Timestamp, Wait)> {
    // What was put back is not followed by another: who is not well has waited long enough.
    if open.values().all(|held| held.replaces_refused.is_some()) {
        return None;
    }
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
fn latest_issue(now: Timestamp, open: &BTreeMap<&Source, &Held>) -> Option<Timestamp> {
    let issued = open.values().filter_map(|held| held.issued_at);
    issued.filter(|issued_at| *issued_at <= now).max()
}

impl<'a> Inputs<'a> {
    /// What the workload reads and may be given, each with what is wanted for it.
    fn chosen(&self) -> BTreeMap<&'a Source, (&'a Held, Choosing)> {
        let Inputs {
            group, workload, ..
        } = *self;
        self.held
            .iter()
            .filter(|(source, _)| workload.reads.contains(*source))
            .map(|(source, held)| (source, (held, held.choice(group, workload))))
            .collect()
    }

    fn baseline(&self, open: &BTreeMap<&Source, &Held>) -> RolloutPlan {
        RolloutPlan::Baseline {
            marks: self.marks(open, &BTreeSet::new()),
        }
    }
}

impl Held {
    /// Whether a workload is marked for what was refused, in whose place this was put back: that it isn't well comes from there,
    /// and goes with it.
    pub(super) fn relieves(&self, workload: &Workload) -> bool {
        let refused = self.replaces_refused.as_ref();
        let mut marks = workload.template_annotations.values();
        refused.is_some_and(|refused| marks.any(|mark| mark == refused))
    }

    /// What is to be done to a workload for this certificate.
    ///
    /// # Errors
    /// When what somebody wrote can't be read.
    pub fn choice(&self, group: &Group, workload: &Workload) -> Result<Choice, Misconfigured> {
        let policy = self.policy.as_ref().map_err(Clone::clone)?;
        policy.choice(group, workload)
    }
}
