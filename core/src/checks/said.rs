//! From a look to a status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Look, Seen};
use crate::api::condition::{self, Condition, ConditionStatus};
use crate::api::served_check::{FoundFault, Presented};
use crate::api::{ServedCheck, ServedCheckStatus};
use crate::pki::Facts;
use crate::pki::faults::{Fault, Standing};
use crate::pki::text::cut;

use ConditionStatus::{False, True, Unknown};

/// What a check says after a look. It is the status it had, where nothing is new.
pub fn status(now: Timestamp, check: &ServedCheck, look: &Look) -> ServedCheckStatus {
    let held = check.status.clone().unwrap_or_default();
    let generation = check.metadata.generation;
    let same_spec = held.observed_generation == generation;
    let mut new = ServedCheckStatus {
        observed_generation: generation,
        ..ServedCheckStatus::default()
    };
    let said: Vec<_> = match look {
        Look::Refused { reason, message } => vec![(READY, False, *reason, message.clone())],
        Look::Unreached { reason, message } => {
            if same_spec {
                new.not_after = held.not_after.clone();
                new.presented = held.presented.clone();
            }
            vec![
                (READY, Unknown, *reason, message.clone()),
                (REACHABLE, False, *reason, message.clone()),
            ]
        }
        Look::Seen(seen) => {
            new.not_after = Some(Time(seen.judgement.ends));
            new.presented = Some(presented(&seen.leaf, seen.chain_length));
            let faults = seen.faults();
            let found = faults.iter().take(MAX_FAULTS);
            new.faults = found.map(described).collect();
            let reached = "It shows its certificates.".to_owned();
            let mut said = vec![
                verdict(seen, &faults),
                (REACHABLE, True, "Reached", reached),
            ];
            said.extend(seen.standing.as_ref().map(revocation));
            said
        }
    };
    new.conditions = held.conditions;
    new.conditions
        .retain(|held| said.iter().any(|(type_, ..)| held.type_ == *type_));
    for (type_, status, reason, message) in said {
        let told = condition::find(&new.conditions, type_).filter(|told| {
            told.status == status && told.reason == reason && told.observed_generation == generation
        });
        // The same failure in other words, such as with another of many addresses, is nothing new.
        let message = match told {
            Some(told) if !(type_ == READY && status != Unknown) => told.message.clone(),
            _ => cut(&message, MAX_TEXT),
        };
        let said = Condition::new(type_, status, reason, message, now).observed(generation);
        condition::set(&mut new.conditions, said);
    }
    new
}

/// The condition to tell of in an Event, where the verdict is another than before.
pub fn news<'a>(
    held: Option<&ServedCheckStatus>,
    new: &'a ServedCheckStatus,
) -> Option<&'a Condition> {
    let said = condition::find(&new.conditions, READY)?;
    let told = held.and_then(|held| condition::find(&held.conditions, READY));
    let same = told.is_some_and(|told| told.status == said.status && told.reason == said.reason);
    (!same).then_some(said)
}

type Said = (&'static str, ConditionStatus, &'static str, String);

fn verdict(seen: &Seen, faults: &[Fault]) -> Said {
    let Some(first) = faults.first() else {
        let (name, ends) = (&seen.name, seen.judgement.ends);
        let message = format!("A client has nothing against it as {name}, until {ends}.");
        return (READY, True, "Valid", message);
    };
    let told = faults
        .iter()
        .map(|fault| format!("{}: {}.", capitalized(&fault.cause()), fault.remedy()));
    let message = told.collect::<Vec<_>>().join(" ");
    (READY, False, reason(first), message)
}

fn revocation(standing: &Standing) -> Said {
    let (status, reason, message) = match standing {
        Standing::Good(by) => (True, "NotRevoked", format!("It is not revoked, says {by}.")),
        Standing::Revoked(fault) => (True, "Revoked", format!("{}.", capitalized(&fault.cause()))),
        Standing::Unnamed => (
            True,
            "NobodyToAsk",
            "The certificate names nobody who was to be asked.".to_owned(),
        ),
        Standing::Unknown(why) => (
            False,
            "NoAnswer",
            format!("Nobody said anything that can be believed: {why}."),
        ),
    };
    (REVOCATION, status, reason, message)
}

/// A fault as a reason.
const fn reason(fault: &Fault) -> &'static str {
    match fault {
        Fault::Expired { .. } => "Expired",
        Fault::NotYetValid { .. } => "NotYetValid",
        Fault::EndsSoon { .. } => "EndsSoon",
        Fault::WrongName { .. } => "WrongName",
        Fault::KeyMismatch => "KeyMismatch",
        Fault::WeakKey { .. } => "WeakKey",
        Fault::WeakSignature { .. } => "WeakSignature",
        Fault::WrongOrder { .. } => "WrongOrder",
        Fault::SelfSigned => "SelfSigned",
        Fault::MissingIntermediate { .. } => "MissingIntermediate",
        Fault::UnknownAuthority { .. } => "UnknownCA",
        Fault::NotForServers => "NotForServers",
        Fault::NameNotPermitted => "NameNotPermitted",
        Fault::Revoked { .. } => "Revoked",
        Fault::Refused { .. } => "ClientRefuses",
    }
}

fn described(fault: &Fault) -> FoundFault {
    FoundFault {
        code: fault.code().to_owned(),
        cause: cut(&fault.cause(), MAX_TEXT),
        remedy: cut(&fault.remedy(), MAX_TEXT),
    }
}

fn presented(leaf: &Facts, chain_length: usize) -> Presented {
    let dns = leaf.names.dns.iter().cloned();
    let addresses = leaf.names.ip.iter().map(ToString::to_string);
    let names: Vec<_> = dns.chain(addresses).collect();
    Presented {
        subject: cut(&leaf.subject.to_string(), MAX_TEXT),
        issuer: cut(&leaf.issuer.to_string(), MAX_TEXT),
        serial_number: cut(&leaf.serial_hex(), MAX_SERIAL),
        fingerprint: leaf.fingerprint.to_string(),
        name_count: count(names.len()),
        names: names
            .iter()
            .take(MAX_NAMES)
            .map(|name| cut(name, MAX_TEXT))
            .collect(),
        not_before: Time(leaf.not_before),
        not_after: Time(leaf.not_after),
        chain_length: count(chain_length),
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

const READY: &str = "Ready";
const REACHABLE: &str = "Reachable";
const REVOCATION: &str = "RevocationChecked";
/// Bounds of the schema.
const MAX_FAULTS: usize = 16;
const MAX_NAMES: usize = 20;
const MAX_TEXT: usize = 1024;
const MAX_SERIAL: usize = 64;
