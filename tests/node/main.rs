//! The image and the chart on a real node, as a user's cluster runs them.
//!
//! These need root and the image (`make image`), and fail without them.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is tests, also what is outside their functions"
)]

mod application;
mod availability;
mod chart;
mod faults;
mod harness;
mod image;
mod installed;
mod outside;
mod renewals;
mod servers;
mod starttls;
