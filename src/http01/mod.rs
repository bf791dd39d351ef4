//! HTTP-01 without Pods: every replica answers, and the leader sees to it that it is asked.
//!
//! [`responder`] answers a CA's questions, [`front_door`] leads them here and takes away what did, and [`self_check`]
//! looks through the front door before the CA does. What is made and how it is written down is decided in
//! [`certwright_core::http01`].

pub mod answers;
pub mod front_door;
pub mod responder;
pub mod self_check;
