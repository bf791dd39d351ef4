//! Certificates and keys made to exhaust whoever reads them: what is nested deeply, and what is many.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certwright_core::pki::chain::{self, BundleError, MAX_CERTIFICATES, MAX_PEM_BYTES};
use certwright_core::pki::key::{KeyError, MAX_KEY_PEM_BYTES};
use certwright_core::pki::{Authority, CertificateDer, Facts, PrivateKey};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
/// `[0]`, constructed: an otherName, a distribution point, whatever stands first.
const CONTEXT_0: u8 = 0xa0;
/// `[4]`, constructed: a directoryName.
const CONTEXT_4: u8 = 0xa4;

/// Deeper than any stack: a level costs up to five octets, and what stands twice in a certificate has half a megabyte.
const DEPTH: usize = 80_000;
/// What a thread of the operator has. The parser goes down fifty levels, which takes half a megabyte of it without optimisation.
const STACK: usize = 2 << 20;

#[test]
fn what_is_nested_deeply_is_read_or_refused_without_going_down_into_it() {
    let plain = Parts::default().certificate();
    assert!(read(&plain).is_ok(), "the frame is a certificate");
    for tag in [SEQUENCE, SET, CONTEXT_0, CONTEXT_4, 0x24] {
        let deep = nested(tag);
        let mut wrong = vec![("the whole", deep.clone())];
        for (place, parts) in places(&deep) {
            wrong.push((place, parts.certificate()));
        }
        for (place, der) in wrong {
            assert!(der.len() < MAX_PEM_BYTES, "{place}");
            let held = read(&der);
            // What is not looked into does no harm.
            if place == "an extension nobody knows" {
                assert!(held.is_ok(), "{place}: {held:?}");
            }
        }
        for extension in EXTENSIONS {
            for wraps in [
                &[][..],
                &[SEQUENCE],
                &[SEQUENCE, CONTEXT_0],
                &[SEQUENCE, CONTEXT_4],
            ] {
                let value = wraps
                    .iter()
                    .rev()
                    .fold(deep.clone(), |value, tag| element(*tag, &value));
                let parts = Parts {
                    extensions: with_extension(extension, &value),
                    ..Parts::default()
                };
                let _total: Result<Facts, _> = read(&parts.certificate());
            }
        }
    }
}

#[test]
fn a_key_that_is_nested_deeply_is_refused() {
    let most = MAX_KEY_PEM_BYTES / 3;
    for tag in [SEQUENCE, OCTETS, CONTEXT_0] {
        let mut deep = Vec::new();
        while deep.len() < most {
            deep = element(tag, &deep);
        }
        for label in ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"] {
            let pem = armour(label, &deep);
            assert!(pem.len() < MAX_KEY_PEM_BYTES);
            let read = on_a_small_stack(move || PrivateKey::from_pem(pem.as_bytes()).map(drop));
            assert!(
                matches!(read, Err(KeyError::Unreadable(_))),
                "{label}: {read:?}"
            );
        }
    }
}

#[test]
fn ten_thousand_certificates_are_too_many_and_none_of_them_is_read() {
    // None of these is a certificate, so that reading the first would say so.
    let blocks = armour("CERTIFICATE", &[7; 9]).repeat(10_000);
    assert!(blocks.len() < MAX_PEM_BYTES, "{}", blocks.len());
    let too_many = BundleError::TooLarge(format!("more than {MAX_CERTIFICATES} certificates"));
    assert_eq!(chain::read_pem(blocks.as_bytes()), Err(too_many.clone()));
    let key = PrivateKey::from_pem(blocks.as_bytes()).map(drop);
    assert!(matches!(key, Err(KeyError::Unreadable(_))), "{key:?}");
    let authority = Authority::read(blocks.as_bytes(), b"", None).map(drop);
    assert_eq!(
        authority.unwrap_err().to_string(),
        format!("tls.crt: {too_many}")
    );
}

#[test]
fn ten_thousand_blocks_of_other_kinds_are_passed_over() {
    let plain = Parts::default().certificate();
    let other = armour("X509 CRL", &[7; 9]);
    let mut text = other.repeat(10_000);
    text.push_str(&armour("CERTIFICATE", &plain));
    assert!(text.len() < MAX_PEM_BYTES, "{}", text.len());
    let read = chain::read_pem(text.as_bytes()).unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].der.as_ref(), plain);
}

#[test]
fn a_text_of_a_megabyte_and_one_octet_is_not_read() {
    let text = vec![b'-'; MAX_PEM_BYTES + 1];
    assert!(matches!(
        chain::read_pem(&text),
        Err(BundleError::TooLarge(_))
    ));
    // A megabyte of dashes, of beginnings, or of lines without an end is read once, and says nothing.
    assert_eq!(chain::read_pem(&text[1..]), Err(BundleError::Empty));
    for piece in [
        "-----BEGIN ",
        "-----BEGIN CERTIFICATE-----\n",
        "-----END CERTIFICATE-----",
    ] {
        let text = piece.repeat(MAX_PEM_BYTES / piece.len());
        assert!(chain::read_pem(text.as_bytes()).is_err(), "{piece}");
    }
}

#[test]
fn a_certificate_of_a_hundred_thousand_names_is_read() {
    let names: Vec<u8> = (0..100_000_u32)
        .flat_map(|n| element(0x82, format!("{n:x}").as_bytes()))
        .collect();
    let parts = Parts {
        extensions: with_extension("2.5.29.17", &element(SEQUENCE, &names)),
        ..Parts::default()
    };
    assert_eq!(read(&parts.certificate()).unwrap().names.dns.len(), 100_000);
}

fn armour(label: &str, der: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// What a certificate is made of.
struct Parts {
    parameters: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    key_parameters: Vec<u8>,
    extensions: Vec<u8>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            parameters: Vec::new(),
            issuer: element(SEQUENCE, &[]),
            subject: element(SEQUENCE, &[]),
            key_parameters: oid("1.2.840.10045.3.1.7"),
            extensions: Vec::new(),
        }
    }
}

impl Parts {
    fn certificate(&self) -> Vec<u8> {
        let algorithm = element(
            SEQUENCE,
            &[oid("1.2.840.10045.4.3.2"), self.parameters.clone()].concat(),
        );
        let day = |text: &str| element(0x17, text.as_bytes());
        let key_kind = element(
            SEQUENCE,
            &[oid("1.2.840.10045.2.1"), self.key_parameters.clone()].concat(),
        );
        let key = element(SEQUENCE, &[key_kind, element(BITS, &[0; 66])].concat());
        let mut body = vec![
            element(CONTEXT_0, &element(0x02, &[2])),
            element(0x02, &[1]),
            algorithm.clone(),
            self.issuer.clone(),
            element(
                SEQUENCE,
                &[day("260101000000Z"), day("270101000000Z")].concat(),
            ),
            self.subject.clone(),
            key,
        ];
        if !self.extensions.is_empty() {
            body.push(element(0xa3, &element(SEQUENCE, &self.extensions)));
        }
        let body = element(SEQUENCE, &body.concat());
        element(
            SEQUENCE,
            &[body, algorithm, element(BITS, &[0; 9])].concat(),
        )
    }
}

/// Every place of a certificate in which something of any kind may stand.
fn places(deep: &[u8]) -> Vec<(&'static str, Parts)> {
    let name = |value: &[u8]| {
        let attribute = element(SEQUENCE, &[oid("2.5.4.3"), value.to_vec()].concat());
        element(SEQUENCE, &element(SET, &attribute))
    };
    let parts = Parts::default;
    vec![
        (
            "the signature's parameters",
            Parts {
                parameters: deep.to_vec(),
                ..parts()
            },
        ),
        (
            "the issuer",
            Parts {
                issuer: deep.to_vec(),
                ..parts()
            },
        ),
        (
            "the subject",
            Parts {
                subject: deep.to_vec(),
                ..parts()
            },
        ),
        (
            "a value of the issuer",
            Parts {
                issuer: name(deep),
                ..parts()
            },
        ),
        (
            "a value of the subject",
            Parts {
                subject: name(deep),
                ..parts()
            },
        ),
        (
            "the key's parameters",
            Parts {
                key_parameters: deep.to_vec(),
                ..parts()
            },
        ),
        (
            "the extensions",
            Parts {
                extensions: deep.to_vec(),
                ..parts()
            },
        ),
        (
            "an extension nobody knows",
            Parts {
                extensions: with_extension("1.2.3.4", deep),
                ..parts()
            },
        ),
    ]
}

/// Those that the parser looks into.
const EXTENSIONS: [&str; 18] = [
    "2.5.29.9",
    "2.5.29.14",
    "2.5.29.15",
    "2.5.29.16",
    "2.5.29.17",
    "2.5.29.18",
    "2.5.29.19",
    "2.5.29.30",
    "2.5.29.31",
    "2.5.29.32",
    "2.5.29.33",
    "2.5.29.35",
    "2.5.29.36",
    "2.5.29.37",
    "2.5.29.46",
    "1.3.6.1.5.5.7.1.1",
    "1.3.6.1.4.1.11129.2.4.2",
    "2.16.840.1.113730.1.1",
];

fn with_extension(id: &str, value: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[oid(id), element(OCTETS, value)].concat())
}

fn oid(text: &str) -> Vec<u8> {
    let id = der::oid::ObjectIdentifier::new_unwrap(text);
    element(OID, id.as_bytes())
}

/// An element in another, in another, and so on.
fn nested(tag: u8) -> Vec<u8> {
    // From the inside out, back to front: putting each before what is there would be quadratic.
    let mut reversed = Vec::new();
    for _ in 0..DEPTH {
        let length = reversed.len();
        reversed.extend(header(tag, length).into_iter().rev());
    }
    reversed.reverse();
    reversed
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    [&header(tag, content.len()), content].concat()
}

fn header(tag: u8, length: usize) -> Vec<u8> {
    let octets = u32::try_from(length).unwrap().to_be_bytes();
    let octets = &octets[octets.iter().take_while(|octet| **octet == 0).count()..];
    match (length, octets.len()) {
        (0..0x80, _) => vec![tag, u8::try_from(length).unwrap()],
        (_, count) => [&[tag, 0x80 | u8::try_from(count).unwrap()], octets].concat(),
    }
}

fn read(der: &[u8]) -> Result<Facts, String> {
    let der = CertificateDer::from(der.to_vec());
    on_a_small_stack(move || {
        let facts = Facts::read(&der).map_err(|problem| problem.0)?;
        // All that is asked of a certificate later on.
        assert!(!facts.is_signed_by(&facts), "the signature is nonsense");
        assert_eq!(chain::build(&facts, std::slice::from_ref(&facts)).len(), 1);
        Ok(facts)
    })
}

fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap()
}
