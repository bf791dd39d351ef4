//! Against real ACME servers, on loopback.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is tests, also what is outside their functions"
)]

mod account;
mod allowed;
mod bad_ca;
mod below;
mod beside;
mod choices;
mod client;
mod customer;
mod each_request;
mod faults;
mod faulty;
mod foreign;
mod forger;
mod hostile;
mod interrupted;
mod limits;
mod named;
mod operator;
mod pebble;
mod precheck;
mod renewal;
mod revocation;
mod rollover;
mod second_try;
mod served;
mod shop;
mod stand_in;
mod step_ca;
mod tenants;
mod undone;
mod unwritten;
