//! Which certificates go into a Secret, beside the one that was issued.

use super::assess::{Assessment, CaState};
use super::inputs::{Inputs, IssuerState, ReadyIssuer, Signer};
use super::intent::Contents;
use super::observed::Stored;
use crate::pki::{CertificateDer, Facts};

/// The contents that put a Secret right whose pair is good, from what is stored there; `None` if no pair is stored.
pub fn repaired(inputs: &Inputs<'_>, assessment: &Assessment, stored: Stored) -> Option<Contents> {
    let (leaf, above) = stored.chain.split_first()?;
    let held = || ders(&stored.ca);
    let (above, ca) = match inputs.holder() {
        IssuerState::Ready(ReadyIssuer {
            signer: Signer::SelfSigned,
            ..
        }) => (Vec::new(), vec![leaf.der.clone()]),
        IssuerState::Ready(ReadyIssuer {
            signer: Signer::Authority(authority),
            ..
        }) => {
            let top = &authority.top().der;
            match assessment.ca {
                CaState::Current | CaState::Unknown => {
                    (ders(authority.intermediates()), vec![top.clone()])
                }
                CaState::Retaining { .. } => {
                    (ders(authority.intermediates()), beside(top, &stored.ca))
                }
                CaState::Replaced | CaState::Following { .. } => {
                    (ders(above), beside(top, &stored.ca))
                }
            }
        }
        _ => (ders(above), held()),
    };
    let chain = std::iter::once(leaf.der.clone()).chain(above).collect();
    Some(Contents {
        key: stored.key?,
        chain,
        ca,
    })
}

/// What is stored, as it is; `None` if no key is stored.
pub fn unchanged(stored: Stored) -> Option<Contents> {
    Some(Contents {
        chain: ders(&stored.chain),
        ca: ders(&stored.ca),
        key: stored.key?,
    })
}

/// `ca.crt` after an issuance: the new root, and while the CA's key is being replaced the older ones beside it.
pub fn ca_after_issuing(
    assessment: &Assessment,
    new: Option<CertificateDer>,
    stored: &[Facts],
) -> Vec<CertificateDer> {
    match new {
        Some(new) if keeps_older_roots(assessment) => beside(&new, stored),
        new => new.into_iter().collect(),
    }
}

/// Whether older roots stay in `ca.crt` through an issuance.
pub fn keeps_older_roots(assessment: &Assessment) -> bool {
    matches!(
        assessment.ca,
        CaState::Replaced | CaState::Following { .. } | CaState::Retaining { .. }
    )
}

fn beside(first: &CertificateDer, others: &[Facts]) -> Vec<CertificateDer> {
    let others = others
        .iter()
        .map(|facts| &facts.der)
        .filter(|other| *other != first);
    std::iter::once(first).chain(others).cloned().collect()
}

fn ders(certificates: &[Facts]) -> Vec<CertificateDer> {
    certificates.iter().map(|facts| facts.der.clone()).collect()
}
