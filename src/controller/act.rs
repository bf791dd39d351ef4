//! Doing what was planned.

use std::pin::pin;
use std::sync::Arc;

use certwright_core::api::certificate::{OrderStatus, RotationPolicy};
use certwright_core::pki::chain::{self, PairProblem};
use certwright_core::pki::csr::Csr;
use certwright_core::pki::{CertificateDer, Facts, KeySpec, PrivateKey};
use certwright_core::plan::intent::{Contents, Metadata};
use certwright_core::plan::marks::Marks;
use certwright_core::plan::observed::{Observed, Stored};
use certwright_core::plan::status::{Failure, Outcome};
use certwright_core::plan::{Assessment, IssueReason, Plan, Signer, Undoes, contents};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use super::certificate::Thought;
use super::gather::Gathered;
use super::previous::Found;
use super::{Context, PATIENCE};
use crate::cluster::apply;
use crate::error::Error;
use crate::health::Heartbeat;
use crate::issuer::{AcmeIssuer, AnyIssuer, Issued, Issuer, Request};

/// What acting came to.
pub(super) struct Acted {
    pub(super) outcome: Outcome,
    /// The Secret as it was written.
    pub(super) secret: Option<Arc<Observed>>,
    /// The certificate that was issued.
    pub(super) issued: Option<Facts>,
    /// Whether something of an order that is over could not be taken away.
    pub(super) left_over: bool,
}

impl Acted {
    pub(super) fn nothing() -> Self {
        Self::of(Outcome::Nothing)
    }

    pub(super) fn failed(reason: &'static str, message: String) -> Self {
        Self::of(Outcome::Failed(Failure::new(reason, message)))
    }

    /// What failed was none of the CA's: an issuance that is under way is gone on with after the hold-off.
    pub(super) fn holding(mut self, order: Option<&OrderStatus>) -> Self {
        if let Outcome::Failed(failure) = &mut self.outcome {
            failure.order = order.cloned();
        }
        self
    }

    /// Nothing was written to the Secret.
    pub(super) fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            secret: None,
            issued: None,
            left_over: false,
        }
    }
}

/// Does what was planned: at most one write, to the Secret; where the pair in it may have to come back, one before it. `found` is
/// what is to be put back, if that is planned.
pub(super) async fn act(
    context: &Context,
    now: Timestamp,
    alive: &Heartbeat,
    gathered: &Gathered,
    Thought { assessment, plan }: &Thought,
    found: Option<Found>,
) -> Result<Acted, Error> {
    let attempt = |undoes| Attempt {
        context,
        now,
        alive,
        gathered,
        assessment,
        undoes,
    };
    match plan {
        Plan::Issue { undoes, .. } => match gathered.usable().map(|usable| &usable.issuer) {
            Some(AnyIssuer::SelfSigned(issuer)) => attempt(undoes).issue(issuer).await,
            Some(AnyIssuer::Ca(issuer)) => attempt(undoes).issue(issuer).await,
            Some(AnyIssuer::Acme(issuer)) => attempt(undoes).go_on_outside(issuer, None).await,
            None => Ok(Acted::nothing()),
        },
        Plan::Continue {
            not_before: None,
            undoes,
            ..
        } => match (
            gathered.usable().map(|usable| &usable.issuer),
            gathered.order(),
        ) {
            (Some(AnyIssuer::Acme(issuer)), Some(order)) => {
                attempt(undoes).go_on_outside(issuer, Some(order)).await
            }
            _ => Ok(Acted::nothing()),
        },
        Plan::Repair { undoes, .. } => attempt(undoes).repair().await,
        Plan::Restore => match found {
            Some(found) => attempt(&Undoes::Nothing).restore(found).await,
            None => Ok(Acted::nothing()),
        },
        Plan::Abandon { why } => attempt(&Undoes::Nothing).give_up(*why).await,
        Plan::Continue { .. }
        | Plan::Keep { .. }
        | Plan::Hold { .. }
        | Plan::HoldRepair { .. }
        | Plan::Blocked { .. }
        | Plan::Leave => Ok(Acted::nothing()),
    }
}

pub(super) struct Attempt<'a> {
    pub(super) context: &'a Context,
    pub(super) now: Timestamp,
    alive: &'a Heartbeat,
    pub(super) gathered: &'a Gathered,
    pub(super) assessment: &'a Assessment,
    undoes: &'a Undoes,
}

impl Attempt<'_> {
    async fn issue(&self, issuer: &impl Issuer) -> Result<Acted, Error> {
        let Some(request) = &self.assessment.request else {
            return Ok(Acted::nothing());
        };
        let profile = &request.profile;
        let reuses = self.keeps_key();
        // What is stored is only read where something of it goes into the new Secret.
        let stored = if self.gathered.secret.is_some()
            && (reuses || contents::keeps_older_roots(self.assessment))
        {
            Some(self.stored().await?)
        } else {
            None
        };
        let (kept, older_roots) =
            stored.map_or((None, Vec::new()), |stored| (stored.key, stored.ca));
        let key = match kept.filter(|key| reuses && key.spec() == profile.key) {
            Some(key) => key,
            None => match self.new_key(profile.key).await? {
                Ok(key) => key,
                Err(problem) => {
                    return Ok(Acted::failed(
                        "KeyGenerationFailed",
                        format!("No private key could be made: {problem}."),
                    ));
                }
            },
        };
        let csr = match Csr::new(profile, &key) {
            Ok(csr) => csr,
            Err(problem) => {
                return Ok(Acted::failed(
                    "RequestFailed",
                    format!("The request could not be signed: {problem}."),
                ));
            }
        };
        let asked = Request {
            profile,
            csr: &csr,
            key: &key,
            now: self.now,
        };
        let issued = match issuer.advance(asked).await {
            Ok(issued) => issued,
            Err(problem) => return Ok(Acted::failed(problem.reason, format!("{problem}."))),
        };
        let leaf = match self.check(&key, &issued) {
            Ok(leaf) => leaf,
            Err(problem) => {
                let message =
                    format!("The issuer gave something that must not be used: {problem}.");
                return Ok(Acted::failed("BadCertificate", message));
            }
        };
        let ca = contents::ca_after_issuing(self.assessment, issued.ca, &older_roots);
        let contents = Contents {
            key,
            chain: issued.chain,
            ca,
        };
        let mut acted = self.store(leaf, &contents).await?;
        if acted.issued.is_some() {
            acted.left_over = !self.needs_no_next_key().await;
        }
        Ok(acted)
    }

    async fn repair(&self) -> Result<Acted, Error> {
        let stored = self.stored().await?;
        let inputs = self.gathered.inputs(self.context);
        let leaf = stored.chain.first().cloned();
        match (leaf, contents::repaired(&inputs, self.assessment, stored)) {
            (Some(leaf), Some(contents)) => {
                self.write(&leaf, &self.assessment.marks, &contents).await
            }
            // The pair was good when it was planned, and the Secret is still the same: it can't be otherwise now.
            _ => Ok(Acted::nothing()),
        }
    }

    /// Key and certificates of the Secret that was planned with, read live.
    pub(super) async fn stored(&self) -> Result<Stored, Error> {
        self.gathered.stored(self.context).await
    }

    /// Makes a key; RSA keys on a thread of their own, and no more at once than there are processors.
    pub(super) async fn new_key(
        &self,
        spec: KeySpec,
    ) -> Result<Result<PrivateKey, certwright_core::pki::key::KeyError>, Error> {
        if !matches!(spec, KeySpec::Rsa(_)) {
            return Ok(PrivateKey::generate(spec));
        }
        let mut place = pin!(Arc::clone(&self.context.key_makers).acquire_owned());
        // Many large keys take longer than a reconcile may: who waits in turn is not stuck.
        let place = loop {
            match tokio::time::timeout(PATIENCE / 2, &mut place).await {
                Ok(place) => break place,
                Err(_) => self.alive.beat(),
            }
        };
        self.alive.beat();
        tokio::task::spawn_blocking(move || {
            let _place = place;
            PrivateKey::generate(spec)
        })
        .await
        .map_err(Error::MakeKey)
    }

    /// Key fits, names right, chain builds, valid now.
    pub(super) fn check(&self, key: &PrivateKey, issued: &Issued) -> Result<Facts, String> {
        let read = |der: &CertificateDer| Facts::read(der).map_err(|problem| problem.to_string());
        let certificates = issued
            .chain
            .iter()
            .map(read)
            .collect::<Result<Vec<_>, _>>()?;
        let leaf = certificates
            .first()
            .cloned()
            .ok_or_else(|| "there is no certificate in it".to_owned())?;
        let profile = self
            .assessment
            .request
            .as_ref()
            .map(|request| &request.profile);
        if let Some(profile) = profile {
            chain::check_pair(profile, key.public(), &certificates, self.now)
                .map_err(|problem: PairProblem| problem.to_string())?;
        }
        Ok(leaf)
    }

    /// Whether the next certificate is for the key that is held; that of a revoked one is not used again.
    pub(super) fn keeps_key(&self) -> bool {
        let policy = self.gathered.certificate.spec.rotation_policy();
        policy == RotationPolicy::Never && !self.assessment.revoked
    }

    /// What a Secret carries after this issuance, but for what is kept.
    fn marks(&self) -> Marks {
        let held = self
            .gathered
            .secret
            .as_ref()
            .map(|secret| secret.marks.clone())
            .unwrap_or_default();
        let status = self.gathered.certificate.status.as_ref();
        let revision = held
            .revision
            .max(status.and_then(|status| status.revision))
            .unwrap_or_default();
        Marks {
            certificate_name: self.gathered.certificate.metadata.name.clone(),
            request: Some(self.assessment.hash.clone()),
            issued_at: Some(self.now),
            revision: Some(revision.saturating_add(1)),
            renew_request: self.assessment.asked.clone().or(held.renew_request),
            ca_replaced_at: self
                .assessment
                .marks
                .ca_replaced_at
                .filter(|_| contents::keeps_older_roots(self.assessment)),
            outside: self
                .gathered
                .usable()
                .is_some_and(|usable| matches!(usable.facts.signer, Signer::Outside)),
            account: self.acme().map(|issuer| issuer.account().url().to_owned()),
            held_back: None,
            previous: None,
            suggested: self.assessment.reason == Some(IssueReason::Suggested),
            signer: self.gathered.fallback_asked().cloned(),
        }
    }

    /// The issuer, if it is an ACME CA that can be asked.
    pub(super) fn acme(&self) -> Option<&AcmeIssuer> {
        match self.gathered.usable().map(|usable| &usable.issuer) {
            Some(AnyIssuer::Acme(issuer)) => Some(issuer),
            _ => None,
        }
    }

    /// Stores what was issued. What is held until then is kept, where it may have to come back.
    pub(super) async fn store(&self, leaf: Facts, contents: &Contents) -> Result<Acted, Error> {
        let marks = Marks {
            previous: self.keep_previous().await?,
            ..self.marks()
        };
        let mut acted = self.write(&leaf, &marks, contents).await?;
        // A Secret that the API server refused holds nothing that was issued.
        acted.issued = acted.secret.is_some().then_some(leaf);
        Ok(acted)
    }

    pub(super) async fn write(
        &self,
        leaf: &Facts,
        marks: &Marks,
        contents: &Contents,
    ) -> Result<Acted, Error> {
        let Self {
            context, gathered, ..
        } = self;
        let target = &gathered.target;
        let metadata = Metadata::of(&context.group, &gathered.certificate, leaf, marks);
        let data = contents.data(&gathered.certificate);
        let place = (target.namespace.as_str(), target.name.as_str());
        let was = gathered.secret.as_deref();
        let written: Secret =
            match apply::secret(&context.client, &context.group, place, was, &metadata, data).await
            {
                Ok(written) => written,
                Err(problem) => {
                    if problem.leaves_doubt() {
                        context.secrets.doubt(target);
                    }
                    return problem.refusal().map_or(Err(problem), |message| {
                        let refused = Acted::failed("SecretRefused", message);
                        Ok(refused.holding(gathered.order()))
                    });
                }
            };
        let secret = context.secrets.wrote(&written);
        Ok(Acted {
            outcome: Outcome::Done(self.undoes.clone()),
            secret: Some(secret),
            issued: None,
            left_over: false,
        })
    }
}
