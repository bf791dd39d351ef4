//! Real TLS servers, CAs, and what these say of revocation.

pub(crate) mod authority;
pub(crate) mod responder;
pub(crate) mod revoking;
pub(crate) mod server;
