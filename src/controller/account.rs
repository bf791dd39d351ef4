//! What an issuer's account needs beside being there: another key where that is asked for, and an address that the CA knows.

use certwright_core::api::IssuerStatus;
use certwright_core::api::condition;
use certwright_core::api::issuer::AcmeStatus;
use certwright_core::plan::marks::ROLL_ACCOUNT_KEY;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt as _;
use tracing::{info, warn};

use super::Context;
use super::issuer::{IssuerKind, account};
use crate::cluster::events::Kind;
use crate::cluster::secrets::IssuerKey;
use crate::error::Error;
use crate::issuer::acme::rollover::Rolled;
use crate::issuer::{AnyIssuer, NotReady, State};

/// The condition that says that an account keeps its key although another was asked for.
pub(super) const ROLLOVER_FAILED: &str = "KeyRolloverFailed";
/// The condition that says that the CA does not know where to write to.
pub(super) const CONTACT_NOT_SET: &str = "ContactNotSet";
/// How much of an annotation counts, in bytes: it is written into a status.
const MAX_REQUEST: usize = 256;

/// What is wrong with an account that can be used all the same.
#[derive(Default)]
pub(super) struct Warnings {
    /// By the condition that tells of it.
    pub(super) conditions: Vec<(&'static str, NotReady)>,
    /// When something is to be tried again.
    pub(super) again: Option<Timestamp>,
}

impl Warnings {
    /// What is known of an issuer's account.
    pub(super) fn of(state: &State) -> Self {
        let problem = match state {
            State::Ready(usable) => account(usable).and_then(|account| account.contact_problem()),
            State::Missing | State::NotReady(_) | State::NotAllowed => None,
        };
        Self {
            conditions: Vec::from_iter(problem.map(|problem| (CONTACT_NOT_SET, problem.clone()))),
            again: None,
        }
    }
}

/// Gives an issuer's account another key where its annotation asks for one, or where that was begun. Returns the issuer as it
/// then is, and what is wrong with its account.
///
/// # Errors
/// When the API server fails, or something changed meanwhile.
pub(super) async fn roll<K: IssuerKind>(
    context: &Context,
    now: Timestamp,
    issuer: &K,
    key: &IssuerKey,
    state: State,
) -> Result<(State, Warnings), Error> {
    let mut warnings = Warnings::of(&state);
    let State::Ready(usable) = &state else {
        return Ok((state, warnings));
    };
    let AnyIssuer::Acme(using) = &usable.issuer else {
        return Ok((state, warnings));
    };
    let answered = last_request(issuer.status()).map(String::as_str);
    let asked = asked(context, issuer).filter(|asked| Some(*asked) != answered);
    if !using.account().rollover().is_open(asked) {
        return Ok((state, warnings));
    }
    let rolled = context
        .issuers
        .roll_account_key(now, key, using, asked)
        .await?;
    match rolled {
        Rolled::Nothing => {}
        Rolled::Done => info!(
            account = using.account().url(),
            "Gave the account another key"
        ),
        Rolled::Failed(problem, again) => {
            warnings.conditions.push((ROLLOVER_FAILED, problem));
            warnings.again = again;
            return Ok((state, warnings));
        }
    }
    let state = context.issuers.own_state(now, key).await?;
    let warnings = Warnings::of(&state);
    Ok((state, warnings))
}

/// The annotation's value, cut.
fn asked<'a, K: IssuerKind>(context: &Context, issuer: &'a K) -> Option<&'a str> {
    let value = issuer
        .annotations()
        .get(&context.group.key(ROLL_ACCOUNT_KEY))?;
    let value = &value[..value.floor_char_boundary(MAX_REQUEST)];
    Some(value).filter(|value| !value.is_empty())
}

/// Writes into an account's status which request was last answered. What stands on the Secret counts, so that a status that
/// was not written is made good, but what was begun is not answered yet. Where the status has the very value that is asked for,
/// it stays: for an account in another Secret it does not act again.
pub(super) fn note_request<K: IssuerKind>(
    context: &Context,
    issuer: &K,
    state: &State,
    told: &mut Option<AcmeStatus>,
) {
    let (Some(told), State::Ready(usable)) = (told, state) else {
        return;
    };
    let Some(rollover) = account(usable).map(|account| account.rollover()) else {
        return;
    };
    let old = last_request(issuer.status());
    let stays = rollover.begun || old.is_some_and(|old| asked(context, issuer) == Some(old));
    let request = rollover.request.as_ref().filter(|_| !stays);
    let request =
        request.map(|request| request[..request.floor_char_boundary(MAX_REQUEST)].to_owned());
    told.last_roll_request = request.or_else(|| old.cloned());
}

fn last_request(status: Option<&IssuerStatus>) -> Option<&String> {
    status?.acme.as_ref()?.last_roll_request.as_ref()
}

/// Tells by Events what a new status says of the account that the old one did not.
pub(super) async fn tell(
    context: &Context,
    now: Timestamp,
    about: ObjectReference,
    old: Option<&IssuerStatus>,
    new: &IssuerStatus,
) {
    let said = |type_: &str| {
        let old = condition::find(&old?.conditions, type_)?;
        Some((old.reason.as_str(), old.message.as_str()))
    };
    for type_ in [ROLLOVER_FAILED, CONTACT_NOT_SET] {
        let Some(condition) = condition::find(&new.conditions, type_) else {
            continue;
        };
        let (reason, message) = (condition.reason.as_str(), condition.message.as_str());
        if said(type_) != Some((reason, message)) {
            warn!(reason, says = message, "Account needs somebody to look");
            let action = "Register";
            context
                .warn(now, about.clone(), type_, action, message)
                .await;
        }
    }
    let request = last_request(Some(new));
    if request.is_some() && request != last_request(old) {
        let uri = new.acme.as_ref().and_then(|acme| acme.uri.as_deref());
        let note = format!(
            "The account {} has another key now. Keep a copy of it; the old one is worth nothing any more.",
            uri.unwrap_or_default()
        );
        let events = &context.events;
        events
            .publish(
                now,
                about,
                Kind::Normal,
                "AccountKeyRolled",
                "Register",
                &note,
            )
            .await;
    }
}
