//! Which of a CA's chains is stored.

use crate::pki::Facts;
use crate::pki::chain::{self, BundleError};

/// A chain of more bytes than this is not read.
pub const MAX_CHAIN_BYTES: usize = 100_000;
/// A chain of more certificates than this is not read.
pub const MAX_CHAIN: usize = 10;
/// More chains than this are not fetched.
pub const MAX_CHAINS: usize = 8;

/// The certificates of an `application/pem-certificate-chain` (RFC 8555 section 9.1), in their order, the leaf first.
///
/// # Errors
/// When there is none, one can't be read, or there are more than [`MAX_CHAIN`] or [`MAX_CHAIN_BYTES`].
pub fn read(pem: &[u8]) -> Result<Vec<Facts>, BundleError> {
    if pem.len() > MAX_CHAIN_BYTES {
        return Err(BundleError::TooLarge(format!(
            "{} bytes, {MAX_CHAIN_BYTES} are allowed",
            pem.len()
        )));
    }
    let certificates = chain::read_pem(pem)?;
    if certificates.len() > MAX_CHAIN {
        return Err(BundleError::TooLarge(format!(
            "{} certificates, {MAX_CHAIN} are allowed",
            certificates.len()
        )));
    }
    Ok(certificates)
}

/// Whether the CA's other chains have to be fetched: a chain is preferred, and this one, its first, is not it.
pub fn needs_alternates(first: &[Facts], preferred: Option<&str>) -> bool {
    preferred.is_some_and(|preferred| !is_preferred(first, preferred))
}

/// The chain to store, of those that a CA offers, its own first choice before the others: the first whose topmost
/// certificate was issued by a CA of this common name, else the first. `None` only of none.
pub fn choose(chains: Vec<Vec<Facts>>, preferred: Option<&str>) -> Option<Vec<Facts>> {
    let place = preferred.and_then(|preferred| {
        chains
            .iter()
            .position(|chain| is_preferred(chain, preferred))
    });
    chains.into_iter().nth(place.unwrap_or_default())
}

/// Whether the certificate came alone although none of these CAs, nor its own key, signed it: whoever gets it from a
/// server misses what is between it and a root. A root itself may be left out (RFC 8555 section 9.1).
pub fn is_cut_off(chain: &[Facts], roots: &[Facts]) -> bool {
    match chain {
        [alone] => !alone.is_signed_by(alone) && !roots.iter().any(|root| alone.is_signed_by(root)),
        _ => false,
    }
}

fn is_preferred(chain: &[Facts], preferred: &str) -> bool {
    chain
        .last()
        .is_some_and(|top| top.issuer.common_names().any(|name| name == preferred))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::chain::to_pem;
    use crate::pki::testing::{ca, key, leaf, self_signed, signed};
    use crate::pki::{Authority, CertificateDer};

    fn root(common_name: &str) -> Authority {
        crate::pki::testing::root(&ca(common_name))
    }

    /// A leaf, and an intermediate of the same key signed by each of these roots.
    fn chains(roots: &[&str]) -> Vec<Vec<Facts>> {
        let intermediate = key();
        let below = root("Intermediate");
        let end = signed(&below, &leaf(&["a.example"]), &key()).unwrap();
        roots
            .iter()
            .map(|name| {
                let signed = signed(&root(name), &ca("Intermediate"), &intermediate).unwrap();
                vec![end.clone(), signed]
            })
            .collect()
    }

    #[test]
    fn the_preferred_chain_is_taken_and_the_first_without_one() {
        let chains = chains(&["Root X2", "Root X1", "Root X1"]);
        for (preferred, expected) in [
            (None, 0),
            (Some("Root X2"), 0),
            (Some("Root X1"), 1),
            (Some("Root X3"), 0),
            // The name of the top's issuer, not of the top.
            (Some("Intermediate"), 0),
            (Some("root x1"), 0),
        ] {
            assert_eq!(
                choose(chains.clone(), preferred).as_ref(),
                Some(&chains[expected]),
                "{preferred:?}"
            );
        }
        assert_eq!(choose(Vec::new(), Some("Root X1")), None);
        assert!(!needs_alternates(&chains[0], None));
        assert!(!needs_alternates(&chains[0], Some("Root X2")));
        assert!(needs_alternates(&chains[0], Some("Root X1")));
    }

    #[test]
    fn a_certificate_comes_alone_only_from_a_known_root() {
        let (below, other) = (root("Root"), root("Other"));
        let end = signed(&below, &leaf(&["a.example"]), &key()).unwrap();
        let (known, unknown) = (below.certificate().clone(), other.certificate().clone());
        let alone = [end.clone()];
        assert!(is_cut_off(&alone, &[]));
        assert!(is_cut_off(&alone, std::slice::from_ref(&unknown)));
        assert!(!is_cut_off(&alone, &[unknown, known.clone()]));
        assert!(!is_cut_off(&[end, known.clone()], &[]));
        assert!(!is_cut_off(
            &[self_signed(&leaf(&["a.example"]), &key())],
            &[]
        ));
        assert!(!is_cut_off(&[], &[known]));
    }

    #[test]
    fn a_chain_is_read_within_bounds() {
        let one = self_signed(&ca("Root"), &key());
        let pem = |count: usize| -> String {
            to_pem(std::iter::repeat_n::<&CertificateDer>(&one.der, count))
        };
        assert_eq!(read(pem(MAX_CHAIN).as_bytes()).unwrap().len(), MAX_CHAIN);
        assert!(matches!(
            read(pem(MAX_CHAIN + 1).as_bytes()),
            Err(BundleError::TooLarge(_))
        ));
        let padded = format!("{}{}", pem(1), " ".repeat(MAX_CHAIN_BYTES));
        assert!(matches!(
            read(padded.as_bytes()),
            Err(BundleError::TooLarge(_))
        ));
        assert_eq!(read(b""), Err(BundleError::Empty));
        let cut = pem(2);
        assert!(read(&cut.as_bytes()[..cut.len() - 30]).is_err());
    }
}
