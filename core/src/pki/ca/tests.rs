use super::*;
use crate::api::certificate::KeyEncoding;
use crate::pki::Profile;
use crate::pki::testing::{at, below, ca, key, leaf, now, pem, root, self_signed};

fn key_pem(key: &PrivateKey) -> String {
    key.to_pem(KeyEncoding::Pkcs8).to_string()
}

fn problem(tls_crt: &str, tls_key: &str, ca_crt: Option<&str>) -> CaProblem {
    Authority::read(
        tls_crt.as_bytes(),
        tls_key.as_bytes(),
        ca_crt.map(str::as_bytes),
    )
    .unwrap_err()
}

#[test]
fn says_what_is_wrong_with_a_secret() {
    let key = key();
    let certificate = self_signed(&ca("ca"), &key);
    let (crt, key_text) = (pem(&[&certificate]), key_pem(&key));
    assert_eq!(
        problem("", &key_text, None).to_string(),
        "tls.crt: there is no certificate in it"
    );
    assert_eq!(
        problem(&crt, "", None).to_string(),
        "tls.key: there is no private key in it"
    );
    assert_eq!(
        problem(&crt, &key_pem(&crate::pki::testing::key()), None),
        CaProblem::KeyDoesNotFit
    );
    let broken = "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----";
    assert_eq!(
        problem(&crt, &key_text, Some(broken)).to_string(),
        "ca.crt: certificate 1 cannot be read: it is not base64"
    );
    let no_ca = self_signed(&leaf(&["example.com"]), &key);
    assert_eq!(
        problem(&pem(&[&no_ca]), &key_text, None),
        CaProblem::NotACa("its basic constraints don't say cA")
    );
    let may_not_sign = Profile {
        key_usages: [KeyUsage::CrlSign].into(),
        ..ca("ca")
    };
    assert_eq!(
        problem(&pem(&[&self_signed(&may_not_sign, &key)]), &key_text, None),
        CaProblem::NotACa("its key usage lacks \"cert sign\"")
    );
}

#[test]
fn a_ca_without_the_key_usage_extension_may_sign() {
    let key = key();
    let certificate = self_signed(
        &Profile {
            key_usages: [].into(),
            ..ca("ca")
        },
        &key,
    );
    assert_eq!(certificate.key_usages, None);
    assert!(
        Authority::read(
            pem(&[&certificate]).as_bytes(),
            key_pem(&key).as_bytes(),
            None
        )
        .is_ok()
    );
}

#[test]
fn an_empty_ca_crt_counts_as_absent() {
    let key = key();
    let crt = pem(&[&self_signed(&ca("ca"), &key)]);
    let ca = Authority::read(crt.as_bytes(), key_pem(&key).as_bytes(), Some(b"\n")).unwrap();
    assert_eq!(ca.chain.len(), 1);
}

#[test]
fn may_sign_within_its_validity_alone() {
    let ca = root(&ca("ca"));
    let (not_before, not_after) = (at("2026-11-23T10:00:00Z"), at("2027-11-23T10:00:00Z"));
    assert_eq!(
        ca.check(at("2026-11-23T09:59:59.9Z")),
        Err(CaProblem::NotYetValid(not_before))
    );
    assert_eq!(ca.check(not_before), Ok(()));
    assert_eq!(ca.check(now()), Ok(()));
    assert_eq!(ca.check(at("2027-11-23T10:00:00.9Z")), Ok(()));
    assert_eq!(
        ca.check(at("2027-11-23T10:00:01Z")),
        Err(CaProblem::Expired(not_after))
    );
}

#[test]
fn below_a_root_nothing_but_the_leaf_is_served() {
    let ca = root(&ca("root"));
    assert!(ca.intermediates().is_empty());
    assert_eq!(ca.top(), ca.certificate());
}

#[test]
fn from_an_intermediate_all_but_the_root_is_served() {
    let top = root(&ca("root"));
    let middle = below(&top, &ca("middle"));
    let last = below(&middle, &ca("last"));
    assert_eq!(
        last.chain,
        [last.certificate(), middle.certificate(), top.certificate()].map(Clone::clone)
    );
    assert_eq!(last.intermediates(), &last.chain[..2]);
    assert_eq!(last.top(), top.certificate());
}

#[test]
fn an_intermediate_whose_root_is_unknown_is_its_own_top() {
    let top = root(&ca("root"));
    let middle = below(&top, &ca("middle"));
    let crt = pem(&[middle.certificate()]);
    let alone = Authority::read(crt.as_bytes(), key_pem(&middle.key).as_bytes(), None).unwrap();
    assert_eq!(
        alone.intermediates(),
        std::slice::from_ref(middle.certificate())
    );
    assert_eq!(alone.top(), middle.certificate());
}

#[test]
fn the_chain_above_is_found_in_ca_crt_too() {
    let top = root(&ca("root"));
    let middle = below(&top, &ca("middle"));
    let last = below(&middle, &ca("last"));
    let crt = pem(&[last.certificate()]);
    let above = pem(&[
        top.certificate(),
        middle.certificate(),
        root(&ca("stranger")).certificate(),
    ]);
    let read = Authority::read(
        crt.as_bytes(),
        key_pem(&last.key).as_bytes(),
        Some(above.as_bytes()),
    )
    .unwrap();
    assert_eq!(read.chain, last.chain);
}

#[test]
fn debug_hides_the_key() {
    let ca = root(&ca("ca"));
    let text = format!("{ca:?}");
    assert!(
        text.starts_with("Authority { chain: [Facts {") && !text.contains("key"),
        "{text}"
    );
}
