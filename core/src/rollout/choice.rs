//! What is to be done to a workload: by its own word, its Certificate's, its namespace's, or the operator's.

mod text;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};

use super::{CHOICE, OtherKinds, Workload};
use crate::api::certificate::{
    ProbePolicy, ProbePort, Rollout, RolloutCall, RolloutProbe, RolloutRule, RolloutStrategy,
};
use crate::api::{DurationText, Group};
use crate::plan::renew::Windows;

use text::{probed, server_name, wave};

pub(super) use text::call;

/// The annotation by which a workload says when it is taken up, without the group.
const WAVE: &str = "rollout-wave";
/// The annotation by which a workload says how it is called, such as `POST :9000/-/reload`, without the group.
pub(super) const CALL: &str = "rollout-call";
/// The annotations by which a workload says where it serves its certificate, such as `8443, 5432/postgres` or `Disabled`, and
/// under which name, without the group.
const PROBE: &str = "rollout-probe";
const SERVER_NAME: &str = "rollout-server-name";
/// The annotations by which a namespace gives its Certificates defaults, besides [`CHOICE`], without the group.
pub(super) const MAX_CONCURRENT: &str = "rollout-max-concurrent";
pub(super) const MIN_GAP: &str = "rollout-min-gap";

const MOST_AT_ONCE: usize = 1000;
const URGENT_BEFORE: SignedDuration = SignedDuration::from_hours(72);

/// What the operator is started with, for Certificates and namespaces that say nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Which kinds of workload are rolled, besides Deployments, StatefulSets and DaemonSets.
    pub kinds: OtherKinds,
    /// What is done to workloads.
    pub strategy: RolloutStrategy,
    /// How many workloads of a Certificate may be under way at once.
    pub max_concurrent: usize,
    /// The least time between the starts of two.
    pub min_gap: SignedDuration,
    /// How long a restart may take until its Pods are well.
    pub health_timeout: SignedDuration,
    /// How long after a certificate was issued it has surely reached the files of running Pods.
    pub volume_delay: SignedDuration,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            kinds: OtherKinds::default(),
            strategy: RolloutStrategy::Restart,
            max_concurrent: 5,
            min_gap: SignedDuration::ZERO,
            health_timeout: SignedDuration::from_mins(10),
            // Kubelets look every minute, at what their caches say, which may be a minute old.
            volume_delay: SignedDuration::from_mins(2),
        }
    }
}

/// Something that somebody wrote and that can't be read: what, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {problem}")]
pub struct Misconfigured {
    what: String,
    problem: String,
}

impl Misconfigured {
    pub(super) fn new(what: impl Display, problem: impl Display) -> Self {
        Self {
            what: what.to_string(),
            problem: problem.to_string(),
        }
    }
}

/// What a Certificate says of its workloads, with all defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    strategy: RolloutStrategy,
    call: Option<RolloutCall>,
    rules: Vec<Rule>,
    /// How many workloads may be under way at once.
    pub max_concurrent: usize,
    /// The least time between the starts of two.
    pub min_gap: SignedDuration,
    /// How long a restart may take until its Pods are well.
    pub health_timeout: SignedDuration,
    /// How long after a certificate was issued it has surely reached the files of running Pods.
    pub volume_delay: SignedDuration,
    /// When restarts may begin; always, if there are none.
    pub windows: Windows,
    /// Windows hold nothing back for less than this.
    pub urgent_before: SignedDuration,
    /// Whether the certificate before comes back if a workload refuses the held one.
    pub rolls_back: bool,
    probe: Option<RolloutProbe>,
}

/// A rule, read.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    kind: Option<String>,
    name: Option<String>,
    selector: Option<Selector>,
    strategy: Option<RolloutStrategy>,
    call: Option<RolloutCall>,
    wave: i32,
    probe: Option<RolloutProbe>,
}

/// What is to be done to one workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What.
    pub strategy: RolloutStrategy,
    /// The request; there is one where the strategy is `Call`.
    pub call: Option<RolloutCall>,
    /// When: after all of lower waves.
    pub wave: i32,
}

impl Policy {
    /// What a Certificate's `rollout` says, else the annotations of its namespace, else the operator's `defaults`.
    ///
    /// # Errors
    /// For the first that can't be read. What the schema refuses is among it: it may have been written before.
    pub fn of(
        group: &Group,
        rollout: Option<&Rollout>,
        namespace: &BTreeMap<String, String>,
        defaults: &Defaults,
    ) -> Result<Self, Misconfigured> {
        let plain = Rollout::default();
        let rollout = rollout.unwrap_or(&plain);
        let of_namespace = |name: &str| {
            let key = group.key(name);
            let text = namespace.get(&key)?;
            Some((format!("annotation {key} of the namespace"), text.as_str()))
        };
        let strategy = rollout.strategy.map(Ok).or_else(|| {
            let (what, text) = of_namespace(CHOICE)?;
            Some(
                text.parse()
                    .map_err(|problem: String| Misconfigured::new(what, problem)),
            )
        });
        let max_concurrent = match (rollout.max_concurrent, of_namespace(MAX_CONCURRENT)) {
            (Some(number), _) => Some(at_once("spec.rollout.maxConcurrent", number)),
            (None, Some((what, text))) => Some(at_once(&what, text)),
            (None, None) => None,
        };
        let min_gap = match (&rollout.min_gap, of_namespace(MIN_GAP)) {
            (Some(text), _) => Some(duration("spec.rollout.minGap", text)),
            (None, Some((what, text))) => Some(duration(&what, &text.into())),
            (None, None) => None,
        };
        let health_timeout = rollout.health_timeout.as_ref();
        let health_timeout =
            health_timeout.map(|text| duration("spec.rollout.healthTimeout", text));
        let urgent_before = rollout.urgent_before.as_ref();
        let urgent_before = urgent_before.map(|text| duration("spec.rollout.urgentBefore", text));
        let rules = rollout.rules.iter().enumerate();
        Ok(Self {
            strategy: strategy.transpose()?.unwrap_or(defaults.strategy),
            call: rollout.call.clone(),
            rules: rules
                .map(|(at, rule)| Rule::of(at, rule, &defaults.kinds))
                .collect::<Result<_, _>>()?,
            max_concurrent: max_concurrent
                .transpose()?
                .unwrap_or(defaults.max_concurrent),
            min_gap: min_gap.transpose()?.unwrap_or(defaults.min_gap),
            health_timeout: health_timeout
                .transpose()?
                .unwrap_or(defaults.health_timeout),
            volume_delay: defaults.volume_delay,
            windows: Windows::of("spec.rollout.windows", &rollout.windows)
                .map_err(|invalid| Misconfigured::new(invalid.field, invalid.problem))?,
            urgent_before: urgent_before.transpose()?.unwrap_or(URGENT_BEFORE),
            rolls_back: rollout.rolls_back(),
            probe: rollout.probe.clone(),
        })
    }

    /// Those annotations that may say something of rollouts.
    pub fn annotations<'a>(
        group: &Group,
        annotations: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> BTreeMap<String, String> {
        let prefix = group.key(CHOICE);
        annotations
            .into_iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(key, text)| (key.clone(), text.clone()))
            .collect()
    }

    /// What is to be done to `workload`. The first that says something:
    /// 1. the workload's own annotation;
    /// 2. the first rule that fits it;
    /// 3. the Certificate, its namespace, the operator: [`Policy::of`].
    ///
    /// That goes for the strategy, the request and the wave each by itself.
    ///
    /// # Errors
    /// For an annotation that can't be read, and where the strategy is `Call` and nobody says how.
    pub fn choice(&self, group: &Group, workload: &Workload) -> Result<Choice, Misconfigured> {
        let rule = self.rules.iter().find(|rule| rule.fits(workload));
        let strategy = own(group, workload, CHOICE, RolloutStrategy::from_str)?
            .or_else(|| rule?.strategy)
            .unwrap_or(self.strategy);
        let wave = own(group, workload, WAVE, wave)?
            .or_else(|| Some(rule?.wave))
            .unwrap_or_default();
        let call = own(group, workload, CALL, call)?
            .or_else(|| rule.and_then(|rule| rule.call.clone()))
            .or_else(|| self.call.clone())
            .filter(|_| strategy == RolloutStrategy::Call);
        if strategy == RolloutStrategy::Call && call.is_none() {
            let key = group.key(CALL);
            return Err(Misconfigured::new(
                "strategy Call",
                format!(
                    "nobody says how; write rollout.call in the Certificate, or annotate the workload with {key}: POST :9000/-/reload"
                ),
            ));
        }
        Ok(Choice {
            strategy,
            call,
            wave,
        })
    }

    /// How it is proven that `workload` serves its certificate. The first that says something, for ports and name each by
    /// itself: its own annotations, the first rule that fits it, the Certificate.
    ///
    /// # Errors
    /// For an annotation that can't be read.
    pub fn probe(&self, group: &Group, workload: &Workload) -> Result<RolloutProbe, Misconfigured> {
        let rule = self.rules.iter().find(|rule| rule.fits(workload));
        let of_rule = rule.and_then(|rule| rule.probe.as_ref());
        let said: Vec<&RolloutProbe> = of_rule.into_iter().chain(&self.probe).collect();
        let mut probe = RolloutProbe {
            policy: said.iter().find_map(|probe| probe.policy),
            ports: said
                .iter()
                .map(|probe| &probe.ports)
                .find(|ports| !ports.is_empty())
                .cloned()
                .unwrap_or_default(),
            server_name: said.iter().find_map(|probe| probe.server_name.clone()),
        };
        match probed_ports(group, workload.annotations())? {
            Some(ports) if ports.is_empty() => probe.policy = Some(ProbePolicy::Disabled),
            Some(ports) => (probe.policy, probe.ports) = (None, ports),
            None => {}
        }
        if let Some(name) = own(group, workload, SERVER_NAME, server_name)? {
            probe.server_name = Some(name);
        }
        Ok(probe)
    }
}

impl Rule {
    fn of(at: usize, rule: &RolloutRule, kinds: &OtherKinds) -> Result<Self, Misconfigured> {
        let kind = rule.kind.as_ref().map(|name| {
            if kinds.and_built_in().any(|kind| kind.is_called(name)) {
                return Ok(name.clone());
            }
            let known: Vec<String> = kinds.and_built_in().map(|kind| kind.to_string()).collect();
            Err(Misconfigured::new(
                format!("spec.rollout.rules[{at}].kind"),
                format!(
                    "no workloads of kind {name:?} are rolled; write one of {}, or have the operator told of it by --rollout-kinds",
                    known.join(", ")
                ),
            ))
        });
        let selector = rule.selector.as_ref().map(|selector| {
            Selector::try_from(LabelSelector::from(selector)).map_err(|problem| {
                Misconfigured::new(format!("spec.rollout.rules[{at}].selector"), problem)
            })
        });
        Ok(Self {
            kind: kind.transpose()?,
            name: rule.name.clone(),
            selector: selector.transpose()?,
            strategy: rule.strategy,
            call: rule.call.clone(),
            wave: rule.wave.unwrap_or_default(),
            probe: rule.probe.clone(),
        })
    }

    fn fits(&self, workload: &Workload) -> bool {
        self.kind
            .as_deref()
            .is_none_or(|kind| workload.kind.is_called(kind))
            && self
                .name
                .as_deref()
                .is_none_or(|name| name == workload.name())
            && self
                .selector
                .as_ref()
                .is_none_or(|selector| selector.matches(workload.labels()))
    }
}

/// What a workload says for itself in one of its annotations.
fn own<T>(
    group: &Group,
    workload: &Workload,
    name: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, Misconfigured> {
    said(group, workload.annotations(), name, read)
}

fn said<T>(
    group: &Group,
    annotations: &BTreeMap<String, String>,
    name: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, Misconfigured> {
    let key = group.key(name);
    let text = annotations.get(&key);
    text.map(|text| {
        read(text).map_err(|problem| Misconfigured::new(format!("annotation {key}"), problem))
    })
    .transpose()
}

/// Where annotations say that a certificate is served; nowhere, where that is not to be looked at, and `None` where they say
/// nothing.
pub(super) fn probed_ports(
    group: &Group,
    annotations: &BTreeMap<String, String>,
) -> Result<Option<Vec<ProbePort>>, Misconfigured> {
    said(group, annotations, PROBE, probed)
}

pub(super) fn at_once(what: &str, number: impl Display) -> Result<usize, Misconfigured> {
    let number = number.to_string();
    number
        .parse()
        .ok()
        .filter(|number| (1..=MOST_AT_ONCE).contains(number))
        .ok_or_else(|| {
            Misconfigured::new(
                what,
                format!("{number:?} is not a number from 1 to {MOST_AT_ONCE}"),
            )
        })
}

pub(super) fn duration(what: &str, text: &DurationText) -> Result<SignedDuration, Misconfigured> {
    text.parse()
        .map_err(|problem| Misconfigured::new(what, problem))
}
