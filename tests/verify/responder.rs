//! What a CA says of revocation, by OpenSSL's OCSP responder.

use rcgen::{ExtendedKeyUsagePurpose, SerialNumber};

use super::tls::authority::{Ca, NAME, answered_at, root, signed, valid};
use super::tls::responder::{Responder, own};
use super::tls::server::written;
use super::{Said, certwright};

/// What is said of a certificate of `ca` with this serial number.
async fn verify(responder: &Responder, ca: &Ca, serial: u64) -> Said {
    let mut parameters = answered_at(&responder.url);
    parameters.serial_number = Some(SerialNumber::from(serial));
    let pair = signed(parameters, ca);
    let path = |name: &str, text: &str| {
        written(responder.files.path(), name, text)
            .display()
            .to_string()
    };
    let leaf = path("leaf.pem", &pair.certificate);
    let trusted = path("trusted.pem", &ca.pem());
    let target = ["verify", &leaf, "--name", NAME, "--ca-file", &trusted];
    certwright(&[&target[..], &["--revocation"]].concat()).await
}

#[tokio::test]
async fn a_responder_of_the_ca_or_one_that_it_let_answer_says_whether_a_certificate_was_revoked() {
    let ca = root("Root");
    let mut permitted = valid();
    permitted.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
    for signer in [own(&ca), signed(permitted, &ca)] {
        let responder = Responder::start(&ca, &signer).await;
        let said = verify(&responder, &ca, 7).await;
        said.shows(0, &[]);
        let line = format!("revocation   not revoked, by {}\n", responder.url);
        assert!(said.text.contains(&line), "{}", said.text);
        let said = verify(&responder, &ca, 8).await;
        said.shows(1, &["revoked"]);
        let cause = "its CA revoked the certificate at 2025-06-01T00:00:00Z, for superseded";
        assert!(said.text.contains(cause), "{}", said.text);
        let said = verify(&responder, &ca, 9).await;
        said.shows(2, &[]);
        assert!(
            said.text.contains("does not know the certificate"),
            "{}",
            said.text
        );
    }
}

#[tokio::test]
async fn a_responder_that_nobody_let_answer_decides_nothing() {
    let ca = root("Root");
    // Another's key under the same name; and a server that has no say in this.
    for signer in [own(&root("Root")), signed(valid(), &ca)] {
        let responder = Responder::start(&ca, &signer).await;
        let said = verify(&responder, &ca, 8).await;
        said.shows(2, &[]);
        assert!(
            said.text.contains("its signature is not the CA's"),
            "{}",
            said.text
        );
    }
}
