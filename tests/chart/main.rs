//! The chart: what its files say, what a real API server makes of what it renders, and what Helm does with it.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is tests, also what is outside their functions"
)]

mod cluster;
mod lifecycle;
mod manifests;
mod matrix;
mod network;
mod text;
