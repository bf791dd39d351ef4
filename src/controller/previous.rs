//! The pair before: kept while it may have to come back, and put back where workloads refuse the new one.

use certwright_core::plan::held_back::{self, Kept, Stays};
use certwright_core::plan::intent::Contents;
use certwright_core::plan::observed::Stored;
use certwright_core::plan::status::Outcome;
use certwright_core::plan::{Observed, Plan, Previous, Undoes, previous};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Resource as _;
use tracing::{info, warn};

use super::Context;
use super::act::{Acted, Attempt};
use super::certificate::Thought;
use super::gather::Gathered;
use crate::cluster::events::Kind;
use crate::cluster::secrets::Named;
use crate::cluster::{apply, new_secret};
use crate::error::Error;

/// What was kept and may come back.
pub(super) struct Found {
    secret: Secret,
    observed: Observed,
    stored: Stored,
}

/// Takes away what is kept, where that is not wanted any more or can't come back any more.
///
/// # Errors
/// When the API server can't be asked, or refuses.
pub(super) async fn tidy(
    context: &Context,
    now: Timestamp,
    gathered: &mut Gathered,
) -> Result<(), Error> {
    let certificate = &gathered.certificate;
    let status = certificate.status.as_ref();
    let told = status.and_then(|status| status.previous.as_ref());
    if certificate.spec.rolls_back() {
        match told.map(|told| told.usable_until.0) {
            None => return Ok(()),
            Some(until) if until > now => {
                gathered.look_again_at(until);
                return Ok(());
            }
            Some(_) => {}
        }
    } else if told.is_none() && context.secrets.version(&place_of(gathered)).is_none() {
        return Ok(());
    }
    if let Some(kept) = kept(context, gathered).await? {
        new_secret::remove(&context.client, &kept).await?;
        info!("Removed the pair before, which can't come back");
    }
    gathered.heard.previous = Previous::Nothing;
    Ok(())
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
    held_back::may_return(now, &inputs, &thought.assessment, kept)?;
    Ok(Found {
        secret,
        observed,
        stored,
    })
}

/// The Secret that keeps the pair before, read live, if it is ours.
async fn kept(context: &Context, gathered: &Gathered) -> Result<Option<Secret>, Error> {
    let found = context.secrets.read(&place_of(gathered)).await?;
    Ok(found.filter(|secret| is_ours(context, gathered, secret)))
}

/// Whether it is the one that keeps this Certificate's pair before.
fn is_ours(context: &Context, gathered: &Gathered, secret: &Secret) -> bool {
    let metadata = &gathered.certificate.metadata;
    let name = metadata.name.as_deref().unwrap_or_default();
    let uid = metadata.uid.as_deref().unwrap_or_default();
    previous::is_of(secret, &context.group, name, uid)
}

fn place_of(gathered: &Gathered) -> Named {
    let metadata = &gathered.certificate.metadata;
    let uid = metadata.uid.as_deref().unwrap_or_default();
    Named::new(&gathered.target.namespace, previous::name(uid))
}

impl Attempt<'_> {
    /// Keeps the pair that is about to be replaced, if it may have to come back; else takes away what was kept before it.
    ///
    /// Where it can't be kept for good, that is told, and the new one is stored all the same.
    pub(super) async fn keep_previous(&self) -> Result<Previous, Error> {
        let Self {
            context, gathered, ..
        } = self;
        if !gathered.certificate.spec.rolls_back() || gathered.secret.is_none() {
            return Ok(Previous::AsTold);
        }
        let inputs = gathered.inputs(context);
        let worth = held_back::worth_keeping(self.now, &inputs, self.assessment);
        let place = place_of(gathered);
        let there = match context.secrets.version(&place) {
            Some(_) => context.secrets.read(&place).await?,
            None => None,
        };
        let ours = there
            .as_ref()
            .filter(|secret| is_ours(context, gathered, secret));
        let Some(told) = worth else {
            if let Some(ours) = ours {
                new_secret::remove(&context.client, ours).await?;
            }
            return Ok(Previous::Nothing);
        };
        if there.is_some() && ours.is_none() {
            let problem = format!("there is a Secret {} that is not ours", place.name);
            return Ok(self.could_not_keep(&problem).await);
        }
        let held = gathered.live(context).await?;
        if ours.is_some_and(|ours| ours.data == Some(previous::pair(&held))) {
            return Ok(Previous::Kept(told));
        }
        let wanted = previous::keeping(&context.group, &gathered.certificate, &held);
        let stored = apply::own_secret(&context.client, &context.group, ours, &wanted).await;
        match stored {
            Ok(()) => Ok(Previous::Kept(told)),
            Err(problem) => {
                let Some(refusal) = problem.refusal() else {
                    return Err(problem);
                };
                // The one that is kept is not the one before any more.
                if let Some(ours) = ours {
                    new_secret::remove(&context.client, ours).await?;
                }
                Ok(self.could_not_keep(&refusal).await)
            }
        }
    }

    async fn could_not_keep(&self, problem: &str) -> Previous {
        let note = format!(
            "The pair that is replaced is not kept, so that it can't come back if workloads refuse the new one: {problem}"
        );
        warn!(problem, "Did not keep the pair before");
        let about = self.gathered.certificate.object_ref(&self.context.group);
        let events = &self.context.events;
        events
            .publish(
                self.now,
                about,
                Kind::Warning,
                "PreviousNotKept",
                "Keep",
                &note,
            )
            .await;
        Previous::Nothing
    }

    /// Puts the pair before back.
    pub(super) async fn restore(&self, found: Found) -> Result<Acted, Error> {
        let Self {
            context, gathered, ..
        } = self;
        let inputs = gathered.inputs(context);
        let Found {
            secret,
            observed,
            stored,
        } = found;
        let (Some(leaf), Some(key)) = (stored.chain.first(), stored.key) else {
            return Ok(Acted::nothing());
        };
        let marks = held_back::marks(self.now, &inputs, self.assessment, (&observed, leaf));
        let Some(marks) = marks else {
            return Ok(Acted::nothing());
        };
        let contents = Contents {
            key,
            chain: stored.chain.iter().map(|facts| facts.der.clone()).collect(),
            ca: stored.ca.iter().map(|facts| facts.der.clone()).collect(),
        };
        let mut acted = self.write(leaf, &marks, &contents).await?;
        if acted.secret.is_some() {
            acted.outcome = Outcome::Done(Undoes::Nothing);
            acted.previous = Previous::Nothing;
            // It is held now. What can't be removed is kept as it is, and replaced by the next.
            if let Err(problem) = new_secret::remove(&context.client, &secret).await {
                warn!(
                    problem = problem.told(),
                    "Could not remove the pair before, which is held again"
                );
            }
        }
        Ok(acted)
    }
}
