//! Against real ACME servers, on loopback.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is tests, also what is outside their functions"
)]

mod account;
mod bad_ca;
mod client;
mod customer;
mod each_request;
mod faults;
mod faulty;
mod foreign;
mod forger;
mod interrupted;
mod limits;
mod operator;
mod pebble;
mod renewal;
mod revocation;
mod rollover;
mod served;
mod shop;
mod step_ca;
