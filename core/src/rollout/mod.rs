//! Which workloads depend on a certificate, and what to do to them.
//!
//! State, not events: what is wanted follows from the workload's own marks, the held certificates and, where the
//! marks don't tell, its Pods. A Pod template is written only to cause a roll, since any change to it is one; what
//! needs no roll is noted in the workload's own annotations, which restarts nothing.
//!
//! [`Workload`] is what is kept of an [`Object`] of some [`WorkloadKind`], [`Index`] finds the ones that read a
//! Secret or ConfigMap, [`Policy`] says what is wanted for each, [`plan_rollout`] what is to be done to one, and [`Pace`]
//! whether it is its turn; [`apply_body`] is the write that does it. [`verdict`] judges whether what was carried is served, also by
//! [`Ingresses`], and [`carried`] tells a Certificate how far it has come. [`refusal()`] says whether a restart that failed did so for
//! the certificate's sake.

mod apply;
mod choice;
mod foreign;
mod health;
mod index;
mod ingress;
mod kind;
mod mark;
mod object;
mod other;
mod pace;
mod plan;
mod pods;
mod raw;
mod referrers;
mod refusal;
mod revision;
mod served;
mod source;
mod status;
mod workload;

pub use apply::apply_body;
pub use choice::{Choice, Defaults, Misconfigured, Policy};
pub use foreign::Foreign;
pub use health::{Health, Progress, Replicas, UpdateStrategy};
pub use index::{Index, WorkloadName};
pub use ingress::{Ingress, Ingresses};
pub use kind::{OtherKind, OtherKinds, TemplatePath, WorkloadKind};
pub use mark::{CHOICE, is_mark, mark_key};
pub use object::Object;
pub use pace::{Dependent, Hold, Pace, Turn, has_failed, is_due, under_way_since};
pub use plan::{Held, Inputs, Marks, RolloutPlan, SETTLE, Skip, Wait, plan_rollout, runs_with};
pub use pods::{Callee, Pod, Pods};
pub use refusal::{Failing, Refusal, Unclear, refusal};
pub use revision::Revision;
pub use served::{
    Look, Outcome, Place, Seen, ShownLeaf, Verdict, asked_name, look_again, names_of, verdict,
};
pub use source::{Source, SourceKind, SourceName};
pub use status::{
    Carried, HALTED, Host, Proven, ROLLED_OUT, SERVED, STALE, Standing, carried, standing,
    status_body,
};
pub use workload::Workload;

#[cfg(test)]
mod tests;
