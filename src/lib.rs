//! What Certwright does: the operator around [`certwright_core`].

pub mod rollout;
