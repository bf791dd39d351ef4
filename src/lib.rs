//! What Certwright does: watches the cluster, asks `certwright_core` what is to be done, and does it.

pub mod app;
pub mod backoff;
pub mod cluster;
pub mod controller;
pub mod error;
pub mod issuer;
