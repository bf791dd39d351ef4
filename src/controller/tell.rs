//! What is told of a Certificate: its status, its Events, its lines in the log.

use certwright_core::api::certificate::CertificateStatus;
use certwright_core::api::{Certificate, Condition, ConditionStatus, condition};
use certwright_core::pki::Facts;
use certwright_core::plan::status::{self, ISSUING, Outcome, ROLL_BACK_FAILED};
use certwright_core::plan::{Plan, Turn, Undoes};
use jiff::Timestamp;
use kube::Resource;
use tracing::{info, warn};

use super::Context;
use super::act::Acted;
use crate::cluster::apply;
use crate::cluster::events::Kind;
use crate::error::{Error, Object};

/// Tells what was done to the Secret, in an Event and in the log.
pub(super) async fn tell_done(
    context: &Context,
    now: Timestamp,
    certificate: &Certificate,
    turn: &Turn,
    done: &Plan,
    acted: &Acted,
) {
    if acted.secret.is_none() {
        return;
    }
    let secret = &certificate.spec.secret_name;
    let about = certificate.object_ref(&context.group);
    match (done, &acted.issued) {
        (Plan::Issue { why, .. } | Plan::Continue { why, .. }, Some(leaf)) => {
            context.metrics.issued(turn.issuer.kind());
            info!(secret, reason = why.reason(), not_after = %leaf.not_after, serial = leaf.serial_hex(), "Issued certificate");
            let note = format!(
                "Issued a certificate{} into Secret {secret}, valid until {}, because {}.{}",
                names(leaf),
                leaf.not_after,
                why.clause(secret),
                by_a_fallback(turn)
            );
            context
                .events
                .publish(now, about, Kind::Normal, "Issued", "Issue", &note)
                .await;
        }
        (Plan::Restore, _) => {
            let held_back = acted.secret.as_ref();
            let held_back = held_back.and_then(|secret| secret.marks.held_back.as_ref());
            let why = held_back.map_or("", |held_back| held_back.message.as_str());
            info!(secret, why, "Put the certificate before back");
            let note = format!(
                "Put the certificate before back into Secret {secret}, since workloads refuse the new one: {why}"
            );
            context
                .events
                .publish(now, about, Kind::Warning, "RolledBack", "RollBack", &note)
                .await;
        }
        (Plan::Repair { what, .. }, _) => {
            let words: Vec<_> = what.iter().map(|flaw| flaw.words()).collect();
            info!(secret, what = words.join(", "), "Repaired Secret");
            let note = format!(
                "Put right in Secret {secret}, without issuing anew: {}.",
                words.join(", ")
            );
            context
                .events
                .publish(now, about, Kind::Normal, "Repaired", "Repair", &note)
                .await;
        }
        _ => {}
    }
    if let Outcome::Done(Undoes::Again { by }) = &acted.outcome {
        info!(
            secret,
            by = by.as_deref().unwrap_or("nobody named"),
            "Secret is contested"
        );
    }
}

/// Who signed and why, if it was not the first issuer of the spec.
fn by_a_fallback(turn: &Turn) -> String {
    let why = turn.why.as_ref();
    why.map_or_else(String::new, |why| {
        format!(" {} signed it, because {why}.", turn.issuer)
    })
}

/// " for a, b and 3 more", or nothing for a certificate without names of hosts.
fn names(leaf: &Facts) -> String {
    const SHOWN: usize = 5;
    let all: Vec<String> = leaf
        .names
        .dns
        .iter()
        .cloned()
        .chain(leaf.names.ip.iter().map(ToString::to_string))
        .collect();
    match all.len() {
        0 => String::new(),
        count if count <= SHOWN => format!(" for {}", all.join(", ")),
        count => format!(
            " for {} and {} more",
            all[..SHOWN].join(", "),
            count - SHOWN
        ),
    }
}

/// Writes the status if it says something new, and a Warning if what it says needs somebody to look.
pub(super) async fn write_status(
    context: &Context,
    now: Timestamp,
    certificate: &Certificate,
    new: &CertificateStatus,
) -> Result<(), Error> {
    let old = certificate.status.as_ref();
    if status::unchanged(old, new) {
        return Ok(());
    }
    let written = apply::status(&context.client, &context.group, certificate, new)
        .await
        .map_err(|source| Error::Write {
            object: Object::of("status of Certificate", &certificate.metadata),
            source,
        })?;
    context.certificates.wrote(written);
    if let Some(condition) = warning(old, new) {
        warn!(
            reason = condition.reason,
            says = condition.message,
            "Certificate needs attention"
        );
        let about = certificate.object_ref(&context.group);
        let (reason, message) = (&condition.reason, &condition.message);
        context.warn(now, about, reason, "Reconcile", message).await;
    }
    Ok(())
}

/// What of a new status is worth a Warning: a reason that nothing is issued that the old one did not give, or
/// a condition that needs somebody.
fn warning<'a>(
    old: Option<&CertificateStatus>,
    new: &'a CertificateStatus,
) -> Option<&'a Condition> {
    const AT_REST: [&str; 2] = ["UpToDate", "CAReplaced"];
    const BESIDE: [&str; 2] = ["LimitedByCA", ROLL_BACK_FAILED];
    let said = condition::find(&new.conditions, ISSUING)?;
    let before = old
        .and_then(|old| condition::find(&old.conditions, ISSUING))
        .map(|condition| &condition.reason);
    let appeared = |type_: &str| {
        let before = old.and_then(|old| condition::find(&old.conditions, type_));
        before.is_none()
    };
    let said_beside = || {
        let mut new_ones = BESIDE.into_iter().filter(|type_| appeared(type_));
        new_ones.find_map(|type_| condition::find(&new.conditions, type_))
    };
    let bad = said.status == ConditionStatus::False && !AT_REST.contains(&said.reason.as_str());
    if bad && before != Some(&said.reason) {
        Some(said)
    } else {
        said_beside()
    }
}
