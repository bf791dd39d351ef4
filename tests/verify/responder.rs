//! What a CA says of revocation, by OpenSSL's OCSP responder.

use std::process::Stdio;

use rcgen::{ExtendedKeyUsagePurpose, SerialNumber};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::authority::{Ca, NAME, Pair, answered_at, root, signed, valid};
use super::server::written;
use super::{Said, certwright};

/// A responder that knows serial numbers 07 (good) and 08 (revoked).
struct Responder {
    url: String,
    files: TempDir,
    _process: Child,
}

impl Responder {
    /// Answers for `ca`, and signs with this pair.
    async fn start(ca: &Ca, signer: &Pair) -> Self {
        let files = tempfile::tempdir().unwrap();
        let index = "V\t491231235959Z\t\t07\tunknown\t/CN=good\n\
            R\t491231235959Z\t250601000000Z,superseded\t08\tunknown\t/CN=revoked\n";
        written(files.path(), "index.txt", index);
        written(files.path(), "index.txt.attr", "unique_subject = no\n");
        written(files.path(), "ca.pem", &ca.pem());
        written(files.path(), "signer.pem", &signer.certificate);
        written(files.path(), "signer.key", &signer.key);
        let mut process = Command::new("openssl")
            .current_dir(files.path())
            .args(["ocsp", "-port", "0", "-index", "index.txt", "-CA", "ca.pem"])
            .args([
                "-rsigner",
                "signer.pem",
                "-rkey",
                "signer.key",
                "-ndays",
                "1",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap();
            let line = line.expect("the responder ended");
            // ACCEPT 0.0.0.0:45123 PID=17
            if let Some(accept) = line.strip_prefix("ACCEPT ") {
                let address = accept.split(' ').next().unwrap();
                break address.rsplit(':').next().unwrap().to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            url: format!("http://127.0.0.1:{port}"),
            files,
            _process: process,
        }
    }

    /// What is said of a certificate of `ca` with this serial number.
    async fn verify(&self, ca: &Ca, serial: u64) -> Said {
        let mut parameters = answered_at(&self.url);
        parameters.serial_number = Some(SerialNumber::from(serial));
        let pair = signed(parameters, ca);
        let path =
            |name: &str, text: &str| written(self.files.path(), name, text).display().to_string();
        let leaf = path("leaf.pem", &pair.certificate);
        let trusted = path("trusted.pem", &ca.pem());
        let target = ["verify", &leaf, "--name", NAME, "--ca-file", &trusted];
        certwright(&[&target[..], &["--revocation"]].concat()).await
    }
}

fn own(ca: &Ca) -> Pair {
    Pair {
        certificate: ca.pem(),
        key: ca.key().serialize_pem(),
    }
}

#[tokio::test]
async fn a_responder_of_the_ca_or_one_that_it_let_answer_says_whether_a_certificate_was_revoked() {
    let ca = root("Root");
    let mut permitted = valid();
    permitted.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
    for signer in [own(&ca), signed(permitted, &ca)] {
        let responder = Responder::start(&ca, &signer).await;
        let said = responder.verify(&ca, 7).await;
        said.shows(0, &[]);
        let line = format!("revocation   not revoked, by {}\n", responder.url);
        assert!(said.text.contains(&line), "{}", said.text);
        let said = responder.verify(&ca, 8).await;
        said.shows(1, &["revoked"]);
        let cause = "its CA revoked the certificate at 2025-06-01T00:00:00Z, for superseded";
        assert!(said.text.contains(cause), "{}", said.text);
        let said = responder.verify(&ca, 9).await;
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
        let said = responder.verify(&ca, 8).await;
        said.shows(2, &[]);
        assert!(
            said.text.contains("its signature is not the CA's"),
            "{}",
            said.text
        );
    }
}
