//! Against real ACME servers, on loopback.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is tests, also what is outside their functions"
)]

mod account;
mod account_keys;
mod allowed;
mod another_kind;
mod bad_ca;
mod below;
mod beside;
mod choices;
mod client;
mod customer;
mod deleted;
mod each_request;
mod faults;
mod faulty;
mod foreign;
mod forged_status;
mod forger;
mod gone;
mod hanging;
mod hostile;
mod impostor;
mod interrupted;
mod killed;
mod limits;
mod named;
mod operator;
mod own_pods;
mod pebble;
mod precheck;
mod renewal;
mod replicas;
mod revocation;
mod rights;
mod rollover;
mod rollover_killed;
mod second_try;
mod served;
mod settings;
mod shop;
mod stand_in;
mod step_ca;
mod suggestions;
mod tenants;
mod undone;
mod unwritten;
