//! What to do next for a Certificate.

pub mod renew;
pub mod request;

pub use request::{InvalidSpec, Request};
