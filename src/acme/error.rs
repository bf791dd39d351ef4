//! Why a CA gave no answer, or not the one that was wanted.

use std::time::Duration;

use certwright_core::acme::origin::UrlProblem;
use certwright_core::acme::problem::{MAX_DETAIL, plain};
use certwright_core::acme::wire::{AccountStatus, Problem};
use certwright_core::pki::key::KeyError;

/// So much of a server's name and port is shown, in bytes: no name is longer.
const MAX_HOST: usize = 261;

/// Why a CA gave no answer, or not the one that was wanted. No text holds anything secret.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// A URL that must not be asked.
    #[error("{0}")]
    Url(#[from] UrlProblem),
    /// It could not be reached, or only at an address that must not be asked.
    #[error(
        "{} can't be reached: {}",
        plain(host, MAX_HOST),
        plain(why, MAX_DETAIL)
    )]
    Unreachable {
        /// The server.
        host: String,
        /// In words.
        why: String,
    },
    /// It took too long.
    #[error("{} gave no answer within {within:?}", plain(host, MAX_HOST))]
    TimedOut {
        /// The server.
        host: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// It answers, but all of it together took too long.
    #[error(
        "{} did not come to an end within {within:?} with what it was asked",
        plain(host, MAX_HOST)
    )]
    TooSlow {
        /// The server.
        host: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// Its answer makes no sense.
    #[error(
        "{} answered something that is not ACME: {}",
        plain(host, MAX_HOST),
        plain(why, MAX_DETAIL)
    )]
    Nonsense {
        /// The server.
        host: String,
        /// In words.
        why: String,
    },
    /// It said what is wrong.
    #[error("status {status}: {} ({})", plain(&problem.detail, MAX_DETAIL), plain(&problem.kind, 64))]
    Problem {
        /// The HTTP status.
        status: u16,
        /// What is wrong.
        problem: Box<Problem>,
        /// Its `Retry-After`, as it came.
        retry_after: Option<String>,
    },
    /// The key's account is there, and must not be used (RFC 8555 section 7.1.6).
    #[error("the CA knows the account {} as {}", plain(url, MAX_DETAIL), status.as_str())]
    AccountClosed {
        /// The account.
        url: String,
        /// What became of it.
        status: AccountStatus,
    },
    /// The CA has no such service.
    #[error("the CA's directory has no {0}")]
    NoService(&'static str),
    /// The account's key can't sign.
    #[error("failed to sign a request: {0}")]
    Key(#[from] KeyError),
}

impl AcmeError {
    /// Whether the CA says so, by the full name of the problem.
    pub fn is(&self, kind: &str) -> bool {
        matches!(self, Self::Problem { problem, .. } if problem.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_comes_from_outside_is_shown_on_one_line_and_cut() {
        let long = || "x\n\u{1b}[2J".repeat(100_000);
        let problem: Problem = serde_json::from_value(
            serde_json::json!({ "type": long(), "detail": long(), "status": 400 }),
        )
        .unwrap();
        for error in [
            AcmeError::Unreachable {
                host: long(),
                why: long(),
            },
            AcmeError::TimedOut {
                host: long(),
                within: Duration::from_secs(30),
            },
            AcmeError::TooSlow {
                host: long(),
                within: Duration::from_secs(60),
            },
            AcmeError::AccountClosed {
                url: long(),
                status: AccountStatus::Revoked,
            },
            AcmeError::Nonsense {
                host: long(),
                why: long(),
            },
            AcmeError::Problem {
                status: 400,
                problem: Box::new(problem),
                retry_after: None,
            },
        ] {
            let text = error.to_string();
            assert!(text.len() < 2048, "{} bytes", text.len());
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}
