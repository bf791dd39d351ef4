//! Looks whether a Certificate's dependents serve what they were given: after each roll, and from time to time.

mod looks;
mod services;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use certwright_core::api::Certificate;
use certwright_core::api::certificate::{HostState, ProbePolicy, RolloutProbe, WorkloadState};
use certwright_core::rollout::{
    Callee, Held, Ingress, Pod, SourceName, Workload, WorkloadName, runs_with, verdict,
};
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::ListParams;
use kube::runtime::controller::Action;

use self::looks::{of_host, of_workload};
use self::services::Services;
use super::context::Context;
use super::error::Error;
use super::paced::Readers;
use super::proofs::{Looked, Target};
use super::{Probing, Surroundings};
use crate::clock;
use crate::cluster::listed;

/// How long what comes together is gathered: several workloads that are done at once are looked at together.
pub(super) const GATHER: Duration = Duration::from_secs(1);
/// How many targets of a Certificate are looked at before others have their turn.
const TARGETS: usize = 64;
/// How many Pods and other places are looked at at a time.
const AT_ONCE: usize = 32;
/// Of how many workloads the Pods are read one by one; of more, all Pods of the namespace are read instead.
const ONE_BY_ONE: usize = 4;
/// How long whoever comes to lead may take until it has looked at what was seen to be served before.
const FIRST_ROUND: SignedDuration = SignedDuration::from_mins(10);

/// One that is to be looked at.
enum Sought {
    Workload(Arc<Workload>, RolloutProbe),
    Host(Arc<Ingress>),
}

type AllSought = BTreeMap<Target, Sought>;

/// Looks at what is due of a Certificate's dependents and hosts, and has its status told if that is news.
///
/// # Errors
/// When the API server can't say where they are.
pub(super) async fn reconcile<S: Surroundings>(
    certificate: Arc<Certificate>,
    context: &Context<S>,
) -> Result<Action, Error> {
    let Some(probing) = &context.probing else {
        return Ok(Action::await_change());
    };
    // Who doesn't lead looks at nothing: it is woken once it does, and once all is listed.
    let listed = context.index().is_complete() && context.ingresses.are_listed();
    if !context.surroundings.may_write() || !listed {
        return Ok(Action::await_change());
    }
    let Some((secret, held)) = context.secret_of(&certificate) else {
        return Ok(Action::await_change());
    };
    let now = context.surroundings.now();
    let readers = context.readers(now, &secret, &held);
    let all = sought(now, context, &secret, &held, &readers);
    let next = |target: &Target, one: &Sought| {
        let (told, version) = (was_told(&certificate, &held, target), one.version());
        let window = FIRST_ROUND.min(probing.interval);
        context.next_look(&secret, &held, (target, &version), told, window)
    };
    context
        .proofs()
        .keep(&secret, |target| all.contains_key(target));
    let mut due: Vec<(&Target, &Sought)> = all
        .iter()
        .filter(|(target, one)| next(target, one).is_none_or(|next| next <= now))
        .collect();
    let rest = due.split_off(due.len().min(TARGETS));
    let looked = look(context, probing, &secret, &held, due).await?;
    let now = context.surroundings.now();
    let settles = held.settles_at(now);
    let mut news = false;
    for one in looked {
        let interval = spread(probing.interval, &one.target);
        let mut proofs = context.proofs();
        news |= proofs.saw(now, &secret, &held.fingerprint, settles, interval, one);
    }
    if news {
        context.touched(&BTreeSet::from([secret.clone()]));
    }
    if !rest.is_empty() {
        return Ok(Action::requeue(Duration::ZERO));
    }
    let moments = all.iter().filter_map(|(target, one)| next(target, one));
    Ok(match moments.min() {
        Some(moment) => Action::requeue(clock::wait(now, moment)),
        None => Action::await_change(),
    })
}

impl Sought {
    /// With what it is to be looked at anew.
    fn version(&self) -> String {
        match self {
            Self::Workload(workload, _) => {
                workload.metadata.generation.unwrap_or_default().to_string()
            }
            Self::Host(ingress) => ingress.resource_version().unwrap_or_default(),
        }
    }
}

/// All that is to serve the certificate by now.
fn sought<S: Surroundings>(
    now: Timestamp,
    context: &Context<S>,
    secret: &SourceName,
    held: &Held,
    readers: &Readers,
) -> AllSought {
    let workloads = readers.workloads().filter_map(|workload| {
        let policy = held.policy.as_ref().ok()?;
        let probe = policy.probe(&context.group, workload).ok()?;
        let wanted = probe.policy != Some(ProbePolicy::Disabled)
            && runs_with(now, &context.group, workload, &secret.source, held);
        wanted.then(|| {
            let target = Target::Workload(WorkloadName::from(&**workload));
            (target, Sought::Workload(Arc::clone(workload), probe))
        })
    });
    let hosts = context
        .hosts(secret)
        .into_iter()
        .map(|(target, ingress)| (target, Sought::Host(ingress)));
    workloads.chain(hosts).collect()
}

/// Whether the status says of a target what was seen of it for this certificate.
fn was_told(certificate: &Certificate, held: &Held, target: &Target) -> bool {
    let status = certificate.status.as_ref();
    let told = status.and_then(|status| status.rollout.as_ref());
    let Some(told) = told.filter(|told| told.fingerprint.as_ref() == Some(&held.fingerprint))
    else {
        return false;
    };
    match target {
        Target::Workload(WorkloadName { kind, name, .. }) => told.workloads.iter().any(|told| {
            (told.kind.as_str(), &told.name) == (kind.as_str(), name)
                && told.state == WorkloadState::Served
        }),
        Target::Host { ingress, host } => told.hosts.iter().any(|told| {
            (&told.ingress, &told.host) == (ingress, host) && told.state == HostState::Served
        }),
    }
}

/// Somewhat less than `interval`, so that not all are looked at together.
fn spread(interval: SignedDuration, target: &Target) -> SignedDuration {
    let share = RandomState::new().hash_one(target) % 100;
    let less = interval / 1000 * i32::try_from(share).unwrap_or_default();
    interval - less
}

async fn look<S: Surroundings>(
    context: &Context<S>,
    probing: &Probing,
    secret: &SourceName,
    held: &Held,
    due: Vec<(&Target, &Sought)>,
) -> Result<Vec<Looked>, Error> {
    let namespace = &secret.namespace;
    let workloads: Vec<&Workload> = due
        .iter()
        .filter_map(|(_, one)| match one {
            Sought::Workload(workload, _) => Some(&**workload),
            Sought::Host(_) => None,
        })
        .collect();
    let read = |source| Error::FindServed {
        namespace: namespace.clone(),
        source,
    };
    let callees = callees(context, namespace, &workloads)
        .await
        .map_err(read)?;
    let services = if callees.values().all(Vec::is_empty) {
        Services::default()
    } else {
        Services::read(&context.client, namespace)
            .await
            .map_err(read)?
    };
    let mut places = Vec::new();
    for (at, (_, one)) in due.iter().enumerate() {
        match one {
            Sought::Workload(workload, probe) => {
                let callees = &callees[&WorkloadName::from(&**workload)];
                let services = services.leading_to(callees);
                let seeking = of_workload(held, probe, callees, &services);
                places.extend(seeking.into_iter().map(|one| (at, one)));
            }
            Sought::Host(ingress) => {
                if let Target::Host { host, .. } = due[at].0 {
                    let ports = ingress.ports(&context.group);
                    places.push((at, of_host(host, ingress, ports)));
                }
            }
        }
    }
    let mut seen =
        futures::stream::iter(places)
            .map(|(at, seeking)| async move {
                (at, seeking.look(&context.allowed, &probing.outside).await)
            })
            .buffer_unordered(AT_ONCE);
    let mut of_each: Vec<Vec<_>> = due.iter().map(|_| Vec::new()).collect();
    while let Some((at, place)) = seen.next().await {
        of_each[at].push(place);
    }
    let looked = due
        .into_iter()
        .zip(of_each)
        .map(|((target, one), mut places)| {
            places.sort_by(|one, other| one.name.cmp(&other.name));
            Looked {
                target: target.clone(),
                version: one.version(),
                verdict: verdict(held, &places),
            }
        });
    Ok(looked.collect())
}

/// The ready Pods of each workload.
async fn callees<S: Surroundings>(
    context: &Context<S>,
    namespace: &str,
    workloads: &[&Workload],
) -> Result<BTreeMap<WorkloadName, Vec<Callee>>, crate::error::Error> {
    let mut found: BTreeMap<WorkloadName, Vec<Callee>> = workloads
        .iter()
        .map(|workload| (WorkloadName::from(*workload), Vec::new()))
        .collect();
    let of = |workload: &Workload, pod: &Pod| Callee::of(workload, [pod]).next();
    if workloads.len() > ONE_BY_ONE {
        let whose = |pod: Pod| {
            let of_one =
                |workload: &&Workload| Some((WorkloadName::from(*workload), of(workload, &pod)?));
            workloads.iter().find_map(of_one)
        };
        let all = listed(
            &context.client,
            namespace,
            "Pods",
            ListParams::default(),
            whose,
        )
        .await?;
        for (name, callee) in all {
            found.entry(name).or_default().push(callee);
        }
        return Ok(found);
    }
    for workload in workloads {
        let selector = workload.selector.clone().unwrap_or_default();
        let some = ListParams::default().labels_from(&selector);
        let own = |pod: Pod| of(workload, &pod);
        let callees = listed(&context.client, namespace, "Pods", some, own).await?;
        found.insert(WorkloadName::from(*workload), callees);
    }
    Ok(found)
}
