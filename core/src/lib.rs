//! What Certwright says and thinks.
//!
//! Types, schema and conditions ([`api`]); keys, requests and certificates ([`pki`]); what to do next for a
//! Certificate ([`plan`]) and for the workloads that read its Secret ([`rollout`]); what is said to an ACME CA and what
//! it means ([`acme`]); who leads ([`lease`]).
//!
//! There is no runtime, no client, no clock and no environment here: time and what was read from the cluster
//! are arguments. Only keys and serial numbers draw randomness, from the crypto provider.

pub mod acme;
pub mod api;
pub mod checks;
pub mod http01;
pub mod lease;
pub mod pki;
pub mod plan;
pub mod rollout;
