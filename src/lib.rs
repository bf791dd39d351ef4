//! What Certwright does: the operator around [`certwright_core`].
//!
//! Everything here is thin and has no rules of its own: what to do is decided in the core crate, and this crate
//! reads the cluster, acts, and reports.

pub mod app;
pub mod cli;
pub mod clock;
pub mod crds;
pub mod health;
pub mod inspect;
pub mod metrics;
pub mod server;
pub mod telemetry;
