//! What is said of a server that is watched, and when it is looked at.
//!
//! What a look found comes in as a [`Look`]; what a client would have against it, [`crate::pki::faults`] knows. A status says
//! something new or stays as it is: what depends on the day only, such as which of its addresses a name leads to, is left out.

mod said;
#[cfg(test)]
mod tests;
mod when;

use jiff::{SignedDuration, Timestamp};

use crate::api::ServedCheckSpec;
use crate::pki::Facts;
use crate::pki::faults::{Fault, Judgement, Standing};

pub use said::{news, status};
pub use when::{UNTOLD, again_after, next_look, turns_at};

/// What came of looking at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// It was not connected to, and won't be before somebody changes something.
    Refused {
        /// One word for why.
        reason: &'static str,
        /// The same in a sentence: what is wrong, and the way out.
        message: String,
    },
    /// It could not be reached, or showed no certificate. That says nothing of the certificate.
    Unreached {
        /// One word for why.
        reason: &'static str,
        /// The same in a sentence.
        message: String,
    },
    /// It showed certificates.
    Seen(Box<Seen>),
}

/// What a server showed, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The name it was asked for.
    pub name: String,
    /// The server's own certificate.
    pub leaf: Facts,
    /// How many certificates it showed.
    pub chain_length: usize,
    /// What a client would have against them.
    pub judgement: Judgement,
    /// What the CA says of revocation, if it was asked.
    pub standing: Option<Standing>,
}

impl Seen {
    /// All faults, revocation among them.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = self.judgement.faults.clone();
        if let Some(Standing::Revoked(fault)) = &self.standing {
            faults.push(fault.clone());
            faults.sort();
        }
        faults
    }
}

/// How long before its end a certificate is a fault.
pub fn least_left(spec: &ServedCheckSpec, leaf: &Facts) -> SignedDuration {
    const PART: i32 = 6;
    spec.warn_before()
        .unwrap_or_else(|| leaf.not_after.duration_since(leaf.not_before) / PART)
}

/// The moment from which a certificate is over: its last second is part of its life (RFC 5280 section 4.1.2.5).
fn over_at(not_after: Timestamp) -> Timestamp {
    let over = not_after.checked_add(SignedDuration::from_secs(1));
    over.unwrap_or(not_after)
}
