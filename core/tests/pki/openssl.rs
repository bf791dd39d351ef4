//! OpenSSL, as the second opinion. Without it these tests fail: they don't skip.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A folder for one test, in which `openssl` runs.
pub(crate) struct OpenSsl(TempDir);

/// What a run of `openssl` said.
pub(crate) struct Said {
    pub(crate) success: bool,
    /// Standard output and standard error.
    pub(crate) text: String,
    /// Standard output alone.
    pub(crate) output: Vec<u8>,
}

impl OpenSsl {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Writes a file into the folder.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.path(name), contents).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `openssl` with these words.
    pub(crate) fn run(&self, words: &str) -> Said {
        self.run_with(words, &[])
    }

    /// Runs `openssl` with these words and this input.
    pub(crate) fn run_with(&self, words: &str, input: &[u8]) -> Said {
        let mut child = Command::new("openssl")
            .args(words.split_whitespace())
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("these tests need the openssl command (Debian: apt-get install openssl)");
        // A run that reads no input closes it; that is its right.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let text = [output.stdout.as_slice(), &output.stderr].concat();
        Said {
            success: output.status.success(),
            text: String::from_utf8_lossy(&text).into_owned(),
            output: output.stdout,
        }
    }

    /// Runs `openssl`, which must succeed, and returns all it said.
    pub(crate) fn must(&self, words: &str) -> String {
        let said = self.run(words);
        assert!(said.success, "openssl {words}: {}", said.text);
        said.text
    }

    /// A certificate as `openssl x509 -text` tells it.
    pub(crate) fn text(&self, der: &[u8]) -> String {
        let said = self.run_with(
            "x509 -inform DER -noout -text -nameopt RFC2253,utf8,-esc_msb",
            der,
        );
        assert!(said.success, "{}", said.text);
        said.text
    }
}

/// The line that follows the one that ends in `heading`, trimmed.
pub(crate) fn line_below(text: &str, heading: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| line.trim() != heading);
    lines.next()?;
    lines.next().map(|line| line.trim().to_owned())
}
