//! ACME (RFC 8555): what is said on the wire, what an answer means, and what an order needs next.
//!
//! Nothing here reaches the network or knows Kubernetes. What comes from a CA is hostile input: every list and text that
//! is kept is bounded by whoever reads it, and whatever can't be read is an error.

pub mod account_key;
pub mod ari;
pub mod chains;
pub mod limits;
pub mod links;
pub mod order;
pub mod origin;
pub mod precheck;
pub mod problem;
pub mod selector;
pub mod wire;

pub use account_key::AccountKey;
pub use origin::{Origins, token_is_sound};
pub use problem::{Meaning, Pace, Scope};
pub use selector::ChallengeKind;
