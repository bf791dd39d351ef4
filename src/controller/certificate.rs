//! One Certificate's way: gather, plan, act, say how it stands.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use certwright_core::api::Certificate;
use certwright_core::plan::status::{self, Failure, Outcome};
use certwright_core::plan::{Assessment, Heard, MAX_LOOK_AGAIN, Plan, Undoes, assess, decide};
use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt, future, stream};
use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

use super::act::{Acted, act};
use super::gather::Gathered;
use super::revoke::revoke;
use super::tell::{tell_done, write_status};
use super::terms::in_terms;
use super::{Context, PATIENCE, at};
use super::{previous, renewal};
use crate::cluster::call;
use crate::cluster::secrets::Named;
use crate::error::{Error, Object, Retry};

/// The controller's name in metrics.
pub const CONTROLLER: &str = "certificate";

/// Whoever waits for a place is woken; should that be lost, this is how long it waits.
const NO_PLACE: Duration = Duration::from_secs(60);

/// How often a write of the Secret may fail before the status says so: most failures of a call pass at once.
const QUIET_FAILURES: u32 = 3;

/// Reconciles Certificates until `stop`, while this replica leads: all of them, then each one that `woken` names.
pub async fn run(
    context: Arc<Context>,
    store: Store<Certificate>,
    woken: UnboundedReceiver<Named>,
    stop: CancellationToken,
) {
    let everything = || {
        context.issuers.count_anew();
        context.untold.begin_anew();
        let named = |certificate: &Arc<Certificate>| Named::of(&certificate.metadata);
        store.state().iter().map(named).collect()
    };
    in_terms(&context, woken, everything, &stop, |woken, over| {
        control(Arc::clone(&context), store.clone(), woken, over)
    })
    .await;
}

async fn control(
    context: Arc<Context>,
    store: Store<Certificate>,
    woken: UnboundedReceiver<Named>,
    over: CancellationToken,
) {
    let group = context.group.clone();
    let woken = stream::select(woken, context.places.begin_anew()).map({
        let group = group.clone();
        move |name| ObjectRef::new_with(&name.name, group.clone()).within(&name.namespace)
    });
    Controller::for_stream_with(stream::pending(), store, group)
        .with_config(Config::default().concurrency(context.concurrency))
        .reconcile_on(woken)
        .graceful_shutdown_on(over.cancelled_owned())
        .run(
            reconcile,
            |_, never: &Infallible, _| match *never {},
            context,
        )
        .for_each(|_| future::ready(()))
        .await;
}

/// Takes the next step for a Certificate. Failures have become waits when it comes back. What was made meanwhile for one that
/// has gone by then is left over: it was looked for when the Certificate went, and nobody else comes back for it.
async fn reconcile(
    certificate: Arc<Certificate>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    let name = Named::of(&certificate.metadata);
    let outside = context.issuers.first_outside(&certificate);
    let place = outside
        .as_ref()
        .map(|issuer| context.places.take(&name, issuer));
    // Before it costs a call: whoever finds no place waits for one.
    if matches!(place, Some(None)) {
        return Ok(Action::requeue(NO_PLACE));
    }
    let span = info_span!("certificate", namespace = name.namespace, name = name.name);
    let step = step(&context, &name);
    let action = context
        .attend(CONTROLLER, name.clone(), step)
        .instrument(span)
        .await;
    let known = context.certificates.get(&name);
    if known.is_none_or(|known| known.metadata.uid != certificate.metadata.uid) {
        context.left_over.notify_one();
    }
    Ok(action)
}

async fn step(context: &Context, name: &Named) -> Result<Action, Error> {
    let alive = context.heartbeats.promise(
        format!("certificate {}/{}", name.namespace, name.name),
        PATIENCE,
    );
    let now = context.now();
    let Some(certificate) = context.certificates.get(name) else {
        return Ok(Action::await_change());
    };
    let mut gathered = Gathered::read(context, now, certificate, &alive).await?;
    alive.beat();
    let mut thought = Thought::of(context, now, &gathered);
    if thought.plan == Plan::Leave || going(context, &gathered, &thought.plan).await? {
        return Ok(Action::await_change());
    }
    if let Some(said) = revoke(context, now, &mut gathered, &thought).await? {
        // Written down before anything follows from it.
        gathered.heard.revocation = Some(said);
        let thought = Thought::of(context, now, &gathered);
        return say_whatever_came(context, now, gathered, &thought, &Outcome::Nothing).await;
    }
    if renewal::ask(context, now, &mut gathered, &thought).await {
        thought = Thought::of(context, now, &gathered);
    }
    let found = match previous::find(context, now, &gathered, &thought).await? {
        Some(Err(stays)) => {
            gathered.heard.stays = Some(stays);
            thought = Thought::of(context, now, &gathered);
            None
        }
        found => found.and_then(Result::ok),
    };
    let acted = match act(context, now, &alive, &gathered, &thought, found).await {
        Err(problem) if failed_for_long(context, name, &problem) => {
            Acted::failed("SecretNotWritten", problem.told()).holding(gathered.order())
        }
        acted => acted?,
    };
    let certificate = Arc::clone(&gathered.certificate);
    let done = thought.plan.clone();
    let thought = match &acted.secret {
        Some(secret) => {
            gathered.wrote(context, now, secret).await?;
            let thought = Thought::of(context, now, &gathered);
            renewal::ask_soon(now, &mut gathered, &thought);
            thought
        }
        None => thought,
    };
    previous::tidy(context, now, &mut gathered).await;
    let outcome = match not_kept(&gathered.target, &acted, &thought.plan) {
        Some(failure) => Outcome::Failed(failure),
        None => acted.outcome.clone(),
    };
    let turn = gathered.turn().clone();
    // The Event and the status don't wait for each other.
    let ((), said) = tokio::join!(
        tell_done(context, now, &certificate, &turn, &done, &acted),
        say_whatever_came(context, now, gathered, &thought, &outcome)
    );
    // The sweep goes by what the status says.
    if acted.left_over {
        context.left_over.notify_one();
    }
    said
}

/// Says how things stand, also where somebody else wrote the Certificate meanwhile. What was just done is only remembered
/// in the status: who undid what and when, and how long to leave the issuer alone.
async fn say_whatever_came(
    context: &Context,
    now: Timestamp,
    gathered: Gathered,
    thought: &Thought,
    outcome: &Outcome,
) -> Result<Action, Error> {
    let certificate = Arc::clone(&gathered.certificate);
    let said = say_twice(context, now, gathered, thought, outcome).await;
    match (&said, outcome) {
        (Ok(_), _) => context.untold.forget(&Named::of(&certificate.metadata)),
        (Err(_), Outcome::UnderWay(order)) => context.untold.keep(&certificate, order),
        (Err(_), _) => {}
    }
    said
}

async fn say_twice(
    context: &Context,
    now: Timestamp,
    mut gathered: Gathered,
    thought: &Thought,
    outcome: &Outcome,
) -> Result<Action, Error> {
    match say(context, now, &gathered, thought, outcome).await {
        Err(problem)
            if problem.retry() == Retry::Reread
                && (*outcome != Outcome::Nothing || gathered.heard != Heard::default()) =>
        {
            let Some(live) = live(context, &gathered.certificate).await? else {
                return Ok(Action::await_change());
            };
            gathered.certificate = Arc::new(live);
            let thought = Thought::of(context, now, &gathered);
            say(context, now, &gathered, &thought, outcome).await
        }
        said => said,
    }
}

/// What is there, held against what is asked for, and what follows.
pub(super) struct Thought {
    pub(super) assessment: Assessment,
    pub(super) plan: Plan,
}

impl Thought {
    fn of(context: &Context, now: Timestamp, gathered: &Gathered) -> Self {
        let inputs = gathered.inputs(context);
        let assessment = assess(now, &inputs);
        let plan = decide(now, &inputs, &assessment);
        Self { assessment, plan }
    }
}

/// Whether a certificate that was just stored would be issued again at once: then what came back is not what was stored,
/// and without a hold-off we would issue for ever.
fn not_kept(target: &Named, acted: &Acted, plan: &Plan) -> Option<Failure> {
    acted.issued.as_ref()?;
    let Plan::Issue { why, .. } = plan else {
        return None;
    };
    let message = format!(
        "A certificate was issued and stored, and still {}. Does a webhook change Secret {}?",
        why.clause(&target.name),
        target.name
    );
    Some(Failure::new("NotKept", message))
}

/// Whether the Certificate goes, where its Secret was deleted: the two watches don't wait for each other, and what is
/// being deleted together must not come back half.
async fn going(context: &Context, gathered: &Gathered, plan: &Plan) -> Result<bool, Error> {
    let deleted = gathered.secret.is_none()
        && matches!(plan, Plan::Issue { undoes, .. } if *undoes != Undoes::Nothing);
    Ok(deleted && live(context, &gathered.certificate).await?.is_none())
}

/// The Certificate as it is now; `None` if it is gone or going, or another has its name.
pub(super) async fn live(
    context: &Context,
    seen: &Certificate,
) -> Result<Option<Certificate>, Error> {
    let Named { namespace, name } = Named::of(&seen.metadata);
    let api: Api<Certificate> =
        Api::namespaced_with(context.client.clone(), &namespace, &context.group);
    let live = call(api.get_opt(&name))
        .await
        .map_err(|source| Error::Read {
            object: Object::new("Certificate", &namespace, &name),
            source,
        })?;
    Ok(live.filter(|live| {
        live.metadata.uid == seen.metadata.uid && live.metadata.deletion_timestamp.is_none()
    }))
}

/// Whether a write keeps failing, so that the user should know.
fn failed_for_long(context: &Context, name: &Named, problem: &Error) -> bool {
    let lasts = matches!(problem.retry(), Retry::Backoff | Retry::After(_));
    lasts && context.backoff.failures(&(CONTROLLER, name.clone())) >= QUIET_FAILURES
}

/// Says in the status how things stand, and when to look again.
async fn say(
    context: &Context,
    now: Timestamp,
    gathered: &Gathered,
    Thought { assessment, plan }: &Thought,
    outcome: &Outcome,
) -> Result<Action, Error> {
    let inputs = gathered.inputs(context);
    let status = status::status(now, &inputs, assessment, plan, outcome);
    write_status(context, now, &gathered.certificate, &status).await?;
    let moment = match plan {
        // Whatever was planned, the order goes on; no other write of its status will wake us.
        _ if let Outcome::UnderWay(order) = outcome => {
            order.look_again.as_ref().map_or(now, |again| again.0)
        }
        Plan::Keep { look_again } => *look_again,
        Plan::Hold { until, .. } | Plan::HoldRepair { until, .. } => *until,
        // A step that failed has left its hold-off in the status; one that has work left goes on at once.
        Plan::Issue { .. } | Plan::Repair { .. } | Plan::Restore => match &status.last_failure {
            Some(failure) => failure.next_try.0,
            None => now,
        },
        Plan::Continue { not_before, .. } => not_before.unwrap_or(now),
        Plan::Abandon { .. } => now,
        Plan::Blocked { .. } => now.checked_add(MAX_LOOK_AGAIN).unwrap_or(now),
        Plan::Leave => return Ok(Action::await_change()),
    };
    // Nobody can take a turn that is over already: whoever can will wake us.
    let turn_ends = status::turn_ends(&inputs, &status).filter(|_| !gathered.turn().overdue);
    // What the CA is asked beside the plan has its own time.
    let ends = [turn_ends, gathered.look_again];
    Ok(at(
        now,
        ends.into_iter().flatten().fold(moment, Timestamp::min),
    ))
}

#[cfg(test)]
mod tests {
    use certwright_core::pki::key::KeySpec;
    use certwright_core::pki::profile::{KeyUsage, Names};
    use certwright_core::pki::sign::{self, Locations};
    use certwright_core::pki::{Facts, PrivateKey, Profile};
    use certwright_core::plan::IssueReason;

    use super::*;

    fn leaf() -> Facts {
        let profile = Profile {
            subject: certwright_core::pki::profile::DistinguishedName::default(),
            names: Names {
                dns: ["web.example.com".to_owned()].into(),
                ..Names::default()
            },
            key_usages: [KeyUsage::DigitalSignature].into(),
            extended_key_usages: std::collections::BTreeSet::new(),
            is_ca: false,
            name_constraints: None,
            key: KeySpec::Ed25519,
            signature_algorithm: None,
            usages_in_request: true,
            lifetime_seconds: 3600,
        };
        let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        let now = "2026-11-02T10:00:00Z".parse().unwrap();
        Facts::read(&sign::self_signed(&profile, &Locations::default(), &key, now).unwrap())
            .unwrap()
    }

    fn acted(issued: Option<Facts>) -> Acted {
        Acted {
            outcome: Outcome::Done(Undoes::Nothing),
            secret: None,
            issued,
            left_over: false,
        }
    }

    #[test]
    fn what_would_be_issued_again_at_once_counts_as_a_failure() {
        let target = Named::new("shop", "web-tls");
        let again = Plan::Issue {
            why: IssueReason::Drift(vec!["the subject is another".to_owned()]),
            undoes: Undoes::Nothing,
        };
        let failure = not_kept(&target, &acted(Some(leaf())), &again).unwrap();
        assert_eq!(failure.reason, "NotKept");
        assert!(
            failure
                .message
                .ends_with("Does a webhook change Secret web-tls?")
        );
        let kept = Plan::Keep {
            look_again: "2026-11-02T11:00:00Z".parse().unwrap(),
        };
        assert_eq!(not_kept(&target, &acted(Some(leaf())), &kept), None);
        assert_eq!(not_kept(&target, &acted(None), &again), None);
    }
}
