//! Asking the CA when to renew what is held.

use certwright_core::api::certificate::SuggestedWindow;
use certwright_core::plan::{Plan, Suggestion};
use jiff::Timestamp;

use super::Context;
use super::certificate::Thought;
use super::gather::Gathered;
use crate::cluster::secrets::Named;
use crate::issuer::AnyIssuer;
use crate::issuer::acme::renewal::Asked;

/// Asks the CA when to renew, if that is due and nothing else is to be done; whether it says something new.
///
/// A CA that gives no answer changes nothing: what was known holds, and without that the Certificate's own time.
pub(super) async fn ask(
    context: &Context,
    now: Timestamp,
    gathered: &mut Gathered,
    thought: &Thought,
) -> bool {
    let (Plan::Keep { .. }, Some(held)) = (&thought.plan, &thought.assessment.held) else {
        return false;
    };
    let Some(AnyIssuer::Acme(issuer)) = gathered.signer().map(|usable| &usable.issuer) else {
        return false;
    };
    let Some(secret) = &gathered.secret else {
        return false;
    };
    let ordered_by = secret.marks.account.as_deref();
    let Some(certificate) = issuer.asks_about(held, ordered_by) else {
        return false;
    };
    let name = Named::of(&gathered.certificate.metadata);
    let asked = Asked {
        name: &name,
        held,
        issued_at: secret.issued_at(),
    };
    let polls = &context.renewal_polls;
    let mut said = None;
    if polls.next(now, &asked, &certificate) <= now {
        said = issuer.ask_renewal(now, polls, &asked, &certificate).await;
    }
    let next = polls.next(now, &asked, &certificate);
    let serial = held.serial_hex();
    gathered.look_again_at(next);
    let Some(said) = said else { return false };
    let told = told(gathered, &serial);
    let news = match (told, &said) {
        (Some(told), Some(said)) => !says_the_same(told, said),
        (told, said) => told.is_some() || said.is_some(),
    };
    if news {
        gathered.heard.suggestion = said.map_or(Suggestion::Nothing, Suggestion::Window);
    }
    news
}

/// Has the shell come back at once to ask the CA of a certificate that was just stored: what we write ourselves wakes nobody.
pub(super) fn ask_soon(now: Timestamp, gathered: &mut Gathered, thought: &Thought) {
    let issuer = gathered.signer().map(|usable| &usable.issuer);
    let asks = matches!(issuer, Some(AnyIssuer::Acme(acme)) if acme.asks_renewal_information());
    if asks && matches!(thought.plan, Plan::Keep { .. }) {
        gathered.look_again_at(now);
    }
}

/// What the status tells of this certificate.
fn told<'a>(gathered: &'a Gathered, serial: &str) -> Option<&'a SuggestedWindow> {
    let status = gathered.certificate.status.as_ref()?;
    let window = status.renewal_window.as_ref();
    window.filter(|_| status.serial_number.as_deref() == Some(serial))
}

fn says_the_same(told: &SuggestedWindow, said: &SuggestedWindow) -> bool {
    let without_time = |window: &SuggestedWindow| SuggestedWindow {
        checked_at: None,
        ..window.clone()
    };
    without_time(told) == without_time(said)
}
