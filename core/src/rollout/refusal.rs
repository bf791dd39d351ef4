//! Whether a workload refuses the certificate that it was restarted for.

use std::fmt;

use super::revision::Difference;
use super::{Pod, Revision, Source, Workload};
use crate::api::Group;

/// How often a container has to have ended before that is no accident any more.
const ENDINGS: i32 = 2;

/// How a workload refuses a certificate. What its containers wrote is not read: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One of the Pods that show it.
    pub pod: String,
    /// Its container.
    pub container: String,
    /// How it fails.
    pub how: Failing,
}

/// How a container fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// Its process ends by itself, each time it is started.
    Ends {
        /// The last exit code.
        code: i32,
    },
    /// It runs and is not ready, while Pods with the certificate before are.
    Unready,
}

/// Why it can't be said that a workload refuses a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// Its controller keeps no template from before the restart.
    #[error("what its Pods were made from before is not known")]
    NothingBefore,
    /// Its newest Pods are not those that were restarted for the certificate.
    #[error("its newest Pods were not made for this certificate")]
    NotMarked,
    /// It had no other certificate before.
    #[error("its Pods were not made for another certificate before")]
    NoOtherBefore,
    /// Other certificates came with it.
    #[error("other Secrets or ConfigMaps were rolled out with it")]
    OtherMarks,
    /// Its owner changed the template too.
    #[error("its Pod template was changed otherwise too")]
    TemplateChanged,
    /// A Pod that was made for the certificate is well.
    #[error("Pod {0} is ready with it")]
    Accepted(String),
    /// A container can't even be started.
    #[error("a container of Pod {pod} does not run: {reason}")]
    DoesNotRun {
        /// The Pod.
        pod: String,
        /// Why, in Kubernetes' word.
        reason: String,
    },
    /// Pods from before the restart aren't well either.
    #[error("its Pods with the certificate before are not ready either")]
    OthersNeither,
    /// No container fails in a way that tells.
    #[error("no container of its new Pods was started and failed by itself")]
    NoneFails,
}

/// Says whether `workload`, whose restart for the certificate `fingerprint` in `source` has failed, refuses that certificate,
/// by its `revisions` and its Pods, as just read.
///
/// It does if nothing but the certificate is new, and its process can't do with it. The first of these that doesn't
/// hold is the reason why that can't be said:
/// 1. its newest template is marked with the certificate, and the one before, which is known, is not;
/// 2. the two differ in that mark alone: no image, no setting and no other certificate came with it;
/// 3. none of the newest Pods is ready: what one accepts is not refused;
/// 4. each of their containers can be started: images are there, and all that is mounted;
/// 5. of the Pods from before that still are there, one is ready: what both suffer from is something else;
/// 6. a container's process ends by itself again and again, or else it runs without getting ready, which counts only beside
///    a ready Pod from before.
///
/// That it was well before its restart is not looked at: otherwise it would not be known as failed.
///
/// # Errors
/// The first reason why that can't be said.
pub fn refusal<'a>(
    group: &Group,
    workload: &Workload,
    (source, fingerprint): (&Source, &str),
    revisions: &[Revision],
    pods: impl IntoIterator<Item = &'a Pod>,
) -> Result<Refusal, Unclear> {
    let (newest, before) = Revision::last_two(revisions).ok_or(Unclear::NothingBefore)?;
    if newest.mark(group, source) != Some(fingerprint) {
        return Err(Unclear::NotMarked);
    }
    match newest.differs(before, group, source) {
        Difference::MarkAlone => {}
        Difference::OtherMarks => return Err(Unclear::OtherMarks),
        Difference::Template => return Err(Unclear::TemplateChanged),
    }
    if before
        .mark(group, source)
        .is_some_and(|mark| mark == fingerprint)
    {
        return Err(Unclear::NoOtherBefore);
    }
    let (new, others): (Vec<&Pod>, Vec<&Pod>) = pods
        .into_iter()
        .filter(|pod| pod.is_current() && pod.belongs_to(workload))
        .partition(|pod| newest.is_of(workload, pod));
    if let Some(pod) = new.iter().find(|pod| pod.is_ready()) {
        return Err(Unclear::Accepted(pod.name().to_owned()));
    }
    for pod in &new {
        let reason = pod.containers().find_map(|it| it.kept_from_running());
        if let Some(reason) = reason {
            return Err(Unclear::DoesNotRun {
                pod: pod.name().to_owned(),
                reason: reason.to_owned(),
            });
        }
    }
    let old: Vec<&Pod> = others
        .into_iter()
        .filter(|pod| before.is_of(workload, pod))
        .collect();
    let old_is_ready = old.iter().any(|pod| pod.is_ready());
    if !old.is_empty() && !old_is_ready {
        return Err(Unclear::OthersNeither);
    }
    let ends = new.iter().find_map(|pod| ends(pod));
    let unready = || new.iter().find_map(|pod| unready(pod));
    ends.or_else(|| unready().filter(|_| old_is_ready))
        .ok_or(Unclear::NoneFails)
}

fn ends(pod: &Pod) -> Option<Refusal> {
    pod.containers()
        .filter(|container| container.restarts() >= ENDINGS)
        .find_map(|container| Some((container, container.failed_with()?)))
        .map(|(container, code)| Refusal {
            pod: pod.name().to_owned(),
            container: container.name.clone().unwrap_or_default(),
            how: Failing::Ends { code },
        })
}

fn unready(pod: &Pod) -> Option<Refusal> {
    let container = pod
        .containers()
        .find(|container| container.runs_unready())?;
    Some(Refusal {
        pod: pod.name().to_owned(),
        container: container.name.clone().unwrap_or_default(),
        how: Failing::Unready,
    })
}

/// As a clause.
impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pod,
            container,
            how,
        } = self;
        write!(formatter, "container {container} of Pod {pod} ")?;
        match how {
            Failing::Ends { code } => write!(formatter, "ends with exit code {code}"),
            Failing::Unready => write!(formatter, "runs and does not get ready"),
        }
    }
}
