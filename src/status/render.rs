//! From a Certificate to text.

use std::fmt::Debug;

use certwright_core::api::certificate::{CertificateStatus, RolloutStatus};
use certwright_core::api::{Certificate, Condition};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::inspect::Page;
use crate::inspect::words::{distance, shown, when};

/// How a Certificate stands, as text for a terminal, ending in a line feed. All that comes from its status is escaped.
pub fn render(certificate: &Certificate, now: Timestamp) -> String {
    let metadata = &certificate.metadata;
    let name = metadata.name.as_deref().unwrap_or_default();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let mut page = Page::default();
    page.line(format!("Certificate {}/{}", shown(namespace), shown(name)));
    page.field("Secret", [shown(&certificate.spec.secret_name)]);
    let issuer = &certificate.spec.issuer_ref;
    let kind = issuer.kind.as_deref().unwrap_or("Issuer");
    page.field("issuer", [shown(&format!("{kind} {}", issuer.name))]);
    // Until then, it says what the schema has every new one say.
    let looked =
        |status: &&CertificateStatus| status.observed_generation.is_some_and(|seen| seen >= 0);
    let Some(status) = certificate.status.as_ref().filter(looked) else {
        page.field("status", ["the operator has not looked at it yet"]);
        return page.0;
    };
    if status.observed_generation != metadata.generation {
        page.field(
            "status",
            ["of an older spec: this one was not looked at yet"],
        );
    }
    held(&mut page, status, now);
    issuance(&mut page, status, now);
    if let Some(rollout) = &status.rollout {
        carried(&mut page, rollout, now);
    }
    page.line("");
    for condition in &status.conditions {
        said(&mut page, condition, now);
    }
    page.0
}

/// What the Secret holds.
fn held(page: &mut Page, status: &CertificateStatus, now: Timestamp) {
    let at = |time: &Time| when(now, time.0);
    let Some(not_after) = &status.not_after else {
        page.field("holds", ["no certificate"]);
        return;
    };
    let number = |revision| format!("certificate number {revision}");
    page.field("holds", status.revision.map(number));
    page.field(
        "serial",
        status.serial_number.iter().map(|text| shown(text)),
    );
    let fingerprint = status.fingerprint.as_ref();
    page.field(
        "fingerprint",
        fingerprint.map(|text| format!("SHA-256 {}", shown(text))),
    );
    page.field("valid from", status.not_before.as_ref().map(at));
    page.field("valid until", [at(not_after)]);
    page.field(
        "renewal",
        [status
            .renewal_time
            .as_ref()
            .map_or_else(|| "not by itself".to_owned(), at)],
    );
    if let Some(held_back) = &status.held_back {
        let refused = format!(
            "serial {}, since {}",
            shown(&held_back.serial_number),
            at(&held_back.since)
        );
        page.field("held back", [refused, shown(&held_back.message)]);
    }
    if let Some(previous) = &status.previous {
        let until = format!(
            "serial {}, may come back until {}",
            shown(&previous.serial_number),
            at(&previous.usable_until)
        );
        page.field("previous", [until]);
    }
}

/// What is under way, or has failed.
fn issuance(page: &mut Page, status: &CertificateStatus, now: Timestamp) {
    let at = |time: &Time| when(now, time.0);
    if let Some(order) = &status.order {
        let url = order.url.as_deref().unwrap_or("not made yet");
        page.field(
            "order",
            [shown(url), format!("begun {}", at(&order.started_at))],
        );
        let waits = order.waits_for.iter();
        page.field("", waits.map(|what| format!("waits: {}", shown(what))));
    }
    if let Some(failure) = &status.last_failure {
        let tries = match failure.attempts {
            1 => "once".to_owned(),
            count => format!("{count} times in a row"),
        };
        page.field(
            "last failure",
            [
                format!(
                    "{}, {tries}: {}",
                    shown(&failure.reason),
                    shown(&failure.message)
                ),
                format!("next try {}", at(&failure.next_try)),
            ],
        );
    }
}

/// How far the workloads have it, and who serves it.
fn carried(page: &mut Page, rollout: &RolloutStatus, now: Timestamp) {
    let done = format!("{} of {} workloads", rollout.up_to_date, rollout.dependents);
    page.field("rolled out", [done]);
    let seen = match (rollout.served, rollout.stale_endpoints) {
        (0, 0) => None,
        (served, 0) => Some(format!("{served} seen to serve it")),
        (served, stale) => Some(format!(
            "{served} seen to serve it, {stale} endpoints serve another one"
        )),
    };
    page.field("", seen);
    let refused = rollout.refused.iter();
    page.field(
        "refused",
        refused.map(|one| shown(&format!("{} {}: {}", one.kind, one.name, one.message))),
    );
    let told =
        |state: &dyn Debug, reason: Option<&String>, since: &Time, message: Option<&String>| {
            let reason = reason.map(|reason| format!(" ({reason})"));
            let message = message.map(|message| format!(": {message}"));
            format!(
                "{state:?}{}, {}{}",
                reason.unwrap_or_default(),
                distance(now, since.0),
                message.unwrap_or_default()
            )
        };
    let workloads = rollout.workloads.iter().map(|one| {
        let state = told(
            &one.state,
            one.reason.as_ref(),
            &one.since,
            one.message.as_ref(),
        );
        shown(&format!("{} {}: {state}", one.kind, one.name))
    });
    page.field("workloads", workloads);
    let hosts = rollout.hosts.iter().map(|one| {
        let state = told(&one.state, None, &one.since, one.message.as_ref());
        shown(&format!("{} (Ingress {}): {state}", one.host, one.ingress))
    });
    page.field("hosts", hosts);
}

fn said(page: &mut Page, condition: &Condition, now: Timestamp) {
    let since = distance(now, condition.last_transition_time.0);
    let label = shown(&condition.type_);
    let status = format!(
        "{:?}, {} ({since})",
        condition.status,
        shown(&condition.reason)
    );
    page.field(&label, [status, shown(&condition.message)]);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn page(status: Value) -> String {
        let mut certificate = json!({
            "metadata": { "name": "web", "namespace": "shop", "generation": 2 },
            "spec": { "secretName": "web-tls", "issuerRef": { "name": "le", "kind": "ClusterIssuer" } },
        });
        if !status.is_null() {
            certificate["status"] = status;
        }
        let certificate = serde_json::from_value(certificate).unwrap();
        render(&certificate, "2026-11-26T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn what_is_held_and_how_far_it_is_carried_is_told() {
        let told = page(json!({
            "observedGeneration": 2, "revision": 7, "serialNumber": "0a1b", "fingerprint": "cd",
            "notBefore": "2026-11-01T12:00:00Z", "notAfter": "2026-12-06T12:00:00Z", "renewalTime": "2026-11-28T11:00:00Z",
            "heldBack": {
                "fingerprint": "ef", "serialNumber": "0a1c", "restored": "cd", "request": "x", "since": "2026-11-26T10:00:00Z",
                "message": "Deployment api: container api of Pod api-1 ends with exit code 1",
            },
            "previous": { "fingerprint": "ab", "serialNumber": "0a1a", "usableUntil": "2026-11-27T12:00:00Z" },
            "rollout": { "dependents": 3, "upToDate": 2, "served": 1, "staleEndpoints": 2, "refused": {
                "fingerprint": "cd", "kind": "Deployment", "name": "api", "message": "container api of Pod api-2 runs and does not get ready",
                "since": "2026-11-26T11:00:00Z",
            }, "workloads": [
                {
                    "kind": "Deployment", "name": "web", "state": "Stale", "since": "2026-11-26T11:00:00Z",
                    "message": "Pod web-0 serves another certificate",
                },
                { "kind": "StatefulSet", "name": "db", "state": "Waiting", "reason": "NextWave", "since": "2026-11-26T11:59:00Z" },
            ], "hosts": [
                { "host": "web.example.com", "ingress": "web", "state": "Served", "since": "2026-11-26T11:00:00Z" },
            ] },
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Ready", "message": "All is well.\u{1b}[2J",
                "lastTransitionTime": "2026-11-26T11:00:00Z",
            }],
        }));
        assert_eq!(
            told,
            "\
Certificate shop/web
  Secret       web-tls
  issuer       ClusterIssuer le
  holds        certificate number 7
  serial       0a1b
  fingerprint  SHA-256 cd
  valid from   2026-11-01 12:00:00 UTC, 25 days ago
  valid until  2026-12-06 12:00:00 UTC, in 10 days
  renewal      2026-11-28 11:00:00 UTC, in 47 hours
  held back    serial 0a1c, since 2026-11-26 10:00:00 UTC, 2 hours ago
               Deployment api: container api of Pod api-1 ends with exit code 1
  previous     serial 0a1a, may come back until 2026-11-27 12:00:00 UTC, in 24 hours
  rolled out   2 of 3 workloads
               1 seen to serve it, 2 endpoints serve another one
  refused      Deployment api: container api of Pod api-2 runs and does not get ready
  workloads    Deployment web: Stale, 1 hour ago: Pod web-0 serves another certificate
               StatefulSet db: Waiting (NextWave), 1 minute ago
  hosts        web.example.com (Ingress web): Served, 1 hour ago

  Ready        True, Ready (1 hour ago)
               All is well.\\u{1b}[2J
"
        );
    }

    #[test]
    fn what_is_under_way_and_what_failed_is_told() {
        let told = page(json!({
            "observedGeneration": 1,
            "order": {
                "attempted": "x", "url": "https://ca.example/order/1", "startedAt": "2026-11-26T11:59:00Z",
                "waitsFor": "the CA to look",
            },
            "lastFailure": {
                "reason": "Unreachable", "message": "ca.example did not answer.", "attempts": 3, "attempted": "x",
                "time": "2026-11-26T11:50:00Z", "nextTry": "2026-11-26T12:05:00Z",
            },
        }));
        for line in [
            "status       of an older spec: this one was not looked at yet",
            "holds        no certificate",
            "order        https://ca.example/order/1",
            "             begun 2026-11-26 11:59:00 UTC, 1 minute ago",
            "             waits: the CA to look",
            "last failure Unreachable, 3 times in a row: ca.example did not answer.",
            "             next try 2026-11-26 12:05:00 UTC, in 5 minutes",
        ] {
            assert!(
                told.lines()
                    .any(|told| told.trim_end() == format!("  {line}")),
                "{line}\n{told}"
            );
        }
        for nothing in [Value::Null, json!({ "observedGeneration": -1 })] {
            assert!(page(nothing).ends_with("the operator has not looked at it yet\n"));
        }
    }
}
