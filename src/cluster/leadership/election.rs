//! Stands for election, for as long as the process runs.

use std::time::Duration;

use certwright_core::lease::{Election, Moment, Step};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, PostParams};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Leadership, boot_time};
use crate::clock::Clock;
use crate::cluster::call_within;
use crate::error::CallError;

/// Who stands for which Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidacy {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name, which is also the field manager that writes it.
    pub name: String,
    /// What no other process is called.
    pub identity: String,
    /// How long the Lease lasts after each renewal, in whole seconds.
    pub duration: Duration,
}

struct Candidate<'a> {
    api: Api<Lease>,
    candidacy: &'a Candidacy,
    leadership: &'a Leadership,
    clock: &'a dyn Clock,
    election: Election,
    /// The Lease as last read or written.
    lease: Option<Lease>,
    /// What went wrong last, to say it once.
    trouble: Option<String>,
}

/// Stands for election until `ended`, then lets go of the Lease, so that another replica can take it at once.
///
/// `client` must be one whose writes are not held back by the leadership itself.
pub async fn run(
    client: Client,
    candidacy: &Candidacy,
    leadership: &Leadership,
    clock: &dyn Clock,
    ended: &CancellationToken,
) {
    let mut candidate = Candidate {
        api: Api::namespaced(client, &candidacy.namespace),
        candidacy,
        leadership,
        clock,
        election: Election::new(&candidacy.identity, candidacy.duration),
        lease: None,
        trouble: None,
    };
    tokio::select! {
        () = ended.cancelled() => {}
        never = candidate.stand() => match never {},
    }
    candidate.release().await;
}

impl Candidate<'_> {
    async fn stand(&mut self) -> std::convert::Infallible {
        loop {
            self.tell();
            let at = boot_time();
            match self.election.next(at, self.clock.now()) {
                Step::Wait(until) => self.wait(until).await,
                Step::Read => {
                    let read = call_within(self.patience(), self.api.get_opt(&self.candidacy.name));
                    match read.await {
                        Ok(lease) => {
                            // What changed since it was sent was seen no earlier than this.
                            self.election.read(boot_time(), lease.as_ref());
                            self.lease = lease;
                            self.trouble = None;
                        }
                        Err(problem) => self.failed("get", &problem),
                    }
                }
                Step::Create(spec) => {
                    let metadata = ObjectMeta {
                        name: Some(self.candidacy.name.clone()),
                        ..ObjectMeta::default()
                    };
                    let lease = Lease {
                        metadata,
                        spec: Some(spec),
                    };
                    let parameters = self.parameters();
                    let write = self.api.create(&parameters, &lease);
                    let answer = call_within(self.patience(), write).await;
                    self.wrote("create", at, answer);
                }
                Step::Replace(spec) => {
                    let answer = self.replace(spec).await;
                    self.wrote("update", at, answer);
                }
            }
        }
    }

    /// Writes the Lease, if it is still as we know it.
    async fn replace(&self, spec: LeaseSpec) -> Result<Lease, CallError> {
        let lease = Lease {
            spec: Some(spec),
            ..self.lease.clone().unwrap_or_default()
        };
        let parameters = self.parameters();
        let write = self.api.replace(&self.candidacy.name, &parameters, &lease);
        call_within(self.patience(), write).await
    }

    fn wrote(&mut self, verb: &str, sent: Moment, answer: Result<Lease, CallError>) {
        match answer {
            Ok(lease) => {
                self.election.wrote(sent, &lease);
                self.lease = Some(lease);
                self.trouble = None;
            }
            Err(problem) if matches!(problem.code(), Some(404 | 409)) => {
                self.election.overtaken(boot_time());
            }
            Err(problem) => self.failed(verb, &problem),
        }
    }

    fn failed(&mut self, verb: &str, problem: &CallError) {
        self.election.failed(boot_time());
        let advice = match problem.code() {
            Some(403) => {
                "the operator's Role must allow create on leases, and get and update on this one"
            }
            Some(404) => "its namespace must exist",
            _ => "it is tried again",
        };
        let told = problem.to_string();
        if self.trouble.as_ref() != Some(&told) {
            let (namespace, lease) = (&self.candidacy.namespace, &self.candidacy.name);
            warn!(
                namespace,
                lease,
                verb,
                problem = told,
                advice,
                "Leader election is hindered"
            );
            self.trouble = Some(told);
        }
    }

    /// Tells the rest of the process where we stand.
    fn tell(&self) {
        let at = boot_time();
        let led = self.leadership.leads();
        match self.election.held_until().filter(|until| at < *until) {
            Some(until) => {
                self.leadership.extend(until);
                if !led {
                    info!(identity = self.candidacy.identity, "This replica leads");
                }
            }
            None => {
                if self.leadership.end() {
                    let leader = self.election.other_holder().unwrap_or("nobody known");
                    warn!(leader, "This replica leads no more");
                }
            }
        }
    }

    /// Waits, but not past the moment at which we lead no more.
    async fn wait(&self, until: Moment) {
        let at = boot_time();
        let ends = self.election.held_until().filter(|ends| at < *ends);
        let next = ends.map_or(until, |ends| ends.min(until));
        tokio::time::sleep(next.saturating_sub(at)).await;
    }

    /// How long a call may take: two must fit into what is left before we lead no more.
    fn patience(&self) -> Duration {
        self.election.interval() * 2
    }

    fn parameters(&self) -> PostParams {
        PostParams {
            field_manager: Some(self.candidacy.name.clone()),
            ..PostParams::default()
        }
    }

    async fn release(&self) {
        let held = self.election.holds(boot_time());
        self.leadership.end();
        let Some(spec) = self.election.release(self.clock.now()).filter(|_| held) else {
            return;
        };
        match self.replace(spec).await {
            Ok(_) => info!("Let go of the Lease"),
            Err(problem) => {
                warn!(%problem, "The Lease could not be let go, and runs out by itself")
            }
        }
    }
}
