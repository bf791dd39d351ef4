//! What an order needs next (RFC 8555 section 7.1.6).

mod again;
mod names;

use std::collections::{BTreeMap, BTreeSet};

use super::origin::{Origins, UrlProblem, token_is_sound};
use super::problem::{self, Meaning, plain};
use super::selector::{self, ChallengeKind, Choice, NoSolver};
use super::wire::{
    Authorization, AuthorizationStatus, ChallengeStatus, Identifier, Order, OrderStatus, Problem,
};
use crate::api::certificate::PresentedChallenge;
use crate::api::issuer::Solver;

pub use again::again;
pub use names::{MAX_NAMES, Unservable, identifiers};

/// What is known of an order.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// What the request is for.
    pub identifiers: &'a BTreeSet<Identifier>,
    /// Which URLs belong to the CA.
    pub origins: &'a Origins,
    /// The order, as just read.
    pub order: &'a Order,
    /// Its authorizations by URL, as far as they were read since.
    pub authorizations: &'a BTreeMap<String, Authorization>,
    /// What is shown to the CA already.
    pub presented: &'a [PresentedChallenge],
    /// The issuer's solvers.
    pub solvers: &'a [Solver],
    /// The Certificate's labels.
    pub labels: &'a BTreeMap<String, String>,
}

/// The next step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<'a> {
    /// The order must not be followed: it is given up, and nothing of it asked again.
    Refuse(Refusal),
    /// There will be no certificate of this order.
    Failed(Failure),
    /// These authorizations have to be read before anything can be said.
    Read(Vec<String>),
    /// All that is still to be proven; some of it has to be shown to the CA. Whatever else was shown is needed no more.
    Present(Vec<Proof<'a>>),
    /// All that is still to be proven, and shown; of some of it the CA has not been told to look.
    Accept(Vec<Proof<'a>>),
    /// The CA is at work.
    Wait,
    /// The request for the certificate is sent to this URL.
    Finalize(String),
    /// The certificate is fetched from this URL.
    Download(String),
}

/// One name and how it is proven.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof<'a> {
    /// Where the authorization is.
    pub authorization_url: String,
    /// For what; without `*.`.
    pub identifier: Identifier,
    /// Where the CA is told to look.
    pub challenge_url: String,
    /// What the CA asks for.
    pub token: String,
    /// How.
    pub kind: ChallengeKind,
    /// With which settings.
    pub solver: &'a Solver,
    /// How far that is.
    pub stage: Stage,
}

/// How far a proof is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is not shown.
    New,
    /// It is shown, and the CA has not been told to look.
    Shown,
    /// The CA has been told to look.
    Told,
}

/// Why an order is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is for other names than the request.
    #[error("the CA's order is for other names than were asked for: {0}")]
    OtherNames(String),
    /// It has more authorizations than names can need.
    #[error("the CA's order has {0} authorizations; at most {MAX_NAMES} are followed")]
    TooManyAuthorizations(usize),
    /// It leads elsewhere.
    #[error("the CA's order {0}")]
    Url(#[from] UrlProblem),
    /// It is done and has no certificate.
    #[error("the CA's order is done and names no certificate")]
    NoCertificate,
    /// What the CA asks for is no token.
    #[error("the CA asks for a token for {0} that is none")]
    UnsoundToken(String),
    /// No solver proves one of its names.
    #[error(transparent)]
    NoSolver(#[from] NoSolver),
}

/// Why an order failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it means.
    pub meaning: Meaning,
    /// The same for the user to read.
    pub words: String,
    /// The names that were not shown, without `*.`.
    pub identifiers: BTreeSet<Identifier>,
}

/// The next step of an order. The first that holds:
///
/// 1. the order names other things than the request, or leads elsewhere → `Refuse`;
/// 2. it is valid → `Download`; ready → `Finalize`; processing → `Wait`;
/// 3. it is invalid with a reason → `Failed`;
/// 4. an authorization was not read → `Read`;
/// 5. one is not for us → `Refuse`; one was not shown → `Failed`;
/// 6. one can't be shown → `Refuse`;
/// 7. one is not presented → `Present`, with all others that are still to be proven;
/// 8. one is presented and not accepted → `Accept`, with all others that are still to be proven;
/// 9. the CA is at work → `Wait`.
///
/// An authorization that is valid is used as it is. `accepted` is to be recorded after the CA has answered: what was
/// told twice does no harm, what was never told is waited for in vain.
pub fn next<'a>(view: &View<'a>) -> Step<'a> {
    if let Err(refusal) = check(view) {
        return Step::Refuse(refusal);
    }
    let order = view.order;
    match order.status {
        OrderStatus::Ready => Step::Finalize(order.finalize.clone()),
        OrderStatus::Processing => Step::Wait,
        OrderStatus::Valid => match &order.certificate {
            Some(url) => Step::Download(url.clone()),
            None => Step::Refuse(Refusal::NoCertificate),
        },
        OrderStatus::Invalid => match &order.error {
            Some(error) if has_words(error) => Step::Failed(failed_order(error)),
            _ => authorize(view).unwrap_or_else(Step::Refuse),
        },
        OrderStatus::Pending => authorize(view).unwrap_or_else(Step::Refuse),
    }
}

/// Whether the order is one for the request, and belongs to the CA.
fn check(view: &View<'_>) -> Result<(), Refusal> {
    let order = view.order;
    if order.authorizations.len() > MAX_NAMES {
        return Err(Refusal::TooManyAuthorizations(order.authorizations.len()));
    }
    let named: BTreeSet<_> = order.identifiers.iter().map(canonical).collect();
    if named != *view.identifiers {
        let differences: Vec<_> = named
            .symmetric_difference(view.identifiers)
            .take(5)
            .map(|identifier| plain(&identifier.to_string(), 253))
            .collect();
        return Err(Refusal::OtherNames(differences.join(", ")));
    }
    let urls = order
        .authorizations
        .iter()
        .chain([&order.finalize])
        .chain(&order.certificate);
    for url in urls {
        view.origins.check(url)?;
    }
    Ok(())
}

fn authorize<'a>(view: &View<'a>) -> Result<Step<'a>, Refusal> {
    let order = view.order;
    let unread: Vec<_> = order
        .authorizations
        .iter()
        .filter(|url| !view.authorizations.contains_key(*url))
        .cloned()
        .collect();
    if !unread.is_empty() {
        return Ok(Step::Read(unread));
    }
    let read: Vec<_> = order
        .authorizations
        .iter()
        .filter_map(|url| Some((url, view.authorizations.get(url)?)))
        .collect();
    for (_, authorization) in &read {
        if !view.identifiers.contains(&full_name(authorization)) {
            let name = plain(&authorization.identifier.to_string(), 253);
            return Err(Refusal::OtherNames(name));
        }
    }
    if let Some(failure) = failed_authorizations(&read) {
        return Ok(Step::Failed(failure));
    }
    if order.status == OrderStatus::Invalid {
        return Ok(Step::Failed(failed_order(&Problem::default())));
    }
    let mut proofs = Vec::new();
    for (url, authorization) in read {
        if authorization.status == AuthorizationStatus::Pending {
            proofs.extend(proof(view, url, authorization)?);
        }
    }
    let any = |stage| proofs.iter().any(|proof: &Proof<'_>| proof.stage == stage);
    Ok(if any(Stage::New) {
        Step::Present(proofs)
    } else if any(Stage::Shown) {
        Step::Accept(proofs)
    } else {
        Step::Wait
    })
}

/// How a pending authorization is shown; `None` where the CA is done with its challenge, or about to be.
fn proof<'a>(
    view: &View<'a>,
    url: &str,
    authorization: &Authorization,
) -> Result<Option<Proof<'a>>, Refusal> {
    let name = full_name(authorization);
    let offered: Vec<&str> = authorization
        .challenges
        .iter()
        .take(MAX_CHALLENGES)
        .map(|challenge| challenge.kind.as_str())
        .collect();
    let Choice { kind, solver } =
        selector::choose(view.solvers, view.labels, &name, Some(&offered))?;
    let challenge = authorization
        .challenges
        .iter()
        .find(|challenge| challenge.kind == kind.as_str())
        // It is among those that are offered.
        .ok_or_else(|| Refusal::UnsoundToken(name.to_string()))?;
    view.origins.check(&challenge.url)?;
    let token = challenge
        .token
        .clone()
        .filter(|token| token_is_sound(token))
        .ok_or_else(|| Refusal::UnsoundToken(name.to_string()))?;
    let under_way = match challenge.status {
        ChallengeStatus::Pending => false,
        ChallengeStatus::Processing => true,
        ChallengeStatus::Valid | ChallengeStatus::Invalid => return Ok(None),
    };
    let mut proof = Proof {
        authorization_url: url.to_owned(),
        identifier: canonical(&authorization.identifier),
        challenge_url: challenge.url.clone(),
        token,
        kind,
        solver,
        stage: Stage::New,
    };
    proof.stage = match presented(view.presented, &proof) {
        None => Stage::New,
        Some(shown) if shown.accepted || under_way => Stage::Told,
        Some(_) => Stage::Shown,
    };
    Ok(Some(proof))
}

/// What the status tells of a proof, if it was shown. Whatever else it tells of is not the order's.
fn presented<'a>(
    presented: &'a [PresentedChallenge],
    proof: &Proof<'_>,
) -> Option<&'a PresentedChallenge> {
    let identifier = proof.identifier.to_string();
    presented.iter().find(|shown| {
        shown.kind == proof.kind.as_str()
            && shown.identifier == identifier
            && shown.token == proof.token
            && shown.authorization_url == proof.authorization_url
    })
}

/// What became of those that were not shown, in words.
fn failed_authorizations(read: &[(&String, &Authorization)]) -> Option<Failure> {
    use AuthorizationStatus::{Deactivated, Expired, Invalid, Pending, Revoked, Valid};
    let mut failure: Option<Failure> = None;
    for (_, authorization) in read {
        let lapsed = match authorization.status {
            Pending | Valid => continue,
            Invalid => None,
            Expired => Some("has expired"),
            Deactivated => Some("was given up"),
            Revoked => Some("was taken away by the CA"),
        };
        let identifier = canonical(&authorization.identifier);
        let (meaning, words) = match (lapsed, failed_challenge(authorization)) {
            // Another order asks for another authorization.
            (Some(became), _) => (
                Meaning::Transient { until: None },
                format!("the CA's authorization for {identifier} {became}; another is asked for"),
            ),
            (None, Some((kind, error))) => (
                Meaning::of_validation(error),
                problem::describe_validation(&identifier, kind, error),
            ),
            (None, None) => (
                Meaning::Permanent,
                format!(
                    "the CA could not be shown that {identifier} is yours, and does not say why"
                ),
            ),
        };
        match &mut failure {
            None => {
                failure = Some(Failure {
                    meaning,
                    words,
                    identifiers: BTreeSet::from([identifier]),
                });
            }
            Some(failure) => {
                if failure.identifiers.insert(identifier) && failure.identifiers.len() <= MAX_TOLD {
                    failure.words.push_str("; ");
                    failure.words.push_str(&words);
                }
                if meaning.pace() > failure.meaning.pace() {
                    failure.meaning = meaning;
                }
            }
        }
    }
    let mut failure = failure?;
    failure.words = plain(&failure.words, problem::MAX_WORDS);
    Some(failure)
}

/// The challenge that was tried: the one with an error.
fn failed_challenge(authorization: &Authorization) -> Option<(&str, &Problem)> {
    authorization
        .challenges
        .iter()
        .take(MAX_CHALLENGES)
        .find_map(|challenge| Some((challenge.kind.as_str(), challenge.error.as_ref()?)))
}

fn failed_order(error: &Problem) -> Failure {
    let meaning = Meaning::of_validation(error);
    let words = match has_words(error) {
        true => problem::describe(&meaning, error),
        false => "the CA gave the order up, and does not say why".to_owned(),
    };
    Failure {
        meaning,
        words,
        identifiers: error.identifier.iter().map(canonical).collect(),
    }
}

fn has_words(error: &Problem) -> bool {
    !error.kind.is_empty() || !error.detail.is_empty() || !error.subproblems.is_empty()
}

/// The name as an order has it.
fn full_name(authorization: &Authorization) -> Identifier {
    match canonical(&authorization.identifier) {
        // Some CAs say it twice.
        Identifier::Dns(name) if authorization.wildcard && !name.starts_with("*.") => {
            Identifier::Dns(format!("*.{name}"))
        }
        other => other,
    }
}

fn canonical(identifier: &Identifier) -> Identifier {
    match identifier {
        Identifier::Dns(name) => Identifier::Dns(name.to_ascii_lowercase()),
        Identifier::Ip(address) => Identifier::Ip(address.to_canonical()),
    }
}

/// More challenges of an authorization than this are not looked at.
const MAX_CHALLENGES: usize = 32;
/// So many names are told one by one.
const MAX_TOLD: usize = 5;

#[cfg(test)]
mod tests;
