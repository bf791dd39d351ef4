//! The condition `RolledOut`.

use jiff::Timestamp;

use super::{HALTED, ROLLED_OUT, Standing, TOLD, Told, count};
use crate::api::certificate::RefusedStatus;
use crate::api::{Certificate, Condition, ConditionStatus};
use crate::rollout::Pace;

/// Whether all dependents of which something is wanted run with the held certificate.
pub(super) fn condition(
    now: Timestamp,
    certificate: &Certificate,
    dependents: &[Told<'_>],
    (pace, refused): (&Pace, Option<&RefusedStatus>),
) -> Condition {
    let opted_out = count(dependents, |standing| standing == Standing::OptedOut);
    let waiting: Vec<&Told<'_>> = dependents
        .iter()
        .filter(|told| !matches!(told.standing, Standing::UpToDate | Standing::OptedOut))
        .collect();
    let done = count(dependents, |standing| standing == Standing::UpToDate);
    let all = count(dependents, |standing| standing != Standing::OptedOut);
    let verdict = if waiting.is_empty() {
        (ConditionStatus::True, "RolledOut")
    } else if pace.failed.is_some() {
        (ConditionStatus::False, HALTED)
    } else if waiting.iter().all(|told| told.standing.passes()) {
        (ConditionStatus::False, "RollingOut")
    } else {
        (ConditionStatus::False, "Waiting")
    };
    let mut message = format!("{done} of {all} workloads run with the held certificate");
    if let Some(failed) = &pace.failed {
        message.push_str(&format!(
            "; no other is taken up, since the Pods of {} {} did not come up in time",
            failed.kind.as_str(),
            failed.name
        ));
    }
    if let Some(refused) = refused {
        message.push_str(&format!(
            "; {} {} refuses the certificate: {}",
            refused.kind, refused.name, refused.message
        ));
    }
    let told: Vec<String> = waiting
        .iter()
        .take(TOLD)
        .map(|told| {
            let (kind, name) = (told.workload.kind.as_str(), told.workload.name());
            let reason = told.standing.as_str();
            match told.standing {
                Standing::Window(Some(until)) => format!("{kind} {name} ({reason} until {until})"),
                _ => format!("{kind} {name} ({reason})"),
            }
        })
        .collect();
    if !told.is_empty() {
        let more = if waiting.len() > TOLD { ", …" } else { "" };
        message.push_str(&format!("; waiting: {}{more}", told.join(", ")));
    }
    if opted_out > 0 {
        message.push_str(&format!("; {opted_out} opted out"));
    }
    super::condition(now, certificate, ROLLED_OUT, verdict, message)
}
