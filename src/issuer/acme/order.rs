//! The steps of an order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use certwright_core::acme::limits::Wish;
use certwright_core::acme::order::{Proof, Stage, Step, View, next};
use certwright_core::acme::wire::{Authorization, Identifier, NewOrder, Order};
use certwright_core::acme::{ari, problem};
use certwright_core::api::certificate::OrderStatus;
use certwright_core::api::issuer::Solver;
use certwright_core::http01::Owner;
use certwright_core::pki::Facts;
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::timeout;
use tracing::debug;

use super::patience::too_slow;
use super::{AcmeIssuer, StepFailure};
use crate::acme::{AcmeError, Offer};
use crate::error::Error;
use crate::http01::front_door::FrontDoor;
use crate::http01::self_check::Dial;
use crate::issuer::Issued;
use crate::outside::Records;

/// How long to wait for a CA that doesn't say how long.
pub(super) const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(2);
/// How long a CA may send us away for. A slower one is asked again all the same.
const LONGEST: SignedDuration = SignedDuration::from_mins(10);
/// How long a CA may take for an order. Those that ask people may need a working day.
pub(super) const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// An order's answers are looked at together: each costs a request.
const MAX_READS: usize = 100;
/// How many of them are asked for at once.
const READS_AT_ONCE: usize = 8;
/// How long a CA may take for all that one step asks. Whoever waits for a step must not take it for stuck.
const STEP: Duration = Duration::from_secs(90);
/// The longest time between two looks at an order whose CA doesn't say when to come back.
const LONGEST_UNTOLD: SignedDuration = SignedDuration::from_mins(1);

/// What is asked of a CA.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The time.
    pub now: Timestamp,
    /// For whom.
    pub owner: &'a Owner,
    /// The Certificate's labels, which solvers may select by.
    pub labels: &'a BTreeMap<String, String>,
    /// For what.
    pub identifiers: &'a BTreeSet<Identifier>,
    /// The request for the certificate: PKCS#10 in DER, signed by a key that is stored.
    pub csr: &'a [u8],
    /// What is asked, of whom: a hash.
    pub attempted: &'a str,
    /// Why the try before this one failed, if it was for the same.
    pub last_failure: Option<&'a str>,
    /// How long the certificate shall be valid.
    pub lifetime: SignedDuration,
    /// The certificate that this one replaces, as the CA knows it.
    pub replaces: Option<&'a str>,
    /// How much of the held certificate's life is left, from 0 to 1; `None` where none is held.
    pub life_left: Option<f64>,
    /// The certificate that is held, where this account ordered it: its names were shown before.
    pub held: Option<&'a Facts>,
}

/// How CAs find our answers.
#[derive(Clone)]
pub struct Ways {
    /// What public DNS says of names.
    pub records: Arc<Records>,
    /// What leads them in; `None` if HTTP-01 is switched off.
    pub front_door: Option<Arc<FrontDoor>>,
    /// What our own look through the front door goes by.
    pub dial: Arc<dyn Dial>,
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// This is what is held there now.
    UnderWay(OrderStatus),
    /// The certificate.
    Issued(Issued),
}

pub(super) type Taken = Result<Result<Progress, StepFailure>, Error>;

impl AcmeIssuer {
    /// Orders a certificate, unless a limit of the CA or what DNS says is in the way. If the answer is lost, so is the
    /// order: another is made.
    pub async fn begin(&self, asked: &Asked<'_>, ways: &Ways) -> Result<OrderStatus, StepFailure> {
        timeout(STEP, self.make(asked, ways))
            .await
            .unwrap_or_else(|_| Err(self.too_slow(asked.now)))
    }

    async fn make(&self, asked: &Asked<'_>, ways: &Ways) -> Result<OrderStatus, StepFailure> {
        self.has_solvers(asked)?;
        let budget = &self.account.budget;
        let may_order = |replaces: bool| {
            let wish = Wish {
                identifiers: asked.identifiers,
                life_left: asked.life_left,
                replaces,
            };
            let held = budget.may_order(asked.now, &wish);
            held.map_err(|hold| StepFailure::of_hold(&hold))
        };
        may_order(asked.replaces.is_some())?;
        self.precheck(asked, &ways.records).await?;
        let lasts = self.settings.enable_duration_feature.unwrap_or(false);
        let mut order = NewOrder {
            identifiers: asked.identifiers.iter().cloned().collect(),
            not_after: lasts
                .then(|| asked.now.checked_add(asked.lifetime).ok())
                .flatten(),
            profile: self.settings.profile().map(str::to_owned),
            replaces: asked.replaces.map(str::to_owned),
        };
        let account = &self.account;
        let ask = async |order: &NewOrder| {
            let client = &account.client;
            client.new_order(&account.key, &account.url, order).await
        };
        let mut made = ask(&order).await;
        if let Err(error) = &made
            && order.replaces.is_some()
            && StepFailure::meaning(asked.now, error)
                .is_some_and(|meaning| ari::orders_without_replacing(&meaning))
        {
            debug!(problem = %error, "The CA does not take what an order replaces");
            may_order(false)?;
            order.replaces = None;
            made = ask(&order).await;
        }
        let replaces = order.replaces.is_some();
        let made = made.map_err(|error| {
            budget.heard(asked.now, asked.identifiers, &error, replaces);
            StepFailure::of_call(asked.now, &error)
        })?;
        budget.ordered(asked.now, replaces);
        Ok(OrderStatus {
            attempted: asked.attempted.to_owned(),
            url: Some(made.url),
            started_at: Time(asked.now),
            challenges: Vec::new(),
            look_again: None,
            waits_for: None,
        })
    }

    /// Takes an order's next step.
    ///
    /// # Errors
    /// When the API server fails; what the CA says is in the answer.
    pub async fn go_on(&self, asked: &Asked<'_>, ways: &Ways, status: &OrderStatus) -> Taken {
        // What the CA took before the time was over, it tells the next time.
        timeout(STEP, self.step(asked, ways, status))
            .await
            .unwrap_or_else(|_| Ok(Err(self.too_slow(asked.now))))
    }

    fn too_slow(&self, now: Timestamp) -> StepFailure {
        StepFailure::of_call(now, &too_slow(&self.settings.server, STEP))
    }

    async fn step(&self, asked: &Asked<'_>, ways: &Ways, status: &OrderStatus) -> Taken {
        let Some(url) = &status.url else {
            return Ok(self.begin(asked, ways).await.map(Progress::UnderWay));
        };
        let step = match self.next_step(asked, status, url).await {
            Ok(step) => step,
            Err(failure) => return Ok(Err(failure)),
        };
        let (step, again) = step;
        match step {
            Step::Refuse(refusal) => Ok(Err(StepFailure::of_refusal(&refusal))),
            Step::Failed(failure) => {
                let (identifiers, meaning) = (&failure.identifiers, &failure.meaning);
                self.account.budget.failed(asked.now, identifiers, meaning);
                Ok(Err(StepFailure::of_order(asked, &failure)))
            }
            Step::Read(_) | Step::Wait | Step::Present(_) | Step::Accept(_)
                if is_stuck(asked.now, status) =>
            {
                Ok(Err(StepFailure::of_stuck_order(status.started_at.0)))
            }
            Step::Read(_) | Step::Wait => waits(status, again),
            Step::Present(proofs) => self.present(asked, ways, status, &proofs).await,
            Step::Accept(proofs) => {
                let untold = |proof: &&Proof<'_>| proof.stage == Stage::Shown;
                let untold: Vec<_> = proofs.iter().filter(untold).cloned().collect();
                let taken = self.accept(asked, ways, status, &untold).await;
                self.present_again(asked, ways, &proofs, taken).await
            }
            Step::Finalize(url) => self.finalize(asked, status, &url).await,
            Step::Download(url) => Ok(self.fetch(asked, &url).await),
        }
    }

    /// Sends the request for the certificate. Some CAs have it at once.
    async fn finalize(&self, asked: &Asked<'_>, status: &OrderStatus, url: &str) -> Taken {
        let account = &self.account;
        let sent = account
            .client
            .finalize(&account.key, &account.url, url, asked.csr)
            .await;
        let (order, offer) = match (sent, account.client.offer().await) {
            (Ok(order), Ok(offer)) => (order, offer),
            (Err(error), _) | (_, Err(error)) => return Ok(Err(self.failed(asked, &error))),
        };
        let authorizations = BTreeMap::new();
        let view = self.view(asked, status, &offer, &order.object, &authorizations);
        if let Step::Download(url) = next(&view) {
            return Ok(self.fetch(asked, &url).await);
        }
        let again = come_back(asked.now, status, order.retry_after.as_deref());
        waits(status, again)
    }

    /// The next step, and when to come back if it is to wait.
    async fn next_step(
        &self,
        asked: &Asked<'_>,
        status: &OrderStatus,
        url: &str,
    ) -> Result<(Step<'_>, Timestamp), StepFailure> {
        let account = &self.account;
        let failed = |error: AcmeError| self.failed(asked, &error);
        let offer = account.client.offer().await.map_err(failed)?;
        let found = account
            .client
            .order(&account.key, &account.url, url)
            .await
            .map_err(|error| match error {
                AcmeError::Problem { status: 404, .. } => StepFailure::of_lost_order(),
                error => failed(error),
            })?;
        let order: Order = found.object;
        let mut retry_after = found.retry_after;
        let mut authorizations: BTreeMap<String, Authorization> = BTreeMap::new();
        loop {
            let view = self.view(asked, status, &offer, &order, &authorizations);
            let unread = match next(&view) {
                Step::Read(urls) if authorizations.is_empty() => urls,
                step => {
                    let step = owned(step, &self.settings.solvers);
                    return Ok((step, come_back(asked.now, status, retry_after.as_deref())));
                }
            };
            let read = unread.into_iter().take(MAX_READS).map(async |url| {
                let client = &account.client;
                let found = client.authorization(&account.key, &account.url, &url);
                found.await.map(|found| (url, found))
            });
            let mut read = stream::iter(read).buffered(READS_AT_ONCE);
            while let Some(found) = read.next().await {
                let (url, found) = found.map_err(failed)?;
                retry_after = retry_after.or(found.retry_after);
                authorizations.insert(url, found.object);
            }
        }
    }

    fn view<'a>(
        &'a self,
        asked: &Asked<'a>,
        status: &'a OrderStatus,
        offer: &'a Offer,
        order: &'a Order,
        authorizations: &'a BTreeMap<String, Authorization>,
    ) -> View<'a> {
        View {
            identifiers: asked.identifiers,
            origins: &offer.origins,
            order,
            authorizations,
            presented: &status.challenges,
            solvers: &self.settings.solvers,
            labels: asked.labels,
        }
    }

    /// What the CA's answer means; what it says of its limits is counted.
    pub(super) fn failed(&self, asked: &Asked<'_>, error: &AcmeError) -> StepFailure {
        let budget = &self.account.budget;
        budget.heard(asked.now, asked.identifiers, error, false);
        StepFailure::of_call(asked.now, error)
    }
}

/// Nothing is new; the order is looked at again then.
pub(super) fn waits(status: &OrderStatus, again: Timestamp) -> Taken {
    Ok(Ok(Progress::UnderWay(OrderStatus {
        look_again: Some(Time(again)),
        ..status.clone()
    })))
}

/// When to look at an order again: when the CA says, else the later the longer it takes.
fn come_back(now: Timestamp, status: &OrderStatus, retry_after: Option<&str>) -> Timestamp {
    let untold = || {
        let age = now.duration_since(status.started_at.0);
        later(now, (age / 8).clamp(LOOK_AGAIN, LONGEST_UNTOLD))
    };
    retry_after
        .and_then(|text| problem::retry_after(now, text))
        .unwrap_or_else(untold)
        .clamp(
            later(now, SignedDuration::from_secs(1)),
            later(now, LONGEST),
        )
}

/// The same step, with the issuer's own solvers: what it was decided on does not live as long.
fn owned<'s>(step: Step<'_>, solvers: &'s [Solver]) -> Step<'s> {
    let ours = |proof: Proof<'_>| {
        let solver = solvers
            .iter()
            .find(|solver| std::ptr::eq(*solver, proof.solver))?;
        Some(Proof {
            solver,
            authorization_url: proof.authorization_url,
            identifier: proof.identifier,
            challenge_url: proof.challenge_url,
            token: proof.token,
            kind: proof.kind,
            stage: proof.stage,
        })
    };
    match step {
        Step::Refuse(refusal) => Step::Refuse(refusal),
        Step::Failed(failure) => Step::Failed(failure),
        Step::Read(urls) => Step::Read(urls),
        Step::Present(proofs) => Step::Present(proofs.into_iter().filter_map(ours).collect()),
        Step::Accept(proofs) => Step::Accept(proofs.into_iter().filter_map(ours).collect()),
        Step::Wait => Step::Wait,
        Step::Finalize(url) => Step::Finalize(url),
        Step::Download(url) => Step::Download(url),
    }
}

/// Whether a CA has had an order for so long that it will not finish it.
fn is_stuck(now: Timestamp, status: &OrderStatus) -> bool {
    now.duration_since(status.started_at.0) > PATIENCE
}

pub(super) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    let whole = at.checked_add(by).unwrap_or(Timestamp::MAX);
    Timestamp::from_second(whole.as_second()).unwrap_or(whole)
}
