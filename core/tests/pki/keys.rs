//! Keys: OpenSSL reads what we write, octet for octet as it would have written it, and we read what it writes.

use certwright_core::api::certificate::KeyEncoding;
use certwright_core::pki::key::KeyError;
use certwright_core::pki::{KeySpec, PrivateKey};

use crate::made::{SPECS, key};
use crate::openssl::OpenSsl;

#[test]
fn openssl_finds_every_key_valid_in_both_forms() {
    for spec in SPECS {
        for encoding in [KeyEncoding::Pkcs1, KeyEncoding::Pkcs8] {
            let openssl = OpenSsl::new();
            openssl.file("key.pem", key(spec, 0).to_pem(encoding).as_bytes());
            // OpenSSL 3.0 can't check Ed25519 keys; reading one computes its public half all the same.
            if spec != KeySpec::Ed25519 {
                let said = openssl.must("pkey -in key.pem -check -noout");
                assert!(said.contains("Key is valid"), "{said}");
            }
            let public = openssl.run("pkey -in key.pem -pubout -outform DER");
            assert_eq!(
                public.output,
                key(spec, 0).public().as_der(),
                "{spec:?} {encoding:?}: {}",
                public.text
            );
        }
    }
}

#[test]
fn our_forms_are_the_ones_openssl_writes() {
    for spec in SPECS {
        let key = key(spec, 0);
        let openssl = OpenSsl::new();
        // From the other form each time, so that OpenSSL has to convert.
        openssl.file("traditional.pem", key.to_pem(KeyEncoding::Pkcs1).as_bytes());
        openssl.file("pkcs8.pem", key.to_pem(KeyEncoding::Pkcs8).as_bytes());
        let pkcs8 = openssl.run("pkcs8 -topk8 -nocrypt -in traditional.pem -outform DER");
        assert_eq!(
            pkcs8.output,
            **key.to_der(KeyEncoding::Pkcs8),
            "{spec:?} PKCS#8: {}",
            pkcs8.text
        );
        let traditional = match spec {
            KeySpec::Rsa(_) => openssl.run("rsa -traditional -in pkcs8.pem -outform DER"),
            KeySpec::Ecdsa(_) => openssl.run("ec -in pkcs8.pem -outform DER"),
            KeySpec::Ed25519 => openssl.run("pkey -in pkcs8.pem -outform DER"),
        };
        assert_eq!(
            traditional.output,
            **key.to_der(KeyEncoding::Pkcs1),
            "{spec:?}: {}",
            traditional.text
        );
    }
}

#[test]
fn reads_keys_made_by_openssl() {
    use KeyEncoding::{Pkcs1, Pkcs8};
    let table = [
        (
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem",
            KeySpec::Rsa(2048),
            Pkcs8,
        ),
        (
            "genrsa -traditional -out key.pem 2560",
            KeySpec::Rsa(2560),
            Pkcs1,
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem",
            KeySpec::Ecdsa(256),
            Pkcs8,
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out key.pem",
            KeySpec::Ecdsa(384),
            Pkcs8,
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out key.pem",
            KeySpec::Ecdsa(521),
            Pkcs8,
        ),
        // With a block of EC PARAMETERS in front.
        (
            "ecparam -name prime256v1 -genkey -out key.pem",
            KeySpec::Ecdsa(256),
            Pkcs1,
        ),
        (
            "ecparam -name secp384r1 -genkey -noout -out key.pem",
            KeySpec::Ecdsa(384),
            Pkcs1,
        ),
        (
            "ecparam -name secp521r1 -genkey -noout -out key.pem",
            KeySpec::Ecdsa(521),
            Pkcs1,
        ),
        (
            "genpkey -algorithm ED25519 -out key.pem",
            KeySpec::Ed25519,
            Pkcs8,
        ),
    ];
    for (words, spec, encoding) in table {
        let openssl = OpenSsl::new();
        openssl.must(words);
        let read = PrivateKey::from_pem(&std::fs::read(openssl.path("key.pem")).unwrap()).unwrap();
        assert_eq!(
            (read.spec(), read.read_encoding()),
            (spec, encoding),
            "{words}"
        );
        let public = openssl.run("pkey -in key.pem -pubout -outform DER").output;
        assert_eq!(read.public().as_der(), public, "{words}");
    }
}

#[test]
fn an_elliptic_curve_key_without_its_public_half_is_read() {
    let openssl = OpenSsl::new();
    openssl.must("ecparam -name secp384r1 -genkey -noout -out whole.pem");
    openssl.must("ec -in whole.pem -no_public -out key.pem");
    let read = |name| PrivateKey::from_pem(&std::fs::read(openssl.path(name)).unwrap()).unwrap();
    assert_eq!(read("key.pem").public(), read("whole.pem").public());
    assert_eq!(
        *read("key.pem").to_pem(KeyEncoding::Pkcs1),
        *read("whole.pem").to_pem(KeyEncoding::Pkcs1)
    );
}

#[test]
fn says_which_keys_of_openssl_are_not_served() {
    let table = [
        ("genrsa -out key.pem 1024", "RSA of fewer than 2048 bits"),
        (
            "genrsa -traditional -out key.pem 1024",
            "RSA of fewer than 2048 bits",
        ),
        (
            "genpkey -algorithm ED448 -out key.pem",
            "algorithm 1.3.101.113",
        ),
        (
            "genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out key.pem",
            "algorithm 1.2.840.113549.1.1.10",
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out key.pem",
            "elliptic curve 1.3.132.0.10",
        ),
        (
            "ecparam -name secp256k1 -genkey -noout -out key.pem",
            "elliptic curve 1.3.132.0.10",
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit -out key.pem",
            "an elliptic curve without a name",
        ),
        (
            "ecparam -name prime256v1 -param_enc explicit -genkey -noout -out key.pem",
            "an elliptic curve without a name",
        ),
    ];
    for (words, what) in table {
        let openssl = OpenSsl::new();
        openssl.must(words);
        let problem =
            PrivateKey::from_pem(&std::fs::read(openssl.path("key.pem")).unwrap()).unwrap_err();
        assert_eq!(problem, KeyError::Unsupported(what.to_owned()), "{words}");
    }
}

#[test]
fn says_that_a_key_is_encrypted() {
    for words in [
        "genpkey -algorithm ED25519 -aes256 -pass pass:secret -out key.pem",
        "genrsa -traditional -aes256 -passout pass:secret -out key.pem 2048",
    ] {
        let openssl = OpenSsl::new();
        openssl.must(words);
        let problem =
            PrivateKey::from_pem(&std::fs::read(openssl.path("key.pem")).unwrap()).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "the private key cannot be read: it is encrypted; store it without a passphrase",
            "{words}"
        );
    }
}
