//! OpenSSL's OCSP responder.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::authority::{Ca, Pair};
use super::server::written;

/// A responder that knows serial numbers 07 (good) and 08 (revoked).
pub(crate) struct Responder {
    /// Where it answers.
    pub(crate) url: String,
    /// What it works with.
    pub(crate) files: TempDir,
    _process: Child,
}

impl Responder {
    /// Answers for `ca`, and signs with this pair.
    pub(crate) async fn start(ca: &Ca, signer: &Pair) -> Self {
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
}

/// The CA's own pair, to sign answers with.
pub(crate) fn own(ca: &Ca) -> Pair {
    Pair {
        certificate: ca.pem(),
        key: ca.key().serialize_pem(),
    }
}
