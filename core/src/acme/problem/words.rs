//! Problems in words: about which name, what the CA saw, and what to do.

use super::super::selector::ChallengeKind;
use super::super::wire::{Identifier, Problem};
use super::{Meaning, name};

/// So much of what a CA says is quoted, in bytes.
pub const MAX_DETAIL: usize = 1024;
/// So long is what is made of a problem and its parts, in bytes.
pub const MAX_WORDS: usize = 4096;
/// What to do where the CA wants none of an account.
pub const CLOSED: &str = "No other account is made for the same key. Delete the Secret of the issuer's privateKeySecretRef: then another key is made, and an account for it. Where disableAccountKeyGeneration is set, put another account's key there.";
/// So many parts are told one by one.
const MAX_TOLD: usize = 5;

/// What a refused request means, for the user to read; parts that are about single names are told by name.
pub fn describe(meaning: &Meaning, problem: &Problem) -> String {
    let mut words = format!("the CA refused{}: {}", about(problem), said(problem));
    for part in problem.subproblems.iter().take(MAX_TOLD) {
        words.push_str(&format!("; {}: {}", subject(part), said(part)));
    }
    if let Some(more) = problem.subproblems.len().checked_sub(MAX_TOLD + 1) {
        words.push_str(&format!("; and {} more", more + 1));
    }
    finish(words, remedy(meaning, None))
}

/// What a failed validation means, for the user to read.
pub fn describe_validation(identifier: &Identifier, kind: &str, problem: &Problem) -> String {
    let meaning = Meaning::of_validation(problem);
    let words = format!(
        "the CA looked for the proof that {identifier} is yours, by {}, and says: {}",
        plain(kind, 32),
        said(problem),
    );
    finish(words, remedy(&meaning, ChallengeKind::parse(kind)))
}

/// A text from outside on one line, without what would steer a terminal or turn its direction, and cut to so many bytes.
pub fn plain(text: &str, most: usize) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        let c = if is_steering(c) { ' ' } else { c };
        if c == ' ' && (plain.is_empty() || plain.ends_with(' ')) {
            continue;
        }
        if plain.len() + c.len_utf8() > most {
            plain.push('…');
            return plain;
        }
        plain.push(c);
    }
    plain.truncate(plain.trim_end().len());
    plain
}

/// A page that the text names: the first `https` URL in it.
pub(super) fn link(text: &str) -> Option<String> {
    let start = text.find("https://")?;
    let url: String = text[start..]
        .chars()
        .take_while(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '<' | '>' | ')' | ','))
        .collect();
    let url = url.trim_end_matches(['.', ':', ';']);
    (url.len() > "https://".len() && url.len() <= MAX_DETAIL).then(|| url.to_owned())
}

fn is_steering(c: char) -> bool {
    c.is_control()
        || c.is_whitespace()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// What the CA says, with the kind of problem in short.
fn said(problem: &Problem) -> String {
    let detail = plain(&problem.detail, MAX_DETAIL);
    let kind = plain(name(&problem.kind), 64);
    match (detail.as_str(), kind.as_str()) {
        ("", "") => "nothing more".to_owned(),
        ("", kind) => kind.to_owned(),
        (detail, "") => format!("\"{detail}\""),
        (detail, kind) => format!("\"{detail}\" ({kind})"),
    }
}

fn about(problem: &Problem) -> String {
    problem
        .identifier
        .as_ref()
        .map(|identifier| format!(" {}", shown(identifier)))
        .unwrap_or_default()
}

fn subject(part: &Problem) -> String {
    part.identifier
        .as_ref()
        .map_or_else(|| "also".to_owned(), shown)
}

fn shown(identifier: &Identifier) -> String {
    plain(&identifier.to_string(), 253)
}

fn finish(words: String, remedy: &str) -> String {
    let mut words = plain(&words, MAX_WORDS - remedy.len() - 8);
    if !remedy.is_empty() {
        words.push_str(". ");
        words.push_str(remedy);
    }
    words
}

/// What to do.
fn remedy(meaning: &Meaning, kind: Option<ChallengeKind>) -> &'static str {
    match meaning {
        Meaning::RateLimited { .. } => {
            "Nothing is asked again before the limit ends; what is held stays in use."
        }
        Meaning::AccountGone => {
            "The account is looked for by its key, or made anew, before the next try."
        }
        Meaning::AccountClosed => CLOSED,
        Meaning::UserActionRequired { .. } => {
            "Do what the page named here asks for; it is tried again by itself."
        }
        Meaning::ExternalAccountRequired => {
            "Write the credentials that the CA gave you under spec.acme.externalAccountBinding of the issuer."
        }
        Meaning::RejectedIdentifier => {
            "Leave the name out, or use another CA: this one signs nothing for it."
        }
        Meaning::Caa => {
            "Add a CAA record that names this CA to the domain, or take away those that forbid it; the issuer's status.acme.caaIdentities lists the names that count."
        }
        Meaning::Dns => {
            "Check that the name has an A or AAAA record that the public name servers of its zone answer with, and that DNSSEC is in order."
        }
        Meaning::Connection => match kind {
            Some(ChallengeKind::Dns01) => {
                "Check that the zone's name servers can be reached from the internet."
            }
            _ => {
                "Check that port 80 of each address of the name leads to this cluster, through firewalls too; an AAAA record that leads nowhere is enough to fail."
            }
        },
        Meaning::Tls => {
            "Check where port 80 of the name redirects to: a server there does not speak TLS as the CA expects."
        }
        Meaning::WrongAnswer => match kind {
            Some(ChallengeKind::Dns01) => {
                "Check that the record is where the CA looks: at the name's own zone, or where its CNAME leads."
            }
            _ => {
                "Check that the name leads to this cluster and not to another server, and that the solver's ingress class or Gateway is one that serves port 80."
            }
        },
        Meaning::BadRequest => {
            "Check privateKey, signatureAlgorithm and commonName of the Certificate: this CA does not sign them as they are."
        }
        Meaning::InvalidProfile => {
            "Write one of the profiles that the issuer's status.acme.profiles lists, or leave spec.acme.profile out."
        }
        Meaning::BadContact => "Write an address that receives mail as spec.acme.email, or none.",
        Meaning::Transient { .. }
        | Meaning::BadNonce
        | Meaning::OrderNotReady
        | Meaning::AlreadyReplaced
        | Meaning::AlreadyRevoked
        | Meaning::Permanent => "",
    }
}
