//! The API as a real API server serves it: what it takes, what it refuses with which words, and what it shows.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows it in tests; clippy doesn't see that their helpers are tests too"
)]
#![allow(
    clippy::too_many_lines,
    reason = "a table is as long as there are rules"
)]

mod cluster;
mod docs;
mod groups;
mod kubectl;
mod manifests;
mod rules;
mod status;
