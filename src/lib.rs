//! What Certwright does: the operator around [`certwright_core`].
//!
//! Everything here is thin and has no rules of its own: what to do is decided in the core crate, and this crate
//! reads the cluster, acts, and reports.

pub mod acme;
pub mod app;
pub mod backoff;
pub mod checks;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod controller;
pub mod crds;
pub mod error;
pub mod health;
pub mod http01;
pub mod inspect;
pub mod issuer;
pub mod metrics;
pub mod outside;
pub mod probe;
pub mod revoke;
pub mod rollout;
pub mod server;
pub mod status;
pub mod telemetry;
pub mod verify;
