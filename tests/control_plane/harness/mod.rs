//! One control plane for all tests; for each test a scene on it, with an operator that only looks after that scene.

mod made;
mod operator;
mod permissions;
mod record;
mod recorder;
mod scene;
mod see;
mod stuck;
mod telling;

pub(crate) use made::Made;
pub(crate) use operator::{Calls, Operator, get};
pub(crate) use recorder::Recorder;
pub(crate) use scene::{Scene, ShiftedClock};
pub(crate) use see::{Held, condition, eventually, reads};
pub(crate) use stuck::{Moment, stuck};
pub(crate) use telling::{Keys, Told};

use certwright_test_cluster::{AuditLevel, Options, SharedControlPlane};

/// The control plane of all tests that don't break it.
pub(crate) static CLUSTER: SharedControlPlane =
    SharedControlPlane::new(|| Options::new().nodes(2).audit(AuditLevel::Metadata));
