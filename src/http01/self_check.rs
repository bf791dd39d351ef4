//! Whether an answer can be fetched through the real front door, the way a CA would fetch it.
//!
//! What comes back is hostile: it is bounded in time and length, and of its body nothing is told but how it differs.

mod visit;

use std::time::Duration;

use certwright_core::http01::{Challenge, Outcome};
use futures::future::BoxFuture;
use tokio::net::TcpStream;
use url::Url;

use visit::{Answer, Failure, visit};

/// How long one look may take, with all redirects.
const PATIENCE: Duration = Duration::from_secs(20);
/// As many redirects as Let's Encrypt follows.
const MAX_REDIRECTS: usize = 10;
/// The only ports a CA follows redirects to.
const PORTS: [u16; 2] = [80, 443];
/// A URL is told up to this length, in characters: a host name has 253 at most.
const MAX_TOLD: usize = 320;
/// What is told of the path that a CA asks for.
const PATH: &str = "/.well-known/acme-challenge/…";

/// Connects to names and addresses that tenants chose, or refuses to.
pub trait Dial: Send + Sync {
    /// A connection to a host name or IP address; the error says in words why there is none.
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, anyhow::Result<TcpStream>>;
}

/// Looks once whether the answer to a challenge is there.
pub async fn look(dial: &dyn Dial, challenge: &Challenge, answer: &str) -> Outcome {
    let first = format!("http://{}{}", challenge.host(), challenge.path());
    tokio::time::timeout(PATIENCE, follow(dial, &first, answer))
        .await
        .unwrap_or_else(|_| Outcome::Unreachable {
            why: format!(
                "http://{}{PATH} did not answer within {PATIENCE:?}",
                challenge.host()
            ),
        })
}

async fn follow(dial: &dyn Dial, first: &str, answer: &str) -> Outcome {
    let mut url = match Url::parse(first) {
        Ok(url) => url,
        Err(problem) => {
            return Outcome::Unreachable {
                why: format!("it is asked for by no URL: {problem}"),
            };
        }
    };
    let asked_first = told(&url, PATH);
    let mut told_now = asked_first.clone();
    for _ in 0..=MAX_REDIRECTS {
        let told = &told_now;
        let location = match visit(dial, &url).await {
            Ok(Answer::Text(text)) if text == answer.as_bytes() => return Outcome::Served,
            Ok(Answer::Text(text)) => {
                let length = text.len();
                return not_yet(format!(
                    "{told} answered 200 with another text, of {length} bytes"
                ));
            }
            Ok(Answer::TooLong) => {
                return not_yet(format!("{told} answered 200 with another text, a long one"));
            }
            Ok(Answer::Other(status)) => return not_yet(format!("{told} answered {status}")),
            Ok(Answer::Elsewhere(location)) => location,
            Err(Failure::Broken(problem)) => {
                return not_yet(format!(
                    "{told} gave no answer that makes sense: {problem:#}"
                ));
            }
            Err(Failure::Away(problem)) => {
                return Outcome::Unreachable {
                    why: format!("{told} can't be reached: {problem:#}"),
                };
            }
        };
        match next(&url, &location) {
            Ok(next) => {
                url = next;
                told_now = told_redirect(&asked_first, &url);
            }
            Err(problem) => {
                return not_yet(format!("{told} leads to where no CA follows: {problem}"));
            }
        }
    }
    not_yet(format!(
        "{asked_first} leads on more than {MAX_REDIRECTS} times"
    ))
}

fn not_yet(saw: String) -> Outcome {
    Outcome::NotYet { saw }
}

/// Where a redirect leads (RFC 9110 section 10.2.2).
fn next(from: &Url, location: &str) -> Result<Url, String> {
    let to = from
        .join(location)
        .map_err(|problem| format!("its Location is no URL: {problem}"))?;
    if !["http", "https"].contains(&to.scheme()) {
        return Err(format!("{} is neither http nor https", told(&to, "")));
    }
    match to.port_or_known_default() {
        Some(port) if PORTS.contains(&port) => Ok(to),
        _ => Err(format!("{} is on neither port 80 nor 443", told(&to, ""))),
    }
}

/// Where a redirect led, for the user to read: its path may be a secret of whoever serves it.
fn told_redirect(first: &str, url: &Url) -> String {
    format!("{first} leads to {}, which", told(url, ""))
}

/// A URL for the user to read: where it leads, without what is meant for the server alone. The path of the first one is known,
/// but for the token in it.
fn told(url: &Url, path: &str) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let shown = format!("{}://{host}{port}{path}", url.scheme());
    shown.chars().take(MAX_TOLD).collect()
}

#[cfg(test)]
mod tests;
