//! The operator on a real Kubernetes API server: each test runs one of its own, in this process, under an API group of its own.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is tests, also what is outside their functions"
)]

mod authorities;
mod bounds;
mod broken;
mod conflicts;
mod contest;
mod deletion;
mod first;
mod harness;
mod interruption;
mod issuers;
mod names;
mod reissue;
mod renewal;
mod repair;
mod rollout;
mod secrecy;
mod shipped;
