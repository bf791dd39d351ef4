//! What is read of a container's status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

/// The exit codes of a process that was killed or asked to end from outside (SIGKILL, SIGTERM).
const KILLED: [i32; 2] = [137, 143];
/// A container that waits for one of these is on its way: none of them is a fault.
const ON_ITS_WAY: [&str; 3] = ["CrashLoopBackOff", "ContainerCreating", "PodInitializing"];
/// Why a container ended that the certificate can't be the reason for.
const NOT_ITS_OWN: [&str; 4] = [
    "OOMKilled",
    "ContainerCannotRun",
    "StartError",
    "ContainerStatusUnknown",
];

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct ContainerStatus {
    pub(in super::super) name: Option<String>,
    pub(super) state: Option<ContainerState>,
    last_state: Option<ContainerState>,
    ready: Option<bool>,
    restart_count: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerState {
    running: Option<Run>,
    terminated: Option<Run>,
    waiting: Option<Waiting>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Run {
    started_at: Option<Time>,
    exit_code: Option<i32>,
    reason: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: Option<String>,
}

impl ContainerStatus {
    /// How often it was started again.
    pub(in super::super) fn restarts(&self) -> i32 {
        self.restart_count.unwrap_or_default()
    }

    /// The exit code of its process, if that ran, and last ended by itself and badly.
    pub(in super::super) fn failed_with(&self) -> Option<i32> {
        let states = self.state.iter().chain(&self.last_state);
        let last = states
            .filter_map(|state| state.terminated.as_ref())
            .next()?;
        let not_its_own = last
            .reason
            .as_deref()
            .is_some_and(|reason| NOT_ITS_OWN.contains(&reason));
        let code = last.exit_code?;
        let counts = code != 0 && !KILLED.contains(&code) && !not_its_own;
        (counts && last.start().is_some()).then_some(code)
    }

    /// Whether it runs, and isn't ready.
    pub(in super::super) fn runs_unready(&self) -> bool {
        let runs = self
            .state
            .as_ref()
            .and_then(|state| state.running.as_ref()?.start());
        runs.is_some() && self.ready == Some(false)
    }

    /// What keeps it from running, such as `ImagePullBackOff`, if that is not how its process ended.
    pub(in super::super) fn kept_from_running(&self) -> Option<&str> {
        let waiting = self.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        (!ON_ITS_WAY.contains(&reason)).then_some(reason)
    }
}

impl ContainerState {
    /// When its process was started.
    pub(super) fn starts(&self) -> impl Iterator<Item = Timestamp> {
        let runs = self.running.iter().chain(&self.terminated);
        runs.filter_map(Run::start)
    }
}

impl Run {
    fn start(&self) -> Option<Timestamp> {
        let start = self.started_at.as_ref()?.0;
        // A container that never came to run may carry the epoch.
        (start > Timestamp::UNIX_EPOCH).then_some(start)
    }
}
