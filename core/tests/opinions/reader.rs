//! The other reader: a Go program of its own. Without Go these tests fail: they don't skip.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certwright_core::pki::CertificateDer;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What it says of one certificate and its chain.
#[derive(Deserialize)]
pub(crate) struct Answer {
    pub(crate) certificate: Map<String, Value>,
    /// The names of the chain it accepts.
    pub(crate) chain: Vec<String>,
    /// Why it accepts none.
    pub(crate) refused: Option<String>,
    /// What the linter finds: severity and name.
    pub(crate) findings: Vec<String>,
}

/// The question what it makes of a chain at a time, trusting `top`.
pub(crate) fn question(chain: &[CertificateDer], top: &CertificateDer, at: &str) -> Value {
    let chain: Vec<_> = chain.iter().map(|der| STANDARD.encode(der)).collect();
    json!({"chain": chain, "top": STANDARD.encode(top), "at": at})
}

/// Its answers, in the order of the questions.
pub(crate) fn ask(questions: &[Value]) -> Vec<Answer> {
    let mut child = Command::new(program())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let questions = serde_json::to_vec(questions).unwrap();
    // It answers only once it has read all.
    child.stdin.take().unwrap().write_all(&questions).unwrap();
    let output = child.wait_with_output().unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problem}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Where it is, built if need be.
fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/opinions/build");
        let output = Command::new(build).output().unwrap();
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{problem}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    })
}
