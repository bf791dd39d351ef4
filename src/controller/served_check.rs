//! Whether what a server shows is as it should be, said in the status of its ServedCheck.
//!
//! Each check has its own moments, spread over its interval, so that a replica that comes to lead looks at no more servers than the
//! one before would have. A check that is new, or whose spec has changed, is looked at at once.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::api::ServedCheck;
use certwright_core::api::condition::{self, ConditionStatus};
use certwright_core::checks::{Look, UNTOLD, again_after, news, next_look, status, turns_at};
use certwright_core::plan::MAX_LOOK_AGAIN;
use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt, future, stream};
use jiff::Timestamp;
use kube::Resource as _;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span};

use super::terms::in_terms;
use super::{Context, PATIENCE, Places, at};
use crate::checks::{Checks, NOT_ALLOWED};
use crate::cluster::apply;
use crate::cluster::events::Kind;
use crate::cluster::secrets::Named;
use crate::error::{Error, Object};

/// The controller's name in metrics.
pub const CONTROLLER: &str = "servedcheck";
/// How many checks are worked on at once; of those that look, a namespace's own have a part only ([`Places`]).
const CONCURRENCY: u16 = 16;

struct Shared {
    context: Arc<Context>,
    checks: Arc<Checks>,
    store: Store<ServedCheck>,
    places: Places,
    /// Of this term: in the next, each check waits for its own moment again.
    plans: Mutex<HashMap<Named, Planned>>,
}

/// When a check is looked at next.
#[derive(Clone, Debug)]
struct Planned {
    uid: Option<String>,
    generation: Option<i64>,
    at: Timestamp,
    /// How many looks in a row came to nothing.
    failures: u32,
}

/// Looks at what the checks name until `stop`, while this replica leads: at each when it is due, and at each one that `woken` names if
/// it has changed.
pub async fn run(
    context: Arc<Context>,
    checks: Arc<Checks>,
    store: Store<ServedCheck>,
    woken: UnboundedReceiver<Named>,
    stop: CancellationToken,
) {
    let everything = || {
        let named = |check: &Arc<ServedCheck>| Named::of(&check.metadata);
        store.state().iter().map(named).collect()
    };
    in_terms(&context, woken, everything, &stop, |woken, over| {
        let shared = Shared {
            context: Arc::clone(&context),
            checks: Arc::clone(&checks),
            store: store.clone(),
            places: Places::new(CONCURRENCY),
            plans: Mutex::default(),
        };
        control(shared, woken, over)
    })
    .await;
}

async fn control(shared: Shared, woken: UnboundedReceiver<Named>, over: CancellationToken) {
    let group = shared.context.group.clone();
    let woken = stream::select(woken, shared.places.begin_anew()).map({
        let group = group.clone();
        move |name| ObjectRef::new_with(&name.name, group.clone()).within(&name.namespace)
    });
    Controller::for_stream_with(stream::pending(), shared.store.clone(), group)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .reconcile_on(woken)
        .graceful_shutdown_on(over.cancelled_owned())
        .run(
            reconcile,
            |_, never: &Infallible, _| match *never {},
            Arc::new(shared),
        )
        .for_each(|_| future::ready(()))
        .await;
}

async fn reconcile(check: Arc<ServedCheck>, shared: Arc<Shared>) -> Result<Action, Infallible> {
    let name = Named::of(&check.metadata);
    let span = info_span!("check", namespace = name.namespace, name = name.name);
    let step = step(&shared, &check, &name);
    Ok(shared
        .context
        .attend(CONTROLLER, name.clone(), step)
        .instrument(span)
        .await)
}

async fn step(shared: &Shared, check: &ServedCheck, name: &Named) -> Result<Action, Error> {
    let context = &shared.context;
    if check.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let now = context.now();
    let planned = shared.planned(now, check, name);
    if planned.at > now {
        return Ok(again(now, planned.at));
    }
    let Some(_place) = shared.places.take_for(name) else {
        // Woken when there is one.
        return Ok(Action::await_change());
    };
    let _alive = context.heartbeats.promise(
        format!("ServedCheck {}/{}", name.namespace, name.name),
        PATIENCE,
    );
    let look = shared.checks.look(now, check).await?;
    let failures = match look {
        Look::Unreached { .. } => planned.failures + 1,
        Look::Refused { .. } | Look::Seen(_) => 0,
    };
    if failures <= UNTOLD && failures > 0 && is_judged(check) {
        debug!(
            ?look,
            failures, "Server was not reached, and is soon asked again"
        );
    } else {
        tell(context, now, check, &look).await?;
    }
    let interval = check.spec.interval();
    let slot = next_look(now, planned.uid.as_deref().unwrap_or_default(), interval);
    let next = match &look {
        Look::Unreached { .. } => now
            .checked_add(again_after(failures, interval))
            .unwrap_or(slot),
        // What is missing may be there soon, and nothing is asked of anybody outside for it.
        Look::Refused { .. } => slot.min(now.checked_add(MAX_REFUSED).unwrap_or(slot)),
        Look::Seen(_) => turns_at(now, &check.spec, &look).map_or(slot, |turns| turns.min(slot)),
    };
    shared.plan(
        name,
        Planned {
            at: next,
            failures,
            ..planned
        },
    );
    Ok(again(now, next))
}

/// Writes the status if it says something new, and tells of a verdict that is another.
async fn tell(
    context: &Context,
    now: Timestamp,
    check: &ServedCheck,
    look: &Look,
) -> Result<(), Error> {
    let held = check.status.as_ref();
    let new = status(now, check, look);
    if held.is_some_and(|held| *held == new) {
        return Ok(());
    }
    apply::status(&context.client, &context.group, check, &new)
        .await
        .map_err(|source| Error::Write {
            object: Object::of("status of ServedCheck", &check.metadata),
            source,
        })?;
    if let Some(said) = news(held, &new) {
        let (reason, message) = (&said.reason, &said.message);
        let server = &check.spec.target;
        info!(server, reason, says = message, "Server is judged otherwise");
        let kind = match said.status {
            ConditionStatus::False => Kind::Warning,
            ConditionStatus::True | ConditionStatus::Unknown => Kind::Normal,
        };
        let about = check.object_ref(&context.group);
        let events = &context.events;
        events
            .publish(now, about, kind, reason, "Look", message)
            .await;
    }
    Ok(())
}

/// Whether the status holds a verdict on this spec: one that a look or two that fail don't take back.
fn is_judged(check: &ServedCheck) -> bool {
    let Some(status) = &check.status else {
        return false;
    };
    let ready = condition::find(&status.conditions, "Ready");
    status.observed_generation == check.metadata.generation
        && status.presented.is_some()
        && ready.is_some_and(|ready| ready.status != ConditionStatus::Unknown)
}

/// Looks again at a moment, which is found out about in an hour at the latest.
fn again(now: Timestamp, moment: Timestamp) -> Action {
    let latest = now.checked_add(MAX_LOOK_AGAIN).unwrap_or(moment);
    at(now, moment.min(latest))
}

impl Shared {
    /// When a check is to be looked at, as was planned in this term, or as its status lets it be.
    fn planned(&self, now: Timestamp, check: &ServedCheck, name: &Named) -> Planned {
        let (uid, generation) = (check.metadata.uid.clone(), check.metadata.generation);
        let mut plans = self.plans();
        let held = plans.get(name);
        if let Some(held) = held.filter(|held| held.uid == uid && held.generation == generation) {
            return held.clone();
        }
        let at = if self.is_due(check) {
            now
        } else {
            let uid = uid.as_deref().unwrap_or_default();
            next_look(now, uid, check.spec.interval())
        };
        let planned = Planned {
            uid,
            generation,
            at,
            failures: 0,
        };
        plans.insert(name.clone(), planned.clone());
        planned
    }

    /// Whether the status says nothing of this spec, or something of whom administrators allow that isn't so any more.
    fn is_due(&self, check: &ServedCheck) -> bool {
        let Some(status) = &check.status else {
            return true;
        };
        let ready = condition::find(&status.conditions, "Ready");
        let refused = ready.is_some_and(|ready| ready.reason == NOT_ALLOWED);
        let target = check.spec.target();
        let allowed = target.is_some_and(|target| self.checks.allows(&target));
        status.observed_generation != check.metadata.generation || refused == allowed
    }

    fn plan(&self, name: &Named, planned: Planned) {
        let mut plans = self.plans();
        plans.insert(name.clone(), planned);
        // Nobody tells of those that are gone.
        let live = self.store.state();
        if plans.len() > 2 * live.len() + SPARE {
            let live: std::collections::HashSet<_> = live
                .iter()
                .map(|check| Named::of(&check.metadata))
                .collect();
            plans.retain(|name, _| live.contains(name));
        }
    }

    fn plans(&self) -> MutexGuard<'_, HashMap<Named, Planned>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// After how long a check that could not be looked at is read again.
const MAX_REFUSED: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
/// How many plans for checks that are gone do no harm.
const SPARE: usize = 1000;
