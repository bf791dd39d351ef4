//! An issuance outside the cluster: one step at each reconcile, and what has to be stored before it.

use std::collections::BTreeSet;

use certwright_core::acme::limits::{self, Event};
use certwright_core::acme::order::identifiers;
use certwright_core::acme::wire::Identifier;
use certwright_core::api::Certificate;
use certwright_core::api::certificate::OrderStatus;
use certwright_core::http01::Owner;
use certwright_core::pki::csr::Csr;
use certwright_core::pki::{Facts, KeySpec, PrivateKey};
use certwright_core::plan::intent::{self, Contents};
use certwright_core::plan::status::{Failure, Outcome, Pace};
use certwright_core::plan::{AbandonReason, HeldOrder, IssueReason, Request, next_key, request};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use tracing::{info, warn};

use super::act::{Acted, Attempt};
use crate::cluster::new_secret::{self, NewSecret};
use crate::cluster::secrets::Named;
use crate::error::{CallError, Error, Object};
use crate::issuer::AcmeIssuer;
use crate::issuer::acme::{Asked, Progress, StepFailure};

/// Where the key of the next certificate is.
struct NextKey {
    key: PrivateKey,
    /// The Secret that holds nothing else; `None` if it is the one of the certificate itself.
    kept: Option<Secret>,
}

impl Attempt<'_> {
    /// Takes the next step of an issuance, or the first one.
    pub(super) async fn go_on_outside(
        &self,
        issuer: &AcmeIssuer,
        order: Option<&OrderStatus>,
    ) -> Result<Acted, Error> {
        if let HeldOrder::NotTold(order) = &self.gathered.heard.order {
            // Nobody answers for what no status tells of.
            return Ok(Acted::of(Outcome::UnderWay(order.clone())));
        }
        let Some(request) = &self.assessment.request else {
            return Ok(Acted::nothing());
        };
        let identifiers = match identifiers(&request.profile) {
            Ok(identifiers) => identifiers,
            Err(problem) => {
                return Ok(refused("NotForACME", format!("{problem}.")));
            }
        };
        if order.is_none() {
            self.is_still_so().await?;
        }
        let next = match self.next_key(request.profile.key).await? {
            Ok(next) => next,
            Err(message) => {
                return Ok(Acted::failed("KeyGenerationFailed", message).holding(order));
            }
        };
        let csr = match Csr::new(&request.profile, &next.key) {
            Ok(csr) => csr,
            Err(problem) => {
                return Ok(refused(
                    "RequestFailed",
                    format!("The request could not be signed: {problem}."),
                ));
            }
        };
        let owner = self.gathered.owner();
        let replaces = match order {
            None => self.replaces(issuer, &identifiers).await,
            Some(_) => None,
        };
        let mut asked = self.asked(request, &owner, &identifiers, &csr);
        asked.replaces = replaces.as_deref();
        asked.held = self.ordered_before(issuer);
        self.remember(issuer);
        let Some(order) = order else {
            let begun = issuer.begin(&asked, &self.context.ways).await;
            return Ok(match begun {
                Ok(order) => Acted::of(Outcome::UnderWay(order)),
                Err(failure) => self.failed(failure, None),
            });
        };
        let step = issuer.go_on(&asked, &self.context.ways, order).await?;
        let issued = match step {
            Ok(Progress::UnderWay(order)) => return Ok(Acted::of(Outcome::UnderWay(order))),
            Ok(Progress::Issued(issued)) => issued,
            Err(failure) => {
                let is_over = !failure.keeps_order;
                let mut acted = self.failed(failure, Some(order));
                acted.left_over = is_over && !self.clean_up().await;
                return Ok(acted);
            }
        };
        let leaf = match self.check(&next.key, &issued) {
            Ok(leaf) => leaf,
            Err(problem) => {
                let message = format!("The CA gave something that must not be used: {problem}.");
                let mut acted = refused("BadCertificate", message);
                acted.left_over = !self.clean_up().await;
                return Ok(acted);
            }
        };
        let contents = Contents {
            key: next.key,
            chain: issued.chain,
            ca: issued.ca.into_iter().collect(),
        };
        let mut acted = self.store(leaf, &contents).await?;
        if acted.issued.is_some() {
            acted.left_over = !self.done(next.kept).await;
        }
        Ok(acted)
    }

    /// Gives up an issuance, and undoes what was set up for it.
    pub(super) async fn give_up(&self, why: AbandonReason) -> Result<Acted, Error> {
        if why == AbandonReason::NothingToIssue {
            self.drop_next_key().await?;
        }
        let mut acted = Acted::of(Outcome::Abandoned);
        acted.left_over = !self.clean_up().await;
        info!(because = why.clause(), "Gave up an order");
        Ok(acted)
    }

    /// A certificate was signed inside the cluster: the key that was kept for one from outside goes, if the watch shows one.
    /// Whether none is left.
    pub(super) async fn needs_no_next_key(&self) -> bool {
        let seen = self
            .context
            .secrets
            .version(&next_key_of(&self.gathered.owner()));
        seen.is_none() || is_gone(self.drop_next_key().await)
    }

    /// Deletes the key of a next certificate that there won't be.
    async fn drop_next_key(&self) -> Result<(), Error> {
        let owner = self.gathered.owner();
        let place = next_key_of(&owner);
        match self.context.secrets.read(&place).await? {
            Some(kept) if next_key::is_of(&kept, &self.context.group, &owner.name, &owner.uid) => {
                new_secret::remove(&self.context.client, &kept).await
            }
            _ => Ok(()),
        }
    }

    fn asked<'a>(
        &'a self,
        request: &'a Request,
        owner: &'a Owner,
        identifiers: &'a BTreeSet<Identifier>,
        csr: &'a Csr,
    ) -> Asked<'a> {
        static NONE: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
        let labels = self.gathered.certificate.metadata.labels.as_ref();
        Asked {
            now: self.now,
            owner,
            labels: labels.unwrap_or(&NONE),
            identifiers,
            csr: &csr.0,
            attempted: &self.assessment.attempted,
            last_failure: self.last_failure(),
            lifetime: SignedDuration::from_secs(request.profile.lifetime_seconds),
            replaces: None,
            held: None,
            life_left: self.assessment.held.as_ref().map(|held| {
                // What is revoked, or is about to be, has none left.
                if self.assessment.revoked || self.assessment.reason == Some(IssueReason::Suggested)
                {
                    return 0.0;
                }
                let span = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64();
                span(self.now, held.not_after) / span(held.not_before, held.not_after)
            }),
        }
    }

    /// Why the same was tried before in vain.
    fn last_failure(&self) -> Option<&str> {
        let status = self.gathered.certificate.status.as_ref()?;
        let failure = status.last_failure.as_ref()?;
        (failure.attempted == self.assessment.attempted).then_some(failure.reason.as_str())
    }

    /// The held certificate as its CA knows it, where this account ordered it and the new one is for one of its names at
    /// least: what else would be said to be replaced, CAs refuse (RFC 9773 section 5).
    async fn replaces(
        &self,
        issuer: &AcmeIssuer,
        identifiers: &BTreeSet<Identifier>,
    ) -> Option<String> {
        let held = self.assessment.held.as_ref()?;
        if !identifiers.iter().any(|one| one.is_in(held)) {
            return None;
        }
        let marks = &self.gathered.secret.as_ref()?.marks;
        issuer.renewal_id(held, marks.account.as_deref()).await
    }

    /// The held certificate, where this account ordered it.
    fn ordered_before(&self, issuer: &AcmeIssuer) -> Option<&Facts> {
        let marks = &self.gathered.secret.as_ref()?.marks;
        let ours = marks.account.as_deref() == Some(issuer.account().url());
        self.assessment.held.as_ref().filter(|_| ours)
    }

    /// Has an account's budget know what statuses tell of its past.
    fn remember(&self, issuer: &AcmeIssuer) {
        let key = self.gathered.asked();
        issuer.account().budget().remember(&key, || {
            let certificates = &self.context.certificates;
            let known = certificates.of_issuer(&key);
            let known = known.iter().filter_map(|name| certificates.get(name));
            known
                .flat_map(|certificate| past(self.now, &certificate))
                .collect()
        });
    }

    fn failed(&self, failure: StepFailure, order: Option<&OrderStatus>) -> Acted {
        if failure.account_gone {
            self.context.lost_account(self.gathered.asked());
        }
        Acted::of(Outcome::Failed(Failure {
            reason: failure.reason,
            message: failure.message,
            pace: failure.pace,
            order: order.filter(|_| failure.keeps_order).cloned(),
        }))
    }

    /// An order can't be taken back: what it is made for is looked at live.
    async fn is_still_so(&self) -> Result<(), Error> {
        let seen = &self.gathered.certificate;
        let live = super::certificate::live(self.context, seen).await?;
        let same = live.as_ref().is_some_and(|live| {
            let ordered = live
                .status
                .as_ref()
                .is_some_and(|status| status.order.is_some());
            live.metadata.generation == seen.metadata.generation && !ordered
        });
        // Only writes to the API server are kept from a replica that lost the lead.
        if same && self.context.leadership.leads() {
            return Ok(());
        }
        Err(Error::Read {
            object: Object::of("Certificate", &seen.metadata),
            source: CallError::Changed,
        })
    }

    /// The key of the next certificate, which is stored before anybody is asked to certify it.
    async fn next_key(&self, spec: KeySpec) -> Result<Result<NextKey, String>, Error> {
        let certificate = &self.gathered.certificate;
        if self.keeps_key() && self.gathered.secret.is_some() {
            let stored = self.stored().await?.key;
            if let Some(key) = stored.filter(|key| key.spec() == spec) {
                return Ok(Ok(NextKey { key, kept: None }));
            }
        }
        let owner = self.gathered.owner();
        let place = next_key_of(&owner);
        if let Some(kept) = self.context.secrets.read(&place).await? {
            // One that is held already was left by whoever stored it: the next certificate gets another.
            let held = self.assessment.held.as_ref();
            let is_next = |key: &PrivateKey| {
                key.spec() == spec && held.is_none_or(|held| held.public_key != *key.public())
            };
            if next_key::is_of(&kept, &self.context.group, &owner.name, &owner.uid)
                && let Some(key) = next_key::read(&kept).filter(is_next)
            {
                let kept = Some(kept);
                return Ok(Ok(NextKey { key, kept }));
            }
            if !next_key::is_of(&kept, &self.context.group, &owner.name, &owner.uid) {
                return Ok(Err(format!(
                    "Secret {} is not ours, and its name is that of the next private key. Delete it.",
                    place.name
                )));
            }
            new_secret::remove(&self.context.client, &kept).await?;
        }
        let key = match self.new_key(spec).await? {
            Ok(key) => key,
            Err(problem) => return Ok(Err(format!("No private key could be made: {problem}."))),
        };
        let reference = intent::owner(&self.context.group, certificate);
        let new =
            NewSecret::of_certificate(&owner.namespace, place.name, &owner.name, reference, &key);
        let kept = new_secret::create(&self.context.client, &self.context.group, new).await?;
        let kept = Some(kept);
        Ok(Ok(NextKey { key, kept }))
    }

    /// The certificate is stored: what was needed for it goes. Whether nothing is left.
    async fn done(&self, kept: Option<Secret>) -> bool {
        let is_clean = self.clean_up().await;
        let gone = match kept {
            Some(kept) => new_secret::remove(&self.context.client, &kept).await,
            None => Ok(()),
        };
        is_gone(gone) && is_clean
    }

    /// Takes away what was made for an order that is over. Whether nothing is left: what can't go now, the sweep comes back
    /// for, and what the order came to is told all the same.
    async fn clean_up(&self) -> bool {
        is_gone(match &self.context.ways.front_door {
            Some(front_door) => front_door.clean_up(&self.gathered.owner()).await,
            None => Ok(()),
        })
    }
}

/// Where the key of a Certificate's next certificate is kept.
fn next_key_of(owner: &Owner) -> Named {
    Named::new(&owner.namespace, next_key::name(&owner.uid))
}

fn is_gone(outcome: Result<(), Error>) -> bool {
    if let Err(problem) = &outcome {
        warn!(problem = problem.told(), "Something is left of an order");
    }
    outcome.is_ok()
}

/// What a Certificate's status tells of its account's past.
fn past(now: Timestamp, certificate: &Certificate) -> Vec<(Timestamp, Event)> {
    let Some(status) = &certificate.status else {
        return Vec::new();
    };
    // Names count only where something failed.
    let request = status
        .last_failure
        .as_ref()
        .and_then(|_| Request::of(&certificate.spec, request::VERSION).ok());
    let identifiers = request.and_then(|request| identifiers(&request.profile).ok());
    limits::past(now, status, &identifiers.unwrap_or_default())
}

/// A failure that comes again until the user does something.
fn refused(reason: &'static str, message: String) -> Acted {
    Acted::of(Outcome::Failed(Failure {
        pace: Pace::Refused,
        ..Failure::new(reason, message)
    }))
}
