//! Which workloads depend on a certificate, and what to do to them.
//!
//! State, not events: what is wanted follows from the workload's own marks, the held certificates and, where the
//! marks don't tell, its Pods. A Pod template is written only to cause a roll, since any change to it is one; what
//! needs no roll is noted in the workload's own annotations, which restarts nothing.
//!
//! [`Workload`] is what is kept of a Deployment, StatefulSet or DaemonSet, [`Index`] finds the ones that read a
//! Secret, [`plan_rollout`] says what is to be done to one, [`apply_body`] is the write that does it, and
//! [`carried`] tells a Certificate how far it has come.

mod apply;
mod health;
mod index;
mod mark;
mod plan;
mod pods;
mod raw;
mod status;
mod workload;

pub use apply::apply_body;
pub use health::{Health, Replicas, UpdateStrategy};
pub use index::{Index, SecretName, WorkloadName};
pub use mark::{CHOICE, is_mark, mark_key};
pub use plan::{Held, Inputs, Marks, RolloutPlan, SETTLE, Skip, Wait, plan_rollout, strategy};
pub use pods::{Pod, Pods};
pub use status::{Carried, ROLLED_OUT, Standing, carried, standing, status_body};
pub use workload::{DependentKind, Observed, Workload, WorkloadKind};

#[cfg(test)]
mod tests;
