//! The API as a real API server serves it: what it takes, what it refuses with which words, and what it shows.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests; clippy doesn't see that their helpers are tests too"
)]

mod cluster;
mod groups;
mod kubectl;
mod manifests;
mod rules;
mod status;
