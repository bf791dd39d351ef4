//! Revoking what is held, where it is asked for by hand.

use certwright_core::api::certificate::{RevocationState, RevocationStatus};
use certwright_core::plan::marks::REVOKE;
use certwright_core::plan::revocation::{self, Revocation, Wanted};
use jiff::Timestamp;
use kube::Resource as _;
use tracing::info;

use super::Context;
use super::certificate::{Thought, live};
use super::gather::Gathered;
use crate::cluster::events::Kind;
use crate::error::{CallError, Error, Object};
use crate::issuer::AnyIssuer;

/// Does what the annotation asks for, once; what came of it, if anything did.
///
/// If what came of it can't be written down, the CA is asked again, and says that it has done it before.
///
/// # Errors
/// When the API server fails, or something changed meanwhile.
pub(super) async fn revoke(
    context: &Context,
    now: Timestamp,
    gathered: &mut Gathered,
    Thought { assessment, plan }: &Thought,
) -> Result<Option<RevocationStatus>, Error> {
    let inputs = gathered.inputs(context);
    let said = match revocation::revocation(now, &inputs, assessment, plan) {
        Revocation::Nothing => return Ok(None),
        Revocation::Wait(until) => {
            gathered.look_again_at(until);
            return Ok(None);
        }
        Revocation::Tell(said) => said,
        Revocation::Ask(wanted) => ask(context, now, gathered, &wanted).await?,
    };
    if let Some(next) = &said.next_try {
        gathered.look_again_at(next.0);
    }
    tell(context, now, gathered, &said).await;
    Ok(Some(said))
}

async fn ask(
    context: &Context,
    now: Timestamp,
    gathered: &Gathered,
    wanted: &Wanted,
) -> Result<RevocationStatus, Error> {
    let seen = &gathered.certificate;
    let asked = |annotations: Option<&std::collections::BTreeMap<String, String>>| {
        annotations.and_then(|all| all.get(&context.group.key(REVOKE)).cloned())
    };
    // It can't be taken back: what asks for it is looked at live.
    let live = live(context, seen).await?;
    let value = live.and_then(|live| asked(live.metadata.annotations.as_ref()));
    if value != asked(seen.metadata.annotations.as_ref()) {
        return Err(Error::Read {
            object: Object::of("Certificate", &seen.metadata),
            source: CallError::Changed,
        });
    }
    let Some(AnyIssuer::Acme(issuer)) = gathered.signer().map(|usable| &usable.issuer) else {
        return Err(Error::Read {
            object: Object::of("issuer of Certificate", &seen.metadata),
            source: CallError::Changed,
        });
    };
    let key = gathered.stored(context).await?.key;
    let (certificate, reason) = (&wanted.certificate, wanted.reason);
    let answer = issuer.revoke(now, certificate, key, reason).await;
    info!(serial = certificate.serial_hex(), %reason, ?answer, "Asked the CA to revoke a certificate");
    let inputs = gathered.inputs(context);
    Ok(revocation::after(now, &inputs, wanted, answer))
}

/// Tells what came of it, unless the same was told before.
async fn tell(context: &Context, now: Timestamp, gathered: &Gathered, said: &RevocationStatus) {
    let certificate = &gathered.certificate;
    let before = certificate
        .status
        .as_ref()
        .and_then(|status| status.revocation.as_ref());
    let same = |before: &RevocationStatus| {
        (&before.request, before.state, &before.message)
            == (&said.request, said.state, &said.message)
    };
    if before.is_some_and(same) {
        return;
    }
    let about = certificate.object_ref(&context.group);
    let (kind, reason) = match said.state {
        RevocationState::Revoked => (Kind::Normal, "Revoked"),
        RevocationState::Refused | RevocationState::Failing => (Kind::Warning, "RevocationFailed"),
    };
    let events = &context.events;
    events
        .publish(now, about, kind, reason, "Revoke", &said.message)
        .await;
}
