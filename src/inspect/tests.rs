mod judged;
mod shop;

use std::collections::BTreeMap;

use certwright_core::api::certificate::KeyEncoding;
use certwright_core::pki::profile::DistinguishedName;
use certwright_core::pki::sign::{Locations, by_authority, self_signed};
use certwright_core::pki::{Authority, CertificateDer, PrivateKey};
use k8s_openapi::ByteString;

use self::shop::{Shop, at, ca, common_name, generate, issued, pem, profile};
use super::*;
use crate::cli::OutsideSettings;

#[test]
fn a_secret_shows_its_leaf_its_chain_and_whether_the_key_fits() {
    let shop = Shop::new();
    let secret = Secret {
        data: Some(BTreeMap::from([
            (
                "tls.crt".to_owned(),
                ByteString(pem(&[&shop.leaf, &shop.intermediate]).into_bytes()),
            ),
            (
                "tls.key".to_owned(),
                ByteString(shop.key_pem().into_bytes()),
            ),
            (
                "ca.crt".to_owned(),
                ByteString(pem(&[&shop.root]).into_bytes()),
            ),
        ])),
        ..Secret::default()
    };
    let found = read::secret("shop", "web-tls", &secret);
    let expected = r"Secret shop/web-tls

tls.crt 1
  names        DNS shop.example.com
               DNS www.shop.example.com
               IP 10.0.0.1
  subject      empty
  issuer       CN=Shop CA
  valid from   2026-11-02 10:00:00 UTC, 30 days ago
  valid until  2027-01-31 10:00:00 UTC, in 60 days
  key          ECDSA P-256
  usages       digital signature, server auth
  CA           no
  signed with  ecdsa-with-SHA256
  serial       {leaf serial}
  fingerprint  SHA-256 {leaf fingerprint}
  CRL          http://crl.example.com/shop
  OCSP         http://ocsp.example.com
  issuer at    http://ca.example.com/shop.crt

tls.crt 2
  names        none
  subject      CN=Shop CA
  issuer       CN=Example Root,O=Example
  valid from   2026-11-02 10:00:00 UTC, 30 days ago
  valid until  2031-11-01 10:00:00 UTC, in 4 years
  key          ECDSA P-256
  usages       cert sign
  CA           yes
               only for DNS example.com
               never for IP 10.1.0.0/16
  signed with  ecdsa-with-SHA256
  serial       {intermediate serial}
  fingerprint  SHA-256 {intermediate fingerprint}

ca.crt 1
  names        none
  subject      CN=Example Root,O=Example
  issuer       CN=Example Root,O=Example
  valid from   2026-11-02 10:00:00 UTC, 30 days ago
  valid until  2036-10-30 10:00:00 UTC, in 9 years
  key          ECDSA P-256
  usages       cert sign
  CA           yes
  signed with  ecdsa-with-SHA256
  serial       {root serial}
  fingerprint  SHA-256 {root fingerprint}

private key
  key          ECDSA P-256
  fits         tls.crt 1

chain
  CN=Example Root,O=Example (ca.crt 1, self-signed)
  └─ CN=Shop CA (tls.crt 2)
     └─ DNS shop.example.com (tls.crt 1)
";
    assert_eq!(
        render(&found, at("2026-12-02T10:00:00Z")),
        shop.fill(expected)
    );
}

#[test]
fn certificates_whose_time_is_not_now_say_so_twice() {
    let shop = Shop::new();
    let found = read::bundle("web.pem", pem(&[&shop.leaf]).as_bytes());
    let text = render(&found, at("2027-02-03T10:00:00Z"));
    assert!(
        text.contains(
            "  valid until  2027-01-31 10:00:00 UTC, 3 days ago\n               EXPIRED\n"
        ),
        "{text}"
    );
    assert!(
        text.ends_with(
            "chain\n  CN=Shop CA (not here)\n  └─ DNS shop.example.com (certificate 1, EXPIRED)\n"
        ),
        "{text}"
    );
    let text = render(&found, at("2026-11-02T09:59:59Z"));
    assert!(
        text.contains("  valid from   2026-11-02 10:00:00 UTC, in 1 second\n"),
        "{text}"
    );
    assert!(text.ends_with("(certificate 1, NOT VALID YET)\n"), "{text}");
    assert!(
        !render(&found, at("2027-01-31T10:00:00Z")).contains("EXPIRED"),
        "the last second is part of it"
    );
}

#[test]
fn a_key_that_fits_nothing_is_called_out() {
    let (shop, other) = (Shop::new(), Shop::new());
    let found = read::bundle(
        "web.pem",
        format!("{}{}", pem(&[&shop.leaf]), other.key_pem()).as_bytes(),
    );
    let text = render(&found, at("2026-12-02T10:00:00Z"));
    assert!(
        text.contains(
            "private key\n  key          ECDSA P-256\n  fits         NO CERTIFICATE HERE\n"
        ),
        "{text}"
    );
}

#[test]
fn no_part_of_a_private_key_is_printed() {
    let shop = Shop::new();
    let found = read::bundle(
        "web.pem",
        format!("{}{}", pem(&[&shop.leaf]), shop.key_pem()).as_bytes(),
    );
    let text = format!("{}{found:?}", render(&found, at("2026-12-02T10:00:00Z")));
    // Octets 36 to 67 of a P-256 key's PKCS#8 form are the secret number.
    let der = shop.key.to_der(KeyEncoding::Pkcs8);
    let base64: String = shop
        .key_pem()
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    for part in der[36..68].windows(4) {
        let hexadecimal: String = part.iter().map(|octet| format!("{octet:02x}")).collect();
        assert!(!text.contains(&hexadecimal), "{text}");
        assert!(!text.contains(&words::octets(part)), "{text}");
    }
    for start in 48..80 {
        assert!(!text.contains(&base64[start..start + 8]), "{text}");
    }
}

#[test]
fn der_is_read_too_and_a_key_alone_is_something() {
    let shop = Shop::new();
    let found = read::bundle("web.der", &shop.leaf);
    assert_eq!(found.certificates.len(), 1);
    assert_eq!(found.problems, Vec::<String>::new());

    let found = read::bundle("web.key", shop.key_pem().as_bytes());
    assert_eq!(
        render(&found, at("2026-12-02T10:00:00Z")),
        "web.key\n\nprivate key\n  key          ECDSA P-256\n"
    );
}

#[test]
fn the_same_certificate_is_shown_once_with_both_places() {
    let shop = Shop::new();
    let root = pem(&[&shop.root]);
    let data = [("tls.crt", &root), ("ca.crt", &root)]
        .map(|(key, pem)| (key.to_owned(), ByteString(pem.clone().into_bytes())));
    let found = read::secret(
        "shop",
        "root",
        &Secret {
            data: Some(data.into()),
            ..Secret::default()
        },
    );
    assert_eq!(found.certificates.len(), 1);
    let text = render(&found, at("2026-12-02T10:00:00Z"));
    assert!(
        text.ends_with("chain\n  CN=Example Root,O=Example (tls.crt 1, ca.crt 1, self-signed)\n"),
        "{text}"
    );
}

#[test]
fn siblings_stand_under_the_same_issuer() {
    let shop = Shop::new();
    let second = shop.sign(
        &profile(DistinguishedName::default(), &["b.example.com"]),
        &generate(),
    );
    let found = read::bundle(
        "all.pem",
        pem(&[&shop.leaf, &second, &shop.intermediate, &shop.root]).as_bytes(),
    );
    let text = render(&found, at("2026-12-02T10:00:00Z"));
    let tree = "chain
  CN=Example Root,O=Example (certificate 4, self-signed)
  └─ CN=Shop CA (certificate 3)
     ├─ DNS shop.example.com (certificate 1)
     └─ DNS b.example.com (certificate 2)
";
    assert!(text.ends_with(tree), "{text}");
}

/// Roots of the past are signed with SHA-1, which is not verified: that doesn't make them someone else's.
#[test]
fn a_root_whose_own_signature_can_not_be_verified_stands_on_top() {
    let key = generate();
    let root = self_signed(
        &ca(common_name("Old")),
        &Locations::default(),
        &key,
        issued(),
    )
    .unwrap();
    let mut tampered = root.to_vec();
    *tampered.last_mut().unwrap() ^= 1;
    let found = read::bundle("old.der", &tampered);
    let text = render(&found, at("2026-12-02T10:00:00Z"));
    assert!(
        text.ends_with("chain\n  CN=Old (certificate 1, names itself as its issuer)\n"),
        "{text}"
    );
}

/// Two CAs with the same names and keys as each other's issuers: nobody is on top.
#[test]
fn cas_that_signed_each_other_end_the_tree() {
    let (key_a, key_b) = (generate(), generate());
    let (name_a, name_b) = (common_name("A"), common_name("B"));
    let [root_a, root_b] = [(&name_a, &key_a), (&name_b, &key_b)].map(|(name, key)| {
        self_signed(&ca(name.clone()), &Locations::default(), key, issued()).unwrap()
    });
    let by = |root: &CertificateDer, key: &PrivateKey| {
        Authority::read(
            pem(&[root]).as_bytes(),
            key.to_pem(KeyEncoding::Pkcs8).as_bytes(),
            None,
        )
        .unwrap_or_else(|problem| panic!("{problem}"))
    };
    let a_by_b = by_authority(
        &ca(name_a),
        &Locations::default(),
        key_a.public(),
        &by(&root_b, &key_b),
        issued(),
    )
    .unwrap();
    let b_by_a = by_authority(
        &ca(name_b),
        &Locations::default(),
        key_b.public(),
        &by(&root_a, &key_a),
        issued(),
    )
    .unwrap();
    let found = read::bundle("cross.pem", pem(&[&a_by_b, &b_by_a]).as_bytes());
    let text = render(&found, at("2026-12-02T10:00:00Z"));
    assert!(
        text.ends_with(
            "chain\n  CN=A (not here)\n  └─ CN=B (certificate 2)\n     └─ CN=A (certificate 1)\n"
        ),
        "{text}"
    );
}

#[test]
fn what_can_not_be_read_is_said() {
    let found = read::bundle("notes.txt", b"hello");
    assert_eq!(found.certificates, []);
    assert!(
        found.problems[0].starts_with("neither PEM nor DER: not an X.509 certificate"),
        "{:?}",
        found.problems
    );

    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let found = read::bundle("broken.pem", broken.as_bytes());
    assert!(
        found.problems[0].starts_with("certificate 1 cannot be read"),
        "{:?}",
        found.problems
    );

    let opaque = Secret {
        data: Some(
            [
                ("b".to_owned(), ByteString::default()),
                ("a".to_owned(), ByteString::default()),
            ]
            .into(),
        ),
        ..Secret::default()
    };
    assert_eq!(
        read::secret("shop", "x", &opaque).problems,
        ["there is no tls.crt in it, but a, b"]
    );
    assert_eq!(
        read::secret("shop", "x", &Secret::default()).problems,
        ["there is no tls.crt in it, nor anything else"]
    );

    let empty_key = Secret {
        data: Some(
            [
                (
                    "tls.crt".to_owned(),
                    ByteString(pem(&[&Shop::new().leaf]).into_bytes()),
                ),
                ("tls.key".to_owned(), ByteString::default()),
            ]
            .into(),
        ),
        ..Secret::default()
    };
    let text = render(
        &read::secret("shop", "x", &empty_key),
        at("2026-12-02T10:00:00Z"),
    );
    assert!(
        text.contains("private key\n  problem      tls.key: there is no private key in it\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_file_without_anything_to_show_is_a_failure_and_one_that_is_too_large_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    for (content, part) in [
        (
            b"-----BEGIN X-----\n-----END X-----\n".to_vec(),
            "no certificate and no private key",
        ),
        (vec![b'a'; (1 << 20) + 1], "larger than 1 MiB"),
    ] {
        let path = directory.path().join("file");
        std::fs::write(&path, content).unwrap();
        let settings = InspectSettings {
            target: Target::File(path),
            namespace: None,
            context: None,
            server_name: None,
            starttls: None,
            outside: OutsideSettings::default(),
        };
        let error = run(settings).await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
