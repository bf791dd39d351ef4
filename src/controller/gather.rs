//! Everything a plan depends on, read from what the watches hold.

use std::sync::Arc;

use certwright_core::api::Certificate;
use certwright_core::api::certificate::OrderStatus;
use certwright_core::plan::observed::{Observed, Stored};
use certwright_core::plan::request::IssuerName;
use certwright_core::plan::{Heard, Inputs, IssuerState, OldLeaves, Signer, Suggestion, claim};
use jiff::Timestamp;

use super::Context;
use crate::cluster::secrets::{IssuerKey, Named};
use crate::error::{CallError, Error, Object};
use crate::issuer::{AnyIssuer, State, Usable};

/// Everything a plan depends on.
pub(super) struct Gathered {
    pub(super) certificate: Arc<Certificate>,
    /// The name of its Secret.
    pub(super) target: Named,
    pub(super) secret: Option<Arc<Observed>>,
    owner: Option<String>,
    issuer: State,
    old_leaves: OldLeaves,
    /// What the CA said in this very step.
    pub(super) heard: Heard,
    /// When to look again because of what the CA is asked beside the plan.
    pub(super) look_again: Option<Timestamp>,
}

impl Gathered {
    /// Reads what planning for this Certificate needs.
    pub(super) async fn read(
        context: &Context,
        now: Timestamp,
        certificate: Arc<Certificate>,
    ) -> Result<Self, Error> {
        let namespace = certificate
            .metadata
            .namespace
            .as_deref()
            .unwrap_or_default();
        let target = Named::new(namespace, &certificate.spec.secret_name);
        let secret = context.secrets.find(&target).await?;
        let claimants = context.certificates.claimants(&target);
        let named = secret
            .as_ref()
            .and_then(|secret| secret.marks.certificate_name.as_deref());
        let owner = claim::owner(named, &claimants).map(str::to_owned);
        let issuer_name = issuer_name(&certificate);
        let issuer = context.issuers.state(now, namespace, &issuer_name).await?;
        let mut gathered = Self {
            certificate,
            target,
            secret,
            owner,
            issuer,
            old_leaves: OldLeaves::Held,
            heard: Heard::default(),
            look_again: None,
        };
        if let Some(AnyIssuer::Acme(acme)) = gathered.usable().map(|usable| &usable.issuer)
            && !acme.asks_renewal_information()
        {
            gathered.heard.suggestion = Suggestion::Nothing;
        }
        gathered.old_leaves = gathered.old_leaves(context, now);
        Ok(gathered)
    }

    /// Takes note of what was just written.
    pub(super) fn wrote(&mut self, context: &Context, now: Timestamp, secret: &Arc<Observed>) {
        self.secret = Some(Arc::clone(secret));
        self.old_leaves = self.old_leaves(context, now);
        // It was said of the certificate before.
        self.heard.suggestion = Suggestion::AsTold;
    }

    /// Has the shell look again by then.
    pub(super) fn look_again_at(&mut self, moment: Timestamp) {
        self.look_again = self
            .look_again
            .map_or(Some(moment), |at| Some(at.min(moment)));
    }

    /// Key and certificates of the Secret that was read, live.
    ///
    /// # Errors
    /// When it is another by now, or the API server fails.
    pub(super) async fn stored(&self, context: &Context) -> Result<Stored, Error> {
        let target = &self.target;
        let conflict = || {
            context.secrets.doubt(target);
            Error::Read {
                object: Object::new("Secret", &target.namespace, &target.name),
                source: CallError::Changed,
            }
        };
        let planned = self.secret.as_ref().ok_or_else(conflict)?;
        let live = context.secrets.read(target).await?.ok_or_else(conflict)?;
        if live.metadata.uid.as_deref() != Some(&planned.uid)
            || live.metadata.resource_version.as_deref() != Some(&planned.resource_version)
        {
            return Err(conflict());
        }
        Ok(Observed::with_contents(&live, &context.group).1)
    }

    /// What was read, for planning.
    pub(super) fn inputs<'a>(&'a self, context: &'a Context) -> Inputs<'a> {
        Inputs {
            group: &context.group,
            certificate: &self.certificate,
            secret: self.secret.as_deref(),
            owner: self.owner.as_deref(),
            issuer: match &self.issuer {
                State::Missing => IssuerState::Missing,
                State::NotReady(problem) => IssuerState::NotReady {
                    reason: problem.reason,
                    message: &problem.message,
                },
                State::Ready(usable) => IssuerState::Ready(&usable.facts),
            },
            old_leaves: self.old_leaves,
            heard: &self.heard,
            settings: &context.settings,
        }
    }

    /// The issuer, if it can sign.
    pub(super) fn usable(&self) -> Option<&Usable> {
        match &self.issuer {
            State::Ready(usable) => Some(usable),
            _ => None,
        }
    }

    /// What an unfinished issuance holds outside the cluster.
    pub(super) fn order(&self) -> Option<&OrderStatus> {
        self.certificate.status.as_ref()?.order.as_ref()
    }

    /// Whether Secrets of this issuer still hold older certificates. Only asked while this one keeps an older root.
    fn old_leaves(&self, context: &Context, now: Timestamp) -> OldLeaves {
        let keeps = |secret: &Arc<Observed>| secret.marks.ca_replaced_at.is_some();
        if !self.secret.as_ref().is_some_and(keeps) {
            return OldLeaves::Held;
        }
        let Some(Signer::Authority(authority)) = self.usable().map(|usable| &usable.facts.signer)
        else {
            return OldLeaves::Held;
        };
        context
            .secrets
            .old_leaves(now, &issuer_key(&self.certificate), authority)
    }
}

/// Whom a Certificate names as its issuer.
fn issuer_name(certificate: &Certificate) -> IssuerName {
    IssuerName {
        cluster: certificate.spec.issuer_kind() == "ClusterIssuer",
        name: certificate.spec.issuer_ref.name.clone(),
    }
}

/// The same, with its namespace.
pub fn issuer_key(certificate: &Certificate) -> IssuerKey {
    let issuer = issuer_name(certificate);
    let namespace = certificate.metadata.namespace.clone();
    let namespace = namespace.filter(|_| !issuer.cluster).unwrap_or_default();
    (issuer, namespace)
}
