//! OpenSSL's server.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A server on loopback, which ends with this.
pub(crate) struct Server {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    _process: Child,
    _files: TempDir,
}

impl Server {
    /// Serves `pem`, the leaf first, with this key; with more arguments.
    pub(crate) async fn start(leaf: &str, above: &[&str], key: &str, more: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let leaf = written(files.path(), "leaf.pem", leaf);
        let key = written(files.path(), "key.pem", key);
        let mut command = Command::new("openssl");
        command
            .args(["s_server", "-accept", "127.0.0.1:0", "-www"])
            .args(["-no-CAfile", "-no-CApath"])
            .arg("-cert")
            .arg(leaf)
            .arg("-key")
            .arg(key)
            .args(more);
        if !above.is_empty() {
            let above = written(files.path(), "above.pem", &above.concat());
            command.arg("-cert_chain").arg(above);
        }
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap();
            let line = line.expect("the server ended");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.to_owned();
            }
        };
        // What else it says is nobody's concern, but must not stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            address,
            _process: process,
            _files: files,
        }
    }
}

/// Writes a file, and says where.
pub(crate) fn written(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path
}
