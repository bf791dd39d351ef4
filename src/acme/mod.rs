//! Asking an ACME CA: signed requests over bounded HTTPS (RFC 8555 section 6).
//!
//! What is to be asked, and what an answer means, says [`certwright_core::acme`]. Nothing here knows Kubernetes.

mod answer;
mod client;
mod error;
mod mac_key;
mod transport;

pub use answer::Found;
pub use client::{Client, Issued, Offer};
pub use error::AcmeError;
pub use mac_key::mac_key;
pub use transport::{Transport, Verification};
