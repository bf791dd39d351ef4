//! All that planning looks at, as JSON: a Certificate with its status, its Secret (data as plain text), its issuer and
//! the time. There is a plan and a status for whatever stands there, and it is the same each time.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use certwright_core::api::{Certificate, CertificateStatus, Group};
use certwright_core::pki::Authority;
use certwright_core::plan::status::{self, Failure, Outcome, Pace};
use certwright_core::plan::{
    Heard, Inputs, IssuerState, MAX_LOOK_AGAIN, Observed, OldLeaves, Plan, ReadyIssuer, Settings,
    Signer, Undoes, assess, decide,
};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct World {
    certificate: Certificate,
    secret: Option<Secret>,
    data: Option<BTreeMap<String, String>>,
    issuer: Option<Issuer>,
    owner: Option<String>,
    /// Since when none of a replaced CA's certificates is held.
    old_leaves_gone: Option<String>,
    now: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Issuer {
    SelfSigned,
    Acme,
    NotReady,
    Ca { certificate: String, key: String },
}

fuzz_target!(|json: &[u8]| {
    let Ok(world) = serde_json::from_slice::<World>(json) else {
        return;
    };
    let Ok(now) = world.now.parse::<Timestamp>() else {
        return;
    };
    let group = Group::default();
    let secret = world.secret.map(|mut secret| {
        let data = world.data.unwrap_or_default().into_iter();
        secret.data = Some(
            data.map(|(key, value)| (key, ByteString(value.into_bytes())))
                .collect(),
        );
        Observed::of(&secret, &group)
    });
    let signer = match &world.issuer {
        Some(Issuer::SelfSigned) => Some(Signer::SelfSigned),
        Some(Issuer::Acme) => Some(Signer::Outside),
        Some(Issuer::Ca { certificate, key }) => {
            Authority::read(certificate.as_bytes(), key.as_bytes(), None)
                .ok()
                .map(|authority| Signer::Authority(Arc::new(authority)))
        }
        _ => None,
    };
    let ready = signer.map(|signer| ReadyIssuer {
        identity: "1".to_owned(),
        signer,
    });
    let issuer = match &ready {
        Some(issuer) => IssuerState::Ready(issuer),
        None if world.issuer.is_some() => IssuerState::NotReady {
            reason: "No",
            message: "No.",
        },
        None => IssuerState::Missing,
    };
    let gone = world
        .old_leaves_gone
        .as_deref()
        .and_then(|text| text.parse().ok());
    let old_leaves = gone.map_or(OldLeaves::Held, OldLeaves::GoneSince);
    look(
        now,
        &Inputs {
            group: &group,
            certificate: &world.certificate,
            secret: secret.as_ref(),
            owner: world.owner.as_deref(),
            issuer,
            fallback: None,
            heard: &Heard::default(),
            old_leaves,
            settings: &Settings::default(),
        },
    );
});

fn look(now: Timestamp, inputs: &Inputs<'_>) {
    let assessment = assess(now, inputs);
    let plan = decide(now, inputs, &assessment);
    assert_eq!(plan, decide(now, inputs, &assess(now, inputs)));
    if let Plan::Keep { look_again } = &plan {
        let wait = look_again.duration_since(now);
        assert!(wait.is_positive() || now == Timestamp::MAX, "{wait:?}");
        // In whole seconds.
        assert!(wait.as_secs() <= MAX_LOOK_AGAIN.as_secs(), "{wait:?}");
    }
    if let Plan::Hold { until, .. } | Plan::HoldRepair { until, .. } = &plan {
        let inside = matches!(inputs.issuer, IssuerState::Ready(issuer) if !matches!(issuer.signer, Signer::Outside));
        let longest = if inside {
            status::MAX_HOLD
        } else {
            status::MAX_HOLD_OUTSIDE
        };
        assert!((now..).contains(until) && until.duration_since(now) <= longest);
    }
    let failed = Failure::new("No", "No.".to_owned());
    let status = inputs.certificate.status.as_ref();
    let order = status.and_then(|status| status.order.clone());
    let refused = Failure {
        pace: Pace::Refused,
        order: order.clone(),
        ..failed.clone()
    };
    let named = Failure {
        pace: Pace::Until(Timestamp::MAX),
        ..failed.clone()
    };
    for outcome in order.map(Outcome::UnderWay).into_iter().chain([
        Outcome::Nothing,
        Outcome::Done(Undoes::Nothing),
        Outcome::Done(Undoes::Again { by: None }),
        Outcome::Abandoned,
        Outcome::Failed(failed),
        Outcome::Failed(refused),
        Outcome::Failed(named),
    ]) {
        let told = status::status(now, inputs, &assessment, &plan, &outcome);
        comes_to_rest(now, inputs, told);
    }
}

/// A status that was written, and read again, is soon one that says nothing new: nothing is written for ever.
fn comes_to_rest(now: Timestamp, inputs: &Inputs<'_>, told: CertificateStatus) {
    const ROUNDS: usize = 3;
    let mut certificate = inputs.certificate.clone();
    let mut told = told;
    for _ in 0..ROUNDS {
        let json = serde_json::to_vec(&told).unwrap();
        // Years before 0 are written in a way that nobody reads; the API server has none of them.
        let Ok(read) = serde_json::from_slice(&json) else {
            return;
        };
        certificate.status = Some(read);
        let inputs = Inputs {
            certificate: &certificate,
            ..*inputs
        };
        let assessment = assess(now, &inputs);
        let plan = decide(now, &inputs, &assessment);
        told = status::status(now, &inputs, &assessment, &plan, &Outcome::Nothing);
        if status::unchanged(certificate.status.as_ref(), &told) {
            return;
        }
    }
    panic!("{:?} becomes {told:?}", certificate.status);
}
