//! Whether an issuer can sign, said in its status.

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;

use certwright_core::api::condition::{self, Condition, ConditionStatus};
use certwright_core::api::{ClusterIssuer, Group, Issuer, IssuerStatus};
use certwright_core::plan::request::IssuerName;
use certwright_core::plan::{MAX_LOOK_AGAIN, Signer};
use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt, future, stream};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::core::DynamicResourceScope;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};

use super::account::{Warnings, note_request};
use super::terms::in_terms;
use super::{Context, PATIENCE, at};
use crate::cluster::apply;
use crate::cluster::secrets::Named;
use crate::error::{Error, Object};
use crate::issuer::acme::Account;
use crate::issuer::{AnyIssuer, State, Usable};

/// `Issuer` or `ClusterIssuer`.
pub trait IssuerKind:
    Resource<DynamicType = Group, Scope = DynamicResourceScope>
    + Clone
    + Debug
    + Default
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The kind's name.
    const KIND: &'static str;
    /// The controller's name in metrics.
    const CONTROLLER: &'static str;
    /// Its status.
    fn status(&self) -> Option<&IssuerStatus>;
    /// Whether it asks an ACME CA.
    fn is_acme(&self) -> bool;
}

impl IssuerKind for Issuer {
    const KIND: &'static str = "Issuer";
    const CONTROLLER: &'static str = "issuer";

    fn status(&self) -> Option<&IssuerStatus> {
        self.status.as_ref()
    }

    fn is_acme(&self) -> bool {
        self.spec.acme.is_some()
    }
}

impl IssuerKind for ClusterIssuer {
    const KIND: &'static str = "ClusterIssuer";
    const CONTROLLER: &'static str = "clusterissuer";

    fn status(&self) -> Option<&IssuerStatus> {
        self.status.as_ref()
    }

    fn is_acme(&self) -> bool {
        self.spec.acme.is_some()
    }
}

struct Shared<K: IssuerKind> {
    context: Arc<Context>,
    store: Store<K>,
}

/// Keeps the status of issuers until `stop`, while this replica leads: of all, then of each one that `woken` names.
pub async fn run<K: IssuerKind>(
    context: Arc<Context>,
    store: Store<K>,
    woken: UnboundedReceiver<Named>,
    stop: CancellationToken,
) {
    let everything = || {
        let named = |issuer: &Arc<K>| Named::of(issuer.meta());
        store.state().iter().map(named).collect()
    };
    in_terms(&context, woken, everything, &stop, |woken, over| {
        control(Arc::clone(&context), store.clone(), woken, over)
    })
    .await;
}

async fn control<K: IssuerKind>(
    context: Arc<Context>,
    store: Store<K>,
    woken: UnboundedReceiver<Named>,
    over: CancellationToken,
) {
    let group = context.group.clone();
    let woken = woken.map({
        let group = group.clone();
        move |name| reference::<K>(&name, &group)
    });
    let concurrency = context.concurrency;
    let shared = Arc::new(Shared {
        context,
        store: store.clone(),
    });
    Controller::for_stream_with(stream::pending(), store, group)
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(woken)
        .graceful_shutdown_on(over.cancelled_owned())
        .run(
            reconcile,
            |_, never: &Infallible, _| match *never {},
            shared,
        )
        .for_each(|_| future::ready(()))
        .await;
}

fn reference<K: Resource<DynamicType = Group>>(name: &Named, group: &Group) -> ObjectRef<K> {
    let reference = ObjectRef::new_with(&name.name, group.clone());
    if name.namespace.is_empty() {
        reference
    } else {
        reference.within(&name.namespace)
    }
}

async fn reconcile<K: IssuerKind>(
    issuer: Arc<K>,
    shared: Arc<Shared<K>>,
) -> Result<Action, Infallible> {
    let name = Named::of(issuer.meta());
    let span = info_span!(
        "issuer",
        kind = K::KIND,
        namespace = name.namespace,
        name = name.name
    );
    let step = step(&shared, &name);
    Ok(shared
        .context
        .attend(K::CONTROLLER, name.clone(), step)
        .instrument(span)
        .await)
}

async fn step<K: IssuerKind>(shared: &Shared<K>, name: &Named) -> Result<Action, Error> {
    let context = &shared.context;
    let alive = context.heartbeats.promise(
        format!("{} {}/{}", K::KIND, name.namespace, name.name),
        PATIENCE,
    );
    let now = context.now();
    let Some(issuer) = shared.store.get(&reference(name, &context.group)) else {
        return Ok(Action::await_change());
    };
    if issuer.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let issuer = issuer.as_ref();
    let issuer_name = IssuerName {
        cluster: K::KIND == ClusterIssuer::KIND,
        name: name.name.clone(),
    };
    let key = (issuer_name, name.namespace.clone());
    let state = context.issuers.own_state(now, &key).await?;
    alive.beat();
    let (state, warnings) = super::account::roll(context, now, issuer, &key, state).await?;
    alive.beat();
    let (mut new, mut turns) = status(now, issuer, &state, &warnings);
    note_request(context, issuer, &state, &mut new.acme);
    // What an issuer of another kind once asked is not asked again.
    let due = context.issuers.account_due(&key);
    if let Some(due) = due.filter(|_| issuer.is_acme()) {
        turns = turns.min(due);
    }
    let old = issuer.status();
    if old.is_some_and(|old| *old == new) {
        return Ok(at(now, turns));
    }
    apply::status(&context.client, &context.group, issuer, &new)
        .await
        .map_err(|source| Error::Write {
            object: Object::of("status of issuer", issuer.meta()),
            source,
        })?;
    let before = old
        .and_then(|old| condition::find(&old.conditions, "Ready"))
        .map(|condition| condition.reason.as_str());
    if let State::NotReady(problem) = &state
        && before != Some(problem.reason)
    {
        warn!(
            reason = problem.reason,
            says = problem.message,
            "Issuer can't sign"
        );
        let about = issuer.object_ref(&context.group);
        let (reason, message) = (problem.reason, &problem.message);
        context.warn(now, about, reason, "Verify", message).await;
    }
    let about = issuer.object_ref(&context.group);
    super::account::tell(context, now, about, old, &new).await;
    Ok(at(now, turns))
}

/// The status that says this, and when it may have to say something else by the mere passing of time.
fn status<K: IssuerKind>(
    now: Timestamp,
    issuer: &K,
    state: &State,
    warnings: &Warnings,
) -> (IssuerStatus, Timestamp) {
    let mut turns = now.checked_add(MAX_LOOK_AGAIN).unwrap_or(now);
    turns = turns.min(warnings.again.unwrap_or(turns));
    let (status, reason, message) = match state {
        // Its own namespace it always serves.
        State::Missing | State::NotAllowed => (
            ConditionStatus::Unknown,
            "Pending",
            "It is not known yet.".to_owned(),
        ),
        State::NotReady(problem) => (
            ConditionStatus::False,
            problem.reason,
            problem.message.clone(),
        ),
        State::Ready(usable) => match &usable.facts.signer {
            Signer::SelfSigned => (
                ConditionStatus::True,
                "Ready",
                "Each certificate is signed by its own key.".to_owned(),
            ),
            Signer::Outside => (
                ConditionStatus::True,
                "ACMEAccountRegistered",
                account(usable)
                    .map(|account| format!("The CA knows the account {}.", account.url()))
                    .unwrap_or_default(),
            ),
            Signer::Authority(authority) => {
                let ca = authority.certificate();
                let expired = ca
                    .not_after
                    .checked_add(jiff::SignedDuration::from_secs(1))
                    .unwrap_or(ca.not_after);
                turns = turns.min(expired);
                (
                    ConditionStatus::True,
                    "KeyPairVerified",
                    format!("The CA can sign, and is valid until {}.", ca.not_after),
                )
            }
        },
    };
    let generation = issuer.meta().generation;
    let mut conditions: Vec<Condition> = issuer
        .status()
        .map(|status| status.conditions.clone())
        .unwrap_or_default();
    let condition = |type_: &str, status, reason: &str, message| Condition {
        type_: type_.to_owned(),
        status,
        observed_generation: generation,
        last_transition_time: Time(now),
        reason: reason.to_owned(),
        message,
    };
    let said = warnings.conditions.iter().map(|(type_, problem)| {
        let message = problem.message.clone();
        condition(type_, ConditionStatus::True, problem.reason, message)
    });
    let said: Vec<_> = [condition("Ready", status, reason, message)]
        .into_iter()
        .chain(said)
        .collect();
    conditions.retain(|held| said.iter().any(|said| said.type_ == held.type_));
    for said in said {
        condition::set(&mut conditions, said);
    }
    let new = IssuerStatus {
        observed_generation: generation,
        conditions,
        acme: match state {
            State::Ready(usable) => account(usable).map(|account| account.status().clone()),
            // What was known stays while the CA can't be asked.
            State::NotReady(_) if issuer.is_acme() => {
                issuer.status().and_then(|status| status.acme.clone())
            }
            _ => None,
        },
    };
    (new, turns)
}

/// The account of an ACME issuer.
pub(super) fn account(usable: &Usable) -> Option<&Account> {
    match &usable.issuer {
        AnyIssuer::Acme(issuer) => Some(issuer.account()),
        AnyIssuer::SelfSigned(_) | AnyIssuer::Ca(_) => None,
    }
}
