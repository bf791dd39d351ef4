//! Bundles of certificates in PEM, as they stand in `tls.crt` and `ca.crt`, and the chain that is built from them.
#![no_main]

use std::collections::BTreeSet;

use certwright_core::pki::chain::{self, MAX_CERTIFICATES, MAX_CHAIN};
use certwright_core::pki::{Authority, CaProblem, CertificateDer};
use libfuzzer_sys::fuzz_target;
use rustls_pki_types::pem::PemObject;

fuzz_target!(|pem: &[u8]| {
    if let Err(problem) = Authority::read(pem, pem, Some(pem)) {
        let _ = problem.to_string();
        assert!(!matches!(
            problem,
            CaProblem::Expired(_) | CaProblem::NotYetValid(_)
        ));
    }
    let Ok(certificates) = chain::read_pem(pem) else {
        return;
    };
    assert!((1..=MAX_CERTIFICATES).contains(&certificates.len()));

    let written = chain::to_pem(certificates.iter().map(|facts| &facts.der));
    assert_eq!(
        chain::read_pem(written.as_bytes()).as_ref(),
        Ok(&certificates)
    );
    let as_rustls_reads: Vec<CertificateDer> = CertificateDer::pem_slice_iter(written.as_bytes())
        .map(Result::unwrap)
        .collect();
    assert!(
        certificates
            .iter()
            .map(|facts| &facts.der)
            .eq(&as_rustls_reads)
    );

    let chain = chain::build(&certificates[0], &certificates);
    assert!((1..=MAX_CHAIN).contains(&chain.len()));
    assert!(chain.windows(2).all(|pair| pair[0].is_signed_by(&pair[1])));
    let distinct: BTreeSet<_> = chain.iter().map(|facts| facts.fingerprint).collect();
    assert_eq!(distinct.len(), chain.len());
});
