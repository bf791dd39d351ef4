//! HTTP-01 (RFC 8555 section 8.3) without Pods: which objects lead a CA's question to the operator, and which take them
//! away again.
//!
//! A [`Challenge`] is asked for at a [`Host`]. [`Door`] says what is made for the challenges of one Certificate, the
//! [`Record`] is what was written down before it was made, and [`edit`] is what is done to an Ingress of the users.

pub mod edit;
mod endpoints;
mod host;
mod objects;
mod record;
mod self_check;

pub use endpoints::Endpoints;
pub use host::{Challenge, Host, InvalidChallenge, PATH};
pub use objects::{Door, Object, Operator, Owner, Refused, SOLVER};
pub use record::{Edit, Kind, Record, RecordProblem, Reference};
pub use self_check::{Outcome, PATIENCE, ask_now};
