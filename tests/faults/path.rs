//! The ways through the operator.

use jiff::SignedDuration;
use serde_json::json;

use crate::case::{Case, NEXT_ROOT, Outcome, PAST_OVERLAP, ROOT, SERVERS_HAVE_READ, UNTIL_DUE};

/// A way through the operator, in steps that each end at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// An Issuer becomes ready.
    Issuer,
    /// A Certificate gets its first certificate.
    First,
    /// A renewal is asked for by hand.
    ByHand,
    /// The same, and the pair before is kept to go back to.
    Keep,
    /// A renewal is due; the key stays.
    Due,
    /// Somebody breaks what is around the pair.
    Repair,
    /// Somebody deletes the Secret.
    Robbed,
    /// A Deployment begins to read the Secret.
    Adopt,
    /// A Deployment is rolled.
    Roll,
    /// The key of the CA is replaced: a new root, then a new certificate, then the old root goes.
    ReplaceCa,
}

impl Path {
    /// How far the clock is moved before each step.
    pub(crate) fn steps(self) -> &'static [SignedDuration] {
        const NOW: SignedDuration = SignedDuration::ZERO;
        match self {
            Self::Due => &[UNTIL_DUE],
            Self::ReplaceCa => &[NOW, PAST_OVERLAP, SERVERS_HAVE_READ],
            _ => &[NOW],
        }
    }

    /// How often the Secret has to be written in a step.
    pub(crate) fn secret_writes(self, step: usize) -> usize {
        match (self, step) {
            (Self::Issuer | Self::Adopt, _) => 0,
            _ => 1,
        }
    }

    /// Sets the scene, without faults.
    pub(crate) async fn prepare(self, case: &Case<'_>) {
        match self {
            Self::Issuer => {
                case.put_ca(&ROOT).await;
                // Nothing tells when the operator has seen it.
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                return;
            }
            Self::First => return case.issuer().await,
            _ => case.issuer().await,
        }
        let more = match self {
            Self::Due => json!({ "privateKey": { "rotationPolicy": "Never" } }),
            Self::Keep => json!({ "rollout": { "rollBack": "Enabled" } }),
            _ => json!({}),
        };
        case.put_certificate(more).await;
        let mut outcome = Outcome::issued(1);
        case.until(async || case.stands(outcome).await).await;
        if self == Self::Roll {
            case.put_deployment().await;
            outcome.rolls = Some(0);
            case.until(async || case.stands(outcome).await).await;
        }
        case.rest().await;
    }

    /// Does what the operator has to answer.
    pub(crate) async fn act(self, step: usize, case: &Case<'_>) {
        match (self, step) {
            (Self::Issuer, _) => case.put_issuer().await,
            (Self::First, _) => case.put_certificate(json!({})).await,
            (Self::ByHand | Self::Keep | Self::Roll, _) => case.scene.renew("web", "please").await,
            (Self::Due, _) | (Self::ReplaceCa, 1 | 2) => case.scene.touch("web").await,
            (Self::Robbed, _) => case.scene.delete_secret("web-tls").await,
            (Self::Repair, _) => {
                let broken = json!({ "data": { "ca.crt": "YnJva2Vu" } });
                case.scene.meddle("web-tls", broken).await;
            }
            (Self::Adopt, _) => case.put_deployment().await,
            (Self::ReplaceCa, _) => case.put_ca(&NEXT_ROOT).await,
        }
    }

    /// How it stands after a step, at rest; what is in the way if it does not.
    pub(crate) async fn settled(self, step: usize, case: &Case<'_>) -> Result<(), String> {
        let mut outcome = Outcome::issued(1);
        let mut roots = ROOT.facts();
        match (self, step) {
            (Self::Issuer, _) => return case.issuer_is_ready().await,
            (Self::First, _) => {}
            (Self::ByHand | Self::Due | Self::Robbed, _) => outcome.revision = 2,
            (Self::Keep, _) => {
                outcome.revision = 2;
                outcome.kept = !case.keeps_nothing();
            }
            (Self::Repair, _) => outcome.repairs = 1,
            (Self::Adopt, _) => outcome.rolls = Some(0),
            (Self::Roll, _) => {
                outcome.revision = 2;
                outcome.rolls = Some(1);
            }
            (Self::ReplaceCa, 0) => {
                outcome.repairs = 1;
                outcome.because = "CAReplaced";
                roots = [NEXT_ROOT.facts(), roots].concat();
            }
            (Self::ReplaceCa, 1) => {
                outcome.revision = 2;
                outcome.repairs = 1;
                roots = [NEXT_ROOT.facts(), roots].concat();
            }
            (Self::ReplaceCa, _) => {
                outcome.revision = 2;
                outcome.repairs = 2;
                roots = NEXT_ROOT.facts();
            }
        }
        let held = case.stands(outcome).await?;
        if held.ca == roots {
            Ok(())
        } else {
            Err(format!("the right ca.crt: {:?}", held.ca))
        }
    }
}
