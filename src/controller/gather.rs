//! Everything a plan depends on, read from what the watches hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use certwright_core::api::Certificate;
use certwright_core::api::certificate::OrderStatus;
use certwright_core::http01::Owner;
use certwright_core::plan::fallback;
use certwright_core::plan::observed::{Observed, Stored};
use certwright_core::plan::request::IssuerName;
use certwright_core::plan::{
    Fallback, Heard, HeldOrder, Inputs, IssuerState, OldLeaves, Signer, Suggestion, Turn, claim,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use super::Context;
use crate::cluster::secrets::{IssuerKey, Named};
use crate::error::{CallError, Error, Object};
use crate::health::Heartbeat;
use crate::issuer::{AnyIssuer, State, Usable};

/// Everything a plan depends on.
pub(super) struct Gathered {
    pub(super) certificate: Arc<Certificate>,
    /// The name of its Secret.
    pub(super) target: Named,
    pub(super) secret: Option<Arc<Observed>>,
    owner: Option<String>,
    /// Whose turn it is to sign.
    turn: Turn,
    /// How that issuer stands.
    issuer: State,
    /// Who signed what is held, and how that one stands, where that is another.
    holder: Option<(IssuerName, State)>,
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
        alive: &Heartbeat,
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
        let (turn, issuer) = turn(context, now, &certificate, alive).await?;
        let mut gathered = Self {
            certificate,
            target,
            secret,
            owner,
            turn,
            issuer,
            holder: None,
            old_leaves: OldLeaves::Held,
            heard: Heard::default(),
            look_again: None,
        };
        gathered.find_holder(context, now).await?;
        if gathered.order().is_none()
            && let Some(order) = context.untold.of(&gathered.certificate)
        {
            gathered.heard.order = HeldOrder::NotTold(order);
        }
        if let Some(AnyIssuer::Acme(acme)) = gathered.signer().map(|usable| &usable.issuer)
            && !acme.asks_renewal_information()
        {
            gathered.heard.suggestion = Suggestion::Nothing;
        }
        gathered.old_leaves = gathered.old_leaves(context, now);
        Ok(gathered)
    }

    /// Takes note of what was just written.
    ///
    /// # Errors
    /// When the Secret of an issuer can't be read just now.
    pub(super) async fn wrote(
        &mut self,
        context: &Context,
        now: Timestamp,
        secret: &Arc<Observed>,
    ) -> Result<(), Error> {
        self.secret = Some(Arc::clone(secret));
        self.find_holder(context, now).await?;
        self.old_leaves = self.old_leaves(context, now);
        // It was said of the certificate before.
        self.heard.suggestion = Suggestion::AsTold;
        self.heard.order = HeldOrder::Ended;
        Ok(())
    }

    /// Finds out who signed what is held.
    async fn find_holder(&mut self, context: &Context, now: Timestamp) -> Result<(), Error> {
        let certificate = &self.certificate;
        let place = fallback::holder(certificate, self.secret.as_deref(), &context.group);
        self.holder = None;
        if place != self.turn.place
            && let Some(name) = fallback::candidates(&certificate.spec).get(place)
        {
            let state = context.issuers.state(now, &self.target.namespace, name);
            self.holder = Some((name.clone(), state.await?));
        }
        Ok(())
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
        let live = self.live(context).await?;
        Ok(Observed::with_contents(&live, &context.group).1)
    }

    /// The Secret that was read, whole and live.
    ///
    /// # Errors
    /// When it is another by now, or the API server fails.
    pub(super) async fn live(&self, context: &Context) -> Result<Secret, Error> {
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
        Ok(live)
    }

    /// What was read, for planning.
    pub(super) fn inputs<'a>(&'a self, context: &'a Context) -> Inputs<'a> {
        Inputs {
            group: &context.group,
            certificate: &self.certificate,
            secret: self.secret.as_deref(),
            owner: self.owner.as_deref(),
            issuer: standing(&self.issuer),
            fallback: (!self.certificate.spec.fallback_issuer_refs.is_empty()).then(|| Fallback {
                turn: &self.turn,
                holder: self.holder().0,
                holder_state: standing(self.holder().1),
            }),
            old_leaves: self.old_leaves,
            heard: &self.heard,
            settings: &context.settings,
        }
    }

    /// The issuer that is asked, if it can sign.
    pub(super) fn usable(&self) -> Option<&Usable> {
        usable(&self.issuer)
    }

    /// The issuer that signed what is held, if it can be asked.
    pub(super) fn signer(&self) -> Option<&Usable> {
        usable(self.holder().1)
    }

    /// Whose the objects are that are made for this Certificate.
    pub(super) fn owner(&self) -> Owner {
        let metadata = &self.certificate.metadata;
        Owner {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
        }
    }

    /// Whose turn it is to sign.
    pub(super) fn turn(&self) -> &Turn {
        &self.turn
    }

    /// The issuer that is asked, if that is a fallback.
    pub(super) fn fallback_asked(&self) -> Option<&IssuerName> {
        (self.turn.place > 0).then_some(&self.turn.issuer)
    }

    /// The issuer that is asked, with its namespace.
    pub(super) fn asked(&self) -> IssuerKey {
        self.key_of(self.turn.issuer.clone())
    }

    fn key_of(&self, issuer: IssuerName) -> IssuerKey {
        key(&self.certificate, issuer)
    }

    /// The issuer that signed what is held.
    fn holder(&self) -> (&IssuerName, &State) {
        let holder = self.holder.as_ref();
        holder.map_or((&self.turn.issuer, &self.issuer), |(name, state)| {
            (name, state)
        })
    }

    /// What an unfinished issuance holds outside the cluster.
    pub(super) fn order(&self) -> Option<&OrderStatus> {
        self.heard.order.of(&self.certificate)
    }

    /// Whether Secrets of this issuer still hold older certificates. Only asked while this one keeps an older root.
    fn old_leaves(&self, context: &Context, now: Timestamp) -> OldLeaves {
        let keeps = |secret: &Arc<Observed>| secret.marks.ca_replaced_at.is_some();
        if !self.secret.as_ref().is_some_and(keeps) {
            return OldLeaves::Held;
        }
        let (holder, state) = self.holder();
        let Some(Signer::Authority(authority)) = usable(state).map(|usable| &usable.facts.signer)
        else {
            return OldLeaves::Held;
        };
        let holder = self.key_of(holder.clone());
        context.secrets.old_leaves(now, &holder, authority)
    }
}

/// Whose turn it is to sign, and how that issuer stands. Where a turn is over, it passes to the next issuer that can
/// sign; only then the others are looked at.
async fn turn(
    context: &Context,
    now: Timestamp,
    certificate: &Certificate,
    alive: &Heartbeat,
) -> Result<(Turn, State), Error> {
    let namespace = certificate.metadata.namespace.as_deref();
    let namespace = namespace.unwrap_or_default();
    let state = async |issuer: &IssuerName| context.issuers.state(now, namespace, issuer).await;
    let mut turn = Turn::of(certificate);
    let asked = state(&turn.issuer).await?;
    if !turn.is_over(now, certificate) {
        return Ok((turn, asked));
    }
    for (place, issuer) in turn.others(&certificate.spec) {
        // The CA of each may be asked.
        alive.beat();
        let other = state(&issuer).await?;
        if usable(&other).is_some() {
            let next = turn.passes_to((place, issuer), certificate, standing(&asked));
            return Ok((next, other));
        }
    }
    turn.overdue = true;
    Ok((turn, asked))
}

fn usable(state: &State) -> Option<&Usable> {
    match state {
        State::Ready(usable) => Some(usable),
        State::Missing | State::NotReady(_) | State::NotAllowed => None,
    }
}

/// The same, for planning.
fn standing(state: &State) -> IssuerState<'_> {
    match state {
        State::Missing => IssuerState::Missing,
        State::NotReady(problem) => IssuerState::NotReady {
            reason: problem.reason,
            message: &problem.message,
        },
        State::NotAllowed => IssuerState::NotAllowed,
        State::Ready(usable) => IssuerState::Ready(&usable.facts),
    }
}

/// The issuer that is asked for a Certificate, or would be, with its namespace: as its status says of whose turn it is.
pub fn issuer_key(certificate: &Certificate) -> IssuerKey {
    key(certificate, fallback::asked(certificate))
}

/// All issuers that a Certificate names.
pub(super) fn issuer_keys(certificate: &Certificate) -> BTreeSet<IssuerKey> {
    let all = fallback::candidates(&certificate.spec).into_iter();
    all.map(|issuer| key(certificate, issuer)).collect()
}

fn key(certificate: &Certificate, issuer: IssuerName) -> IssuerKey {
    let namespace = certificate.metadata.namespace.clone();
    let namespace = namespace.filter(|_| !issuer.cluster).unwrap_or_default();
    (issuer, namespace)
}
