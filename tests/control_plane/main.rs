//! The operator on a real Kubernetes API server: each test runs one of its own, in this process, under an API group of its own.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is tests, also what is outside their functions"
)]

mod api_server;
mod argocd;
mod authorities;
mod bounds;
mod broken;
mod conflicts;
mod contest;
mod defaults;
mod deletion;
mod fallback;
mod first;
mod foreign;
mod harness;
mod http01;
mod interruption;
mod issuers;
mod kinds;
mod kstatus;
mod leadership;
mod mid_roll;
mod names;
mod namespaces;
mod own_addresses;
mod pace;
mod policies;
mod reissue;
mod renewal;
mod repair;
mod roll_back;
mod rollout;
mod rotation;
mod secrecy;
mod served;
mod served_checks;
mod shipped;
mod status;
#[allow(
    dead_code,
    reason = "shared with the tests of verify; each uses what it needs"
)]
#[path = "../verify/tls/mod.rs"]
mod tls;
