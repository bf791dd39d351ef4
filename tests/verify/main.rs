//! `certwright verify` and `inspect`, as a person or a script runs them, against real servers with each classic fault.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is tests, also what is outside their functions"
)]

mod classic;
mod responder;
mod revoked;
mod tls;

use std::process::{Output, Stdio};

use tokio::process::Command;

/// What the program said, and its exit code.
struct Said {
    code: i32,
    text: String,
}

/// Runs the program with no settings but these arguments.
async fn certwright(arguments: &[&str]) -> Said {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_certwright"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = [stdout, stderr].concat();
    Said {
        code: status.code().unwrap(),
        text: String::from_utf8(text).unwrap(),
    }
}

impl Said {
    /// The codes of the faults that were printed.
    fn faults(&self) -> Vec<&str> {
        let lines = self.text.lines();
        lines
            .filter_map(|line| line.strip_prefix("FAULT "))
            .collect()
    }

    #[track_caller]
    fn shows(&self, code: i32, faults: &[&str]) {
        assert_eq!(
            (self.code, &self.faults()[..]),
            (code, faults),
            "{}",
            self.text
        );
        let remedies = self
            .text
            .lines()
            .filter(|line| line.starts_with("  remedy "));
        assert_eq!(remedies.count(), faults.len(), "{}", self.text);
    }
}
