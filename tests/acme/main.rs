//! Against real ACME servers, on loopback.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is tests, also what is outside their functions"
)]

mod client;
mod customer;
mod faults;
mod faulty;
mod foreign;
mod interrupted;
mod operator;
mod pebble;
mod served;
mod step_ca;
