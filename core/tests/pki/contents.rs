//! What stands in certificates, as OpenSSL tells it.

use certwright_core::pki::profile::{KeyUsage, NameConstraints, Names, Subtrees};
use certwright_core::pki::sign::{self, Locations};
use certwright_core::pki::{Authority, Facts, KeySpec, Profile};

use crate::chains::{openssl_accepts, webpki_accepts};
use crate::made::{HOST, ca, key, leaf, now, root, self_signed, signed, subject};
use crate::openssl::{OpenSsl, line_below};

fn text(profile: &Profile) -> String {
    OpenSsl::new().text(&self_signed(profile, key(KeySpec::Ecdsa(256), 0)).der)
}

fn below(text: &str, heading: &str) -> String {
    line_below(text, heading).unwrap_or_else(|| panic!("{heading} in {text}"))
}

#[test]
fn every_kind_of_name_is_read() {
    let one = |text: &str| [text.to_owned()].into();
    let names = Names {
        dns: one("*.example.com"),
        ip: ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()].into(),
        uri: one("spiffe://example.com/a"),
        email: one("jo@example.com"),
        other: [(
            "1.3.6.1.4.1.311.20.2.3".to_owned(),
            "jö@example.com".to_owned(),
        )]
        .into(),
    };
    let only = |change: &dyn Fn(&mut Names)| {
        let mut only = Names::default();
        change(&mut only);
        let profile = Profile {
            names: only,
            subject: subject(&[&[("2.5.4.3", "x")]]),
            ..leaf()
        };
        below(&text(&profile), "X509v3 Subject Alternative Name:")
    };
    assert_eq!(
        only(&|only| only.dns = names.dns.clone()),
        "DNS:*.example.com"
    );
    assert_eq!(
        only(&|only| only.ip = names.ip.clone()),
        "IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1"
    );
    assert_eq!(
        only(&|only| only.uri = names.uri.clone()),
        "URI:spiffe://example.com/a"
    );
    assert_eq!(
        only(&|only| only.email = names.email.clone()),
        "email:jo@example.com"
    );
    assert_eq!(
        only(&|only| only.other = names.other.clone()),
        "othername: UPN::jö@example.com"
    );

    let all = Profile {
        names: names.clone(),
        ..leaf()
    };
    assert_eq!(
        below(&text(&all), "X509v3 Subject Alternative Name: critical"),
        "DNS:*.example.com, email:jo@example.com, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, \
         URI:spiffe://example.com/a, othername: UPN::jö@example.com"
    );
    let certificate = self_signed(&all, key(KeySpec::Ecdsa(256), 0));
    assert_eq!(certificate.names, names);
    assert_eq!(
        openssl_accepts(&certificate, &[], &certificate, HOST),
        Ok(()),
        "by its wildcard"
    );
    assert_eq!(
        webpki_accepts(&certificate, &[], &certificate, HOST),
        Ok(()),
        "by its wildcard"
    );
    assert_eq!(
        webpki_accepts(&certificate, &[], &certificate, "192.0.2.1"),
        Ok(())
    );
    assert_eq!(
        webpki_accepts(&certificate, &[], &certificate, "2001:db8::1"),
        Ok(())
    );
}

#[test]
fn every_key_usage_is_read() {
    let table = [
        (KeyUsage::DigitalSignature, "Digital Signature"),
        (KeyUsage::ContentCommitment, "Non Repudiation"),
        (KeyUsage::KeyEncipherment, "Key Encipherment"),
        (KeyUsage::DataEncipherment, "Data Encipherment"),
        (KeyUsage::KeyAgreement, "Key Agreement"),
        (KeyUsage::KeyCertSign, "Certificate Sign"),
        (KeyUsage::CrlSign, "CRL Sign"),
        (KeyUsage::EncipherOnly, "Encipher Only"),
        (KeyUsage::DecipherOnly, "Decipher Only"),
    ];
    for (usage, words) in table {
        let text = text(&Profile {
            key_usages: [usage].into(),
            ..leaf()
        });
        assert_eq!(below(&text, "X509v3 Key Usage: critical"), words);
    }
    let all = Profile {
        key_usages: table.iter().map(|(usage, _)| *usage).collect(),
        ..leaf()
    };
    let words: Vec<_> = table.iter().map(|(_, words)| *words).collect();
    assert_eq!(
        below(&text(&all), "X509v3 Key Usage: critical"),
        words.join(", ")
    );
    assert!(
        !text(&Profile {
            key_usages: [].into(),
            ..leaf()
        })
        .contains("X509v3 Key Usage")
    );
}

/// Every extended usage that a Certificate can ask for.
#[test]
fn every_extended_key_usage_is_read() {
    let table = [
        ("2.5.29.37.0", "Any Extended Key Usage"),
        ("1.3.6.1.5.5.7.3.1", "TLS Web Server Authentication"),
        ("1.3.6.1.5.5.7.3.2", "TLS Web Client Authentication"),
        ("1.3.6.1.5.5.7.3.3", "Code Signing"),
        ("1.3.6.1.5.5.7.3.4", "E-mail Protection"),
        ("1.3.6.1.5.5.7.3.5", "IPSec End System"),
        ("1.3.6.1.5.5.7.3.6", "IPSec Tunnel"),
        ("1.3.6.1.5.5.7.3.7", "IPSec User"),
        ("1.3.6.1.5.5.7.3.8", "Time Stamping"),
        ("1.3.6.1.5.5.7.3.9", "OCSP Signing"),
        ("1.3.6.1.4.1.311.10.3.3", "Microsoft Server Gated Crypto"),
        ("2.16.840.1.113730.4.1", "Netscape Server Gated Crypto"),
    ];
    for (oid, words) in table {
        let profile = Profile {
            extended_key_usages: [oid.to_owned()].into(),
            ..leaf()
        };
        assert_eq!(below(&text(&profile), "X509v3 Extended Key Usage:"), words);
    }
    let all = Profile {
        extended_key_usages: table.iter().map(|(oid, _)| (*oid).to_owned()).collect(),
        ..leaf()
    };
    let read = below(&text(&all), "X509v3 Extended Key Usage:");
    assert!(
        read.split(", ").count() == table.len()
            && table.iter().all(|(_, words)| read.contains(words)),
        "{read}"
    );
    assert!(
        !text(&Profile {
            extended_key_usages: [].into(),
            ..leaf()
        })
        .contains("X509v3 Extended Key Usage")
    );
}

#[test]
fn leaves_say_that_they_are_no_cas_and_cas_that_they_are() {
    assert_eq!(
        below(&text(&leaf()), "X509v3 Basic Constraints: critical"),
        "CA:FALSE"
    );
    assert_eq!(
        below(&text(&ca("ca")), "X509v3 Basic Constraints: critical"),
        "CA:TRUE"
    );
}

fn constraints(critical: bool) -> NameConstraints {
    let one = |text: &str| [text.to_owned()].into();
    NameConstraints {
        critical,
        permitted: Subtrees {
            dns: one("example.com"),
            ip: [
                ("192.0.2.0".parse().unwrap(), 25),
                ("2001:db8::".parse().unwrap(), 32),
            ]
            .into(),
            email: one(".example.com"),
            uri: one("example.com"),
        },
        excluded: Subtrees {
            dns: one("no.example.com"),
            ..Default::default()
        },
    }
}

#[test]
fn name_constraints_are_read_as_they_were_asked_for() {
    let text = text(&Profile {
        name_constraints: Some(constraints(true)),
        ..ca("ca")
    });
    let lines: Vec<_> = text
        .lines()
        .skip_while(|line| line.trim() != "X509v3 Name Constraints: critical")
        .skip(1)
        .take(8)
        .map(str::trim)
        .collect();
    let expected = [
        "Permitted:",
        "DNS:example.com",
        "IP:192.0.2.0/255.255.255.128",
        "IP:2001:DB8:0:0:0:0:0:0/FFFF:FFFF:0:0:0:0:0:0",
        "email:.example.com",
        "URI:example.com",
        "Excluded:",
        "DNS:no.example.com",
    ];
    assert_eq!(lines, expected);
    let not_critical = Profile {
        name_constraints: Some(constraints(false)),
        ..ca("ca")
    };
    let facts = self_signed(&not_critical, key(KeySpec::Ecdsa(256), 0));
    assert_eq!(facts.name_constraints, Some(constraints(false)));
    let none = Profile {
        name_constraints: Some(NameConstraints::default()),
        ..ca("ca")
    };
    assert!(!self::text(&none).contains("Name Constraints"));
}

#[test]
fn what_a_constrained_ca_signs_is_accepted_and_what_it_refuses_would_not_be() {
    let root_key = key(KeySpec::Ecdsa(256), 1);
    let constrained = root(
        &Profile {
            name_constraints: Some(constraints(true)),
            ..ca("ca")
        },
        root_key,
    );
    // The same name and key without the constraints, to sign what the other refuses.
    let free = root(&ca("ca"), root_key);
    let for_host = |host: &str| Profile {
        names: Names {
            dns: [host.to_owned()].into(),
            ..Default::default()
        },
        ..leaf()
    };
    let refused = |profile: &Profile| {
        sign::by_authority(
            profile,
            &Locations::default(),
            key(KeySpec::Ecdsa(256), 0).public(),
            &constrained,
            now(),
        )
        .is_err()
    };
    for (host, allowed) in [
        (HOST, true),
        ("www.example.org", false),
        ("a.no.example.com", false),
    ] {
        let certificate = signed(&free, &for_host(host), key(KeySpec::Ecdsa(256), 0));
        assert_eq!(refused(&for_host(host)), !allowed, "{host}");
        for accepts in [openssl_accepts, webpki_accepts] {
            assert_eq!(
                accepts(constrained.top(), &[], &certificate, host).is_ok(),
                allowed,
                "{host}"
            );
        }
    }
}

#[test]
fn locations_are_read() {
    let locations = Locations {
        crl_distribution_points: vec![
            "http://crl.example.com/a".to_owned(),
            "http://crl.example.com/b".to_owned(),
        ],
        ocsp_servers: vec!["http://ocsp.example.com".to_owned()],
        issuing_certificate_urls: vec!["http://ca.example.com/ca.cer".to_owned()],
    };
    let key = key(KeySpec::Ecdsa(256), 0);
    let authority = root(&ca("ca"), key);
    for der in [
        sign::self_signed(&leaf(), &locations, key, now()).unwrap(),
        sign::by_authority(&leaf(), &locations, key.public(), &authority, now()).unwrap(),
    ] {
        let text = OpenSsl::new().text(&der);
        for line in [
            "URI:http://crl.example.com/a",
            "URI:http://crl.example.com/b",
            "OCSP - URI:http://ocsp.example.com",
            "CA Issuers - URI:http://ca.example.com/ca.cer",
        ] {
            assert_eq!(
                text.lines().filter(|found| found.trim() == line).count(),
                1,
                "{line} in {text}"
            );
        }
    }
}

/// A CA with two units and two attributes in one RDN.
fn elaborate() -> Authority {
    let subject = subject(&[
        &[("2.5.4.6", "DE")],
        &[("2.5.4.10", "Ä & Co")],
        &[("2.5.4.11", "one")],
        &[("2.5.4.11", "two")],
        &[("2.5.4.5", "7"), ("2.5.4.3", "ca")],
    ]);
    root(&Profile { subject, ..ca("") }, key(KeySpec::Ecdsa(256), 1))
}

#[test]
fn a_leaf_under_an_elaborate_name_is_accepted() {
    let authority = elaborate();
    let certificate = signed(&authority, &leaf(), key(KeySpec::Ecdsa(256), 0));
    let text = OpenSsl::new().text(&certificate.der);
    assert!(
        text.contains("Issuer: CN=ca+serialNumber=7,OU=two,OU=one,O=Ä & Co,C=DE\n"),
        "{text}"
    );
    for accepts in [openssl_accepts, webpki_accepts] {
        assert_eq!(accepts(authority.top(), &[], &certificate, HOST), Ok(()));
    }
}

#[test]
fn times_after_2049_are_accepted() {
    let profile = Profile {
        lifetime_seconds: 50 * 365 * 86_400,
        ..leaf()
    };
    let certificate: Facts = self_signed(&profile, key(KeySpec::Ecdsa(256), 0));
    assert_eq!(
        openssl_accepts(&certificate, &[], &certificate, HOST),
        Ok(())
    );
    assert_eq!(
        webpki_accepts(&certificate, &[], &certificate, HOST),
        Ok(())
    );
    assert!(
        OpenSsl::new()
            .text(&certificate.der)
            .contains("Not After : Nov 10 10:00:00 2076 GMT")
    );
}
