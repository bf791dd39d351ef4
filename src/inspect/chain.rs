//! Which certificate signed which.

use certwright_core::pki::Facts;

/// For each certificate the index of the one that signed it, if that is another of them.
///
/// Of several (the same CA under two roots) the one that lasts longest counts. Following the answer never leads back,
/// even where two CAs signed each other.
pub(super) fn signers(certificates: &[&Facts]) -> Vec<Option<usize>> {
    let mut signers = vec![None; certificates.len()];
    for (index, certificate) in certificates.iter().enumerate() {
        if certificate.is_self_signed() {
            continue;
        }
        signers[index] = (0..certificates.len())
            .filter(|&above| above != index && certificate.is_signed_by(certificates[above]))
            .filter(|&above| !leads_to(&signers, above, index))
            .max_by_key(|&above| (certificates[above].not_after, std::cmp::Reverse(above)));
    }
    signers
}

fn leads_to(signers: &[Option<usize>], from: usize, to: usize) -> bool {
    std::iter::successors(Some(from), |&index| signers[index]).any(|index| index == to)
}
