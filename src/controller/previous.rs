//! The pair before: kept while it may have to come back, and put back where workloads refuse the new one.

use certwright_core::api::certificate::PreviousStatus;
use certwright_core::plan::held_back::{self, Kept, Stays};
use certwright_core::plan::observed::Stored;
use certwright_core::plan::{Observed, Plan, contents, previous};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::Resource as _;
use tracing::warn;

use super::Context;
use super::act::{Acted, Attempt};
use super::certificate::Thought;
use super::gather::Gathered;
use crate::cluster::events::Kind;
use crate::cluster::secrets::Named;
use crate::cluster::{apply, new_secret};
use crate::error::Error;

/// How soon it is tried again to remove what could not be removed.
const A_MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// What was kept and may come back.
pub(super) struct Found {
    observed: Observed,
    stored: Stored,
}

/// Takes away what is kept, where that is not wanted any more, can't come back any more, or has. What can't be taken away now
/// is not put back either, and is looked for again.
pub(super) async fn tidy(context: &Context, now: Timestamp, gathered: &mut Gathered) {
    if let Some(previous) = gathered.inputs(context).previous(now) {
        let until = previous.usable_until.0;
        gathered.look_again_at(until);
        return;
    }
    if context.secrets.version(&place_of(gathered)).is_none() {
        return;
    }
    let removed = async {
        match kept(context, gathered).await? {
            Some(kept) => new_secret::remove(&context.client, &kept).await,
            None => Ok(()),
        }
    };
    if let Err(problem) = removed.await {
        warn!(
            problem = problem.told(),
            "Could not remove a pair that can't come back"
        );
        if let Ok(soon) = now.checked_add(A_MINUTE) {
            gathered.look_again_at(soon);
        }
    }
}

/// Looks for what is to be put back, if that is planned.
///
/// # Errors
/// When the API server can't be asked; within, why there is nothing that may be put back.
pub(super) async fn find(
    context: &Context,
    now: Timestamp,
    gathered: &Gathered,
    thought: &Thought,
) -> Result<Option<Result<Found, Stays>>, Error> {
    if thought.plan != Plan::Restore {
        return Ok(None);
    }
    let kept = kept(context, gathered).await?;
    let found = kept.ok_or(Stays::NothingKept);
    Ok(Some(found.and_then(|secret| {
        fit(context, now, gathered, thought, secret)
    })))
}

fn fit(
    context: &Context,
    now: Timestamp,
    gathered: &Gathered,
    thought: &Thought,
    secret: Secret,
) -> Result<Found, Stays> {
    let (observed, stored) = Observed::with_contents(&secret, &context.group);
    let key = stored.key.as_ref().ok_or(Stays::NothingKept)?;
    let issuer = observed.issuer(&context.group);
    let kept = Kept {
        key: key.public(),
        chain: &stored.chain,
        issuer: issuer.as_ref(),
    };
    let inputs = gathered.inputs(context);
    let leaf = stored.chain.first().ok_or(Stays::NothingKept)?;
    if !held_back::is_the_one_before(now, &inputs, leaf) {
        return Err(Stays::NothingKept);
    }
    held_back::may_return(now, &inputs, &thought.assessment, kept)?;
    Ok(Found { observed, stored })
}

/// The Secret that keeps the pair before, read live, if it is ours.
async fn kept(context: &Context, gathered: &Gathered) -> Result<Option<Secret>, Error> {
    let found = context.secrets.read(&place_of(gathered)).await?;
    Ok(found.filter(|secret| is_ours(context, gathered, secret)))
}

/// Whether it is the one that keeps this Certificate's pair before.
fn is_ours(context: &Context, gathered: &Gathered, secret: &Secret) -> bool {
    let owner = gathered.owner();
    previous::is_of(secret, &context.group, &owner.name, &owner.uid)
}

fn place_of(gathered: &Gathered) -> Named {
    let owner = gathered.owner();
    Named::new(owner.namespace, previous::name(&owner.uid))
}

impl Attempt<'_> {
    /// Keeps the pair that is about to be replaced, if it may have to come back; what is to be told of it then.
    ///
    /// Where the API server refuses to keep it, that is told, and the new one is stored all the same.
    pub(super) async fn keep_previous(&self) -> Result<Option<PreviousStatus>, Error> {
        let Self {
            context, gathered, ..
        } = self;
        let inputs = gathered.inputs(context);
        let worth = held_back::worth_keeping(self.now, &inputs, self.assessment);
        let wanted = gathered.certificate.spec.rolls_back();
        let Some(told) = worth.filter(|_| wanted && gathered.secret.is_some()) else {
            return Ok(None);
        };
        let place = place_of(gathered);
        let there = context.secrets.read(&place).await?;
        let was = there.as_ref();
        if was.is_some_and(|secret| !is_ours(context, gathered, secret)) {
            let problem = format!("there is a Secret {} that is not ours", place.name);
            self.could_not_keep(&problem).await;
            return Ok(None);
        }
        let held = gathered.live(context).await?;
        if was.is_some_and(|was| was.data == Some(previous::pair(&held))) {
            return Ok(Some(told));
        }
        let wanted = previous::keeping(&context.group, &gathered.certificate, &held);
        match apply::own_secret(&context.client, &context.group, was, &wanted).await {
            Ok(()) => Ok(Some(told)),
            Err(problem) => {
                let refusal = problem.refusal().ok_or(problem)?;
                self.could_not_keep(&refusal).await;
                Ok(None)
            }
        }
    }

    async fn could_not_keep(&self, problem: &str) {
        let note = format!(
            "The pair that is replaced is not kept, so that it can't come back if workloads refuse the new one: {problem}"
        );
        warn!(problem, "Did not keep the pair before");
        let about = self.gathered.certificate.object_ref(&self.context.group);
        let events = &self.context.events;
        let reason = "PreviousNotKept";
        events
            .publish(self.now, about, Kind::Warning, reason, "Keep", &note)
            .await;
    }

    /// Puts the pair before back.
    pub(super) async fn restore(&self, found: Found) -> Result<Acted, Error> {
        let Self {
            context, gathered, ..
        } = self;
        let inputs = gathered.inputs(context);
        let Found { observed, stored } = found;
        let Some(leaf) = stored.chain.first().cloned() else {
            return Ok(Acted::nothing());
        };
        let marks = held_back::marks(self.now, &inputs, self.assessment, (&observed, &leaf));
        match (marks, contents::unchanged(stored)) {
            (Some(marks), Some(contents)) => self.write(&leaf, &marks, &contents).await,
            // It was found fit just before.
            _ => Ok(Acted::nothing()),
        }
    }
}
