//! What a problem means (RFC 8555 section 6.7): whether trying again helps, when, and what to tell the user.
//!
//! What a CA says is for people and of any length: what is quoted of it is cut, and has no control characters.

mod limited;
mod retry_after;
mod words;

use jiff::{SignedDuration, Timestamp};

use super::wire::Problem;

pub use limited::Scope;
pub use retry_after::{MAX_RETRY_AFTER, retry_after};
pub use words::{CLOSED, MAX_DETAIL, MAX_WORDS, describe, describe_validation, plain};

/// What a problem means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The nonce was used up: the same request again, with the one that came along.
    BadNonce,
    /// The order is not as far as was thought: it has to be looked at again.
    OrderNotReady,
    /// Another order replaces the certificate already (RFC 9773 section 5): the same order again, without saying so.
    AlreadyReplaced,
    /// The certificate is revoked already: nothing is left to do.
    AlreadyRevoked,
    /// The CA has other worries; the same request again in a while.
    Transient {
        /// When the CA said to come back.
        until: Option<Timestamp>,
    },
    /// The CA was asked too often.
    RateLimited {
        /// For what.
        scope: Scope,
        /// Until when.
        until: Option<Timestamp>,
    },
    /// There is no such account: it is looked for again by its key, and made anew if there is none.
    AccountGone,
    /// The account was deactivated or revoked: there won't be another one for its key.
    AccountClosed,
    /// A person has to do something, mostly agree to new terms.
    UserActionRequired {
        /// Where.
        url: Option<String>,
    },
    /// The CA takes only accounts that are bound to one of its own.
    ExternalAccountRequired,
    /// The CA signs nothing for such a name.
    RejectedIdentifier,
    /// A CAA record forbids it.
    Caa,
    /// The name could not be looked up.
    Dns,
    /// The host could not be reached.
    Connection,
    /// The host was reached, and TLS failed.
    Tls,
    /// Something else was found than what the CA asked for.
    WrongAnswer,
    /// The request for the certificate is not one that the CA signs.
    BadRequest,
    /// The CA knows no such profile.
    InvalidProfile,
    /// The account's `email` is not one that the CA takes.
    BadContact,
    /// The same request fails again, whatever it was.
    Permanent,
}

/// How long to wait before the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// The next step is taken at once.
    AtOnce,
    /// From seconds to five minutes.
    Soon,
    /// From a quarter of an hour to six hours: each try costs the CA, and the user's budget with it.
    Slow,
}

impl Meaning {
    /// What an answer to a request means: its HTTP status, the problem in it, its `Retry-After` as it came.
    pub fn of_answer(
        now: Timestamp,
        status: u16,
        problem: &Problem,
        retry_after: Option<&str>,
    ) -> Self {
        let until = retry_after
            .and_then(|text| self::retry_after(now, text))
            .or_else(|| limited::until(now, &problem.detail));
        if let Some(meaning) = Self::of_parts(problem, |part| {
            Self::of_answer(now, status, &without_parts(part), retry_after)
        }) {
            return meaning;
        }
        match name(&problem.kind) {
            "badNonce" => Self::BadNonce,
            "orderNotReady" => Self::OrderNotReady,
            // Boulder said conflict before the RFC had a name for it.
            "alreadyReplaced" => Self::AlreadyReplaced,
            "conflict" if mentions(problem, &["replace"]) => Self::AlreadyReplaced,
            "alreadyRevoked" => Self::AlreadyRevoked,
            "rateLimited" if mentions(problem, &["service busy"]) => Self::Transient { until },
            "rateLimited" => Self::RateLimited {
                scope: limited::scope(&problem.detail),
                until,
            },
            "accountDoesNotExist" => Self::AccountGone,
            // Also what is said to an account that was deactivated (section 7.3.6).
            "unauthorized" if is_about_the_account(problem) => Self::AccountClosed,
            "userActionRequired" => Self::UserActionRequired {
                url: words::link(&problem.detail),
            },
            "serverInternal" => Self::Transient { until },
            kind => Self::of_kind(kind).unwrap_or_else(|| Self::of_status(status, problem, until)),
        }
    }

    /// What a challenge's or an order's error means: there it says what the CA found, not what it thinks of a request.
    pub fn of_validation(problem: &Problem) -> Self {
        if let Some(meaning) =
            Self::of_parts(problem, |part| Self::of_validation(&without_parts(part)))
        {
            return meaning;
        }
        match name(&problem.kind) {
            "unauthorized" | "incorrectResponse" => Self::WrongAnswer,
            "serverInternal" => Self::Transient { until: None },
            "rateLimited" => Self::RateLimited {
                scope: limited::scope(&problem.detail),
                until: None,
            },
            kind => Self::of_kind(kind).unwrap_or(Self::Permanent),
        }
    }

    /// What means the same wherever it is said.
    fn of_kind(kind: &str) -> Option<Self> {
        Some(match kind {
            "externalAccountRequired" => Self::ExternalAccountRequired,
            "rejectedIdentifier" | "unsupportedIdentifier" => Self::RejectedIdentifier,
            "caa" => Self::Caa,
            "dns" => Self::Dns,
            "connection" => Self::Connection,
            "tls" => Self::Tls,
            "incorrectResponse" => Self::WrongAnswer,
            "badCSR" | "badPublicKey" | "badSignatureAlgorithm" => Self::BadRequest,
            "invalidProfile" => Self::InvalidProfile,
            "invalidContact" | "unsupportedContact" => Self::BadContact,
            "malformed" | "unauthorized" | "badRevocationReason" => Self::Permanent,
            _ => return None,
        })
    }

    /// Of a kind that nobody here knows, or of none: proxies and overloaded servers answer so.
    fn of_status(status: u16, problem: &Problem, until: Option<Timestamp>) -> Self {
        match status {
            429 => Self::RateLimited {
                scope: limited::scope(&problem.detail),
                until,
            },
            408 | 425 | 500..=599 => Self::Transient { until },
            _ => Self::Permanent,
        }
    }

    /// Of several parts, the one that keeps us waiting longest decides. A problem that has a meaning of its own, and
    /// only lists names below it, keeps it.
    fn of_parts(problem: &Problem, of: impl Fn(&Problem) -> Self) -> Option<Self> {
        let own = name(&problem.kind);
        let is_only_a_list = matches!(own, "compound" | "malformed" | "" | "about:blank");
        if !is_only_a_list {
            return None;
        }
        let parts = problem.subproblems.iter().take(MAX_PARTS).map(of);
        parts.reduce(|worst, other| {
            if other.pace() > worst.pace() {
                other
            } else {
                worst
            }
        })
    }

    /// How long to wait before the next try, where the CA doesn't say.
    pub fn pace(&self) -> Pace {
        match self {
            Self::BadNonce | Self::OrderNotReady | Self::AlreadyReplaced | Self::AlreadyRevoked => {
                Pace::AtOnce
            }
            // A limit that comes without a moment is one of a busy CA: those of accounts and names come with it.
            Self::Transient { .. } | Self::RateLimited { .. } | Self::AccountGone => Pace::Soon,
            _ => Pace::Slow,
        }
    }

    /// When the CA said to come back.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Transient { until } | Self::RateLimited { until, .. } => *until,
            _ => None,
        }
    }

    /// One word to search for.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadNonce => "BadNonce",
            Self::OrderNotReady => "OrderNotReady",
            Self::AlreadyReplaced => "AlreadyReplaced",
            Self::AlreadyRevoked => "AlreadyRevoked",
            Self::Transient { .. } => "CAUnavailable",
            Self::RateLimited { .. } => "RateLimited",
            Self::AccountGone => "AccountGone",
            Self::AccountClosed => "AccountClosed",
            Self::UserActionRequired { .. } => "UserActionRequired",
            Self::ExternalAccountRequired => "ExternalAccountRequired",
            Self::RejectedIdentifier => "RejectedIdentifier",
            Self::Caa => "CAAForbids",
            Self::Dns => "DNSProblem",
            Self::Connection => "ConnectionProblem",
            Self::Tls => "TLSProblem",
            Self::WrongAnswer => "WrongAnswer",
            Self::BadRequest => "BadRequest",
            Self::InvalidProfile => "InvalidProfile",
            Self::BadContact => "BadContact",
            Self::Permanent => "RefusedByCA",
        }
    }
}

impl Pace {
    /// How long to wait after the last of so many failures in a row.
    pub fn wait(self, failures: u32) -> SignedDuration {
        let (first, longest) = match self {
            Self::AtOnce => return SignedDuration::ZERO,
            Self::Soon => (SignedDuration::from_secs(5), SignedDuration::from_mins(5)),
            Self::Slow => (SignedDuration::from_mins(15), SignedDuration::from_hours(6)),
        };
        let doublings = failures.saturating_sub(1).min(16);
        first.saturating_mul(1 << doublings).min(longest)
    }
}

/// More parts than this are not looked at.
const MAX_PARTS: usize = 100;

/// What stands after the namespace of ACME's errors; other kinds as they are.
fn name(kind: &str) -> &str {
    kind.strip_prefix("urn:ietf:params:acme:error:")
        .unwrap_or(kind)
}

fn without_parts(problem: &Problem) -> Problem {
    Problem {
        subproblems: Vec::new(),
        ..problem.clone()
    }
}

fn mentions(problem: &Problem, words: &[&str]) -> bool {
    let detail = problem.detail.to_ascii_lowercase();
    words.iter().any(|word| detail.contains(word))
}

fn is_about_the_account(problem: &Problem) -> bool {
    mentions(problem, &["account"])
        && mentions(
            problem,
            &[
                "deactivated",
                "revoked",
                "not valid",
                "invalid",
                "suspended",
            ],
        )
}

#[cfg(test)]
mod tests;
