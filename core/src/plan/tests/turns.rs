//! Several issuers of one Certificate, and whose turn it is.

use jiff::Timestamp;

use super::world::{Issuer, World};
use crate::api::certificate::IssuerRef;
use crate::plan::{Turn, fallback};

impl World {
    /// With an Issuer of this name to fall back on, after those there are already.
    #[must_use]
    pub(super) fn or_by(mut self, name: &str, issuer: Issuer) -> Self {
        let reference = IssuerRef {
            name: name.to_owned(),
            ..IssuerRef::default()
        };
        self.certificate.spec.fallback_issuer_refs.push(reference);
        self.fallbacks.push(issuer);
        self.names = fallback::candidates(&self.certificate.spec);
        self
    }

    pub(super) fn at_place(&self, place: usize) -> &Issuer {
        match place {
            0 => &self.issuer,
            place => &self.fallbacks[place - 1],
        }
    }

    /// The issuer whose turn it is.
    pub(super) fn signer(&self) -> &Issuer {
        self.at_place(self.turn.place)
    }

    /// Whose turn it is, as the shell finds out.
    pub(super) fn take_turns(&mut self, now: Timestamp) {
        let certificate = &self.certificate;
        let mut turn = Turn::of(certificate);
        if turn.is_over(now, certificate) {
            let mut others = turn.others(&certificate.spec).into_iter();
            let ready = |(place, _): &(usize, _)| matches!(self.at_place(*place), Issuer::Ready(_));
            let state = self.at_place(turn.place).standing();
            match others.find(ready) {
                Some(next) => turn = turn.passes_to(next, certificate, state),
                None => turn.overdue = true,
            }
        }
        self.turn = turn;
    }
}
