//! What the operator does when the API server fails it: each call of each path fails in each way, and watches lag, break
//! and lose their place.
//!
//! The operator is the real one on a real API server; a layer around its client makes the faults.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is tests, also what is outside their functions"
)]

mod calls;
mod case;
mod deletion;
mod fault;
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the tests of the control plane; each uses what it needs"
)]
#[path = "../control_plane/harness/mod.rs"]
mod harness;
mod path;
mod watch;
mod watches;
