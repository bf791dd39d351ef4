//! What a CA says of revocation, from its list.

use rcgen::SerialNumber;

use super::tls::authority::{Ca, NAME, below, listed_at, root, signed, valid};
use super::tls::revoking::{FOUND, list, published};
use super::tls::server::{Server, written};
use super::{Said, certwright};

/// What is said of a server whose certificate has serial number 7 and names this URL.
async fn verify(root: &Ca, below: &Ca, url: String) -> Said {
    let mut parameters = listed_at(url);
    parameters.serial_number = Some(SerialNumber::from(7));
    let pair = signed(parameters, below);
    let server = Server::start(&pair.certificate, &[&below.pem()], &pair.key, &[]).await;
    let files = tempfile::tempdir().unwrap();
    let root = written(files.path(), "root.pem", &root.pem());
    let root = root.display().to_string();
    let target = ["verify", &server.address, "--name", NAME];
    certwright(&[&target[..], &["--ca-file", &root, "--revocation"]].concat()).await
}

#[tokio::test]
async fn the_list_of_its_ca_says_whether_a_certificate_was_revoked() {
    let root = root("Root");
    let below = below(&root, "Below");
    let said = verify(&root, &below, published(FOUND, list(&below, 2200, 7)).await).await;
    said.shows(1, &["revoked"]);
    let cause = "its CA revoked the certificate at 2025-06-01T00:00:00Z, for superseded";
    assert!(said.text.contains(cause), "{}", said.text);

    let url = published(FOUND, list(&below, 2200, 8)).await;
    let said = verify(&root, &below, url.clone()).await;
    said.shows(0, &[]);
    let line = format!("revocation   not revoked, by {url}\n");
    assert!(said.text.contains(&line), "{}", said.text);
}

#[tokio::test]
async fn a_list_that_can_not_be_believed_or_had_decides_nothing() {
    let root = root("Root");
    let below = below(&root, "Below");
    let namesake = super::tls::authority::below(&root, "Below");
    let long = vec![b'x'; (10 << 20) + 1];
    for (url, why) in [
        (
            published(FOUND, list(&namesake, 2200, 7)).await,
            "not the CA's",
        ),
        (
            published(FOUND, list(&root, 2200, 7)).await,
            "not for this certificate",
        ),
        (published(FOUND, list(&below, 2026, 7)).await, "out of date"),
        (
            published(FOUND, b"<html>".to_vec()).await,
            "it is no revocation list",
        ),
        (published(FOUND, long).await, "breaks off"),
        (
            published(
                "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n",
                Vec::new(),
            )
            .await,
            "the answer is 404",
        ),
        (
            "https://127.0.0.1/ca.crl".to_owned(),
            "only http:// is asked",
        ),
        ("ldap:///cn=ca".to_owned(), "only http:// is asked"),
    ] {
        let said = verify(&root, &below, url).await;
        said.shows(2, &[]);
        assert!(
            said.text.contains("revocation   UNKNOWN: "),
            "{}",
            said.text
        );
        assert!(said.text.contains(why), "{why}: {}", said.text);
    }
}

#[tokio::test]
async fn a_certificate_that_names_no_list_is_taken_as_it_is() {
    let root = root("Root");
    let pair = signed(valid(), &root);
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| written(files.path(), name, text).display().to_string();
    let (leaf, root) = (
        path("leaf.pem", &pair.certificate),
        path("root.pem", &root.pem()),
    );
    let said = certwright(&["verify", &leaf, "--ca-file", &root, "--revocation"]).await;
    said.shows(0, &[]);
    assert!(
        said.text.contains("says nowhere what it revokes"),
        "{}",
        said.text
    );
}
