//! Looks at servers that are watched, for those who wrote ServedChecks.
//!
//! Only servers that an administrator allows are connected to, directly, at addresses that were looked at just before. Whom a
//! certificate names to be asked about revocation, a stranger may have chosen: these are asked at public addresses only, and few at a
//! time. What comes of a look, `certwright_core::checks` turns into words.

mod trust;

use std::sync::Arc;
use std::time::Duration;

use certwright_core::api::ServedCheck;
use certwright_core::api::served_check::Target;
use certwright_core::checks::{Look, Seen, least_left};
use certwright_core::pki::Facts;
use certwright_core::pki::faults::{self, Shown, Standing};
use jiff::{SignedDuration, Timestamp};
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::sync::Semaphore;

use crate::cluster::secrets::Secrets;
use crate::error::Error;
use crate::outside::{Allowed, AllowedTargets, Outside};
use crate::probe::{self, Presented, Unreached};
use crate::verify::{Asked, Way, standing};

/// How many certificates are asked about at a time: a revocation list may take tens of megabytes to be read.
const ASKED_AT_ONCE: usize = 4;
/// How long one may wait for its turn.
const TURN: Duration = Duration::from_secs(60);

/// Looks at servers.
pub struct Checks {
    outside: Arc<Outside>,
    /// Whom certificates may name.
    named: Allowed,
    targets: AllowedTargets,
    /// Where nobody ever is asked, beside what `targets` say.
    but_not: Arc<dyn crate::outside::Addresses>,
    secrets: Arc<Secrets>,
    asking: Semaphore,
}

impl Checks {
    /// Looks at these servers, but at none at these addresses.
    pub fn new(
        outside: Arc<Outside>,
        named: Allowed,
        targets: AllowedTargets,
        but_not: Arc<dyn crate::outside::Addresses>,
        secrets: Arc<Secrets>,
    ) -> Self {
        Self {
            outside,
            named,
            targets,
            but_not,
            secrets,
            asking: Semaphore::new(ASKED_AT_ONCE),
        }
    }

    /// Whether an administrator allows the server.
    pub fn allows(&self, target: &Target) -> bool {
        self.targets.addresses(&target.host, target.port).is_some()
    }

    /// Looks at a server.
    ///
    /// # Errors
    /// When the API server fails that holds what is needed for it. What is wrong with the server is no error.
    pub async fn look(&self, now: Timestamp, check: &ServedCheck) -> Result<Look, Error> {
        let spec = &check.spec;
        let Some(target) = spec.target() else {
            let problem = format!("spec.target {:?} is not HOST:PORT.", spec.target);
            return Ok(refused(INVALID_SPEC, problem));
        };
        let Some(allowed) = self.targets.addresses(&target.host, target.port) else {
            return Ok(refused(
                NOT_ALLOWED,
                format!(
                    "No administrator allows spec.target {:?}. Have it added to --served-check-targets (servedChecks.targets of the chart), or delete this.",
                    spec.target
                ),
            ));
        };
        let name = spec.server_name().unwrap_or(&target.host).to_owned();
        let Ok(server_name) = ServerName::try_from(name.clone()) else {
            let problem = format!("{name:?} is neither a DNS name nor an address.");
            return Ok(refused(INVALID_SPEC, problem));
        };
        let trusted = match trust::roots(check, &self.outside, &self.secrets).await? {
            Ok(trusted) => trusted,
            Err(problem) => return Ok(refused("InvalidCABundle", problem)),
        };
        let asked = probe::Asked {
            name: server_name,
            starttls: spec.start_tls.map(Into::into),
        };
        let allowed = allowed.but_not(Arc::clone(&self.but_not));
        let server = (target.host.as_str(), target.port);
        let connecting = probe::CONNECT;
        let presented = probe::allowed(&self.outside, server, &allowed, connecting, &asked).await;
        Ok(match presented {
            Ok(presented) => {
                let shown = (name.as_str(), &asked.name);
                self.judge(now, check, shown, presented, &trusted).await
            }
            Err(unreached) => Look::Unreached {
                reason: reason(&unreached),
                message: format!("{unreached}."),
            },
        })
    }

    async fn judge(
        &self,
        now: Timestamp,
        check: &ServedCheck,
        (name, server_name): (&str, &ServerName<'_>),
        presented: Presented,
        trusted: &RootCertStore,
    ) -> Look {
        let unreadable = |problem: String| Look::Unreached {
            reason: "UnreadableCertificate",
            message: format!("It shows certificates that can't be read: {problem}."),
        };
        let chain: Result<Vec<_>, _> = presented.chain.iter().map(Facts::read).collect();
        let chain = match chain {
            Ok(chain) => chain,
            Err(problem) => return unreadable(problem.to_string()),
        };
        let Some(leaf) = faults::leaf(&chain) else {
            return unreadable("there is none".to_owned());
        };
        let shown = Shown {
            chain: &chain,
            name: Some(server_name),
            holds_key: presented.holds_key,
            trusted: &trusted.roots,
            own_cas: trusted.len() > self.outside.roots().len(),
            least_left: least_left(&check.spec, leaf),
            now,
        };
        let Some(judgement) = faults::judge(&shown) else {
            return unreadable("there is none".to_owned());
        };
        let standing = self.standing(check, &shown, leaf).await;
        Look::Seen(Box::new(Seen {
            name: name.to_owned(),
            leaf: leaf.clone(),
            chain_length: chain.len(),
            judgement,
            standing,
        }))
    }

    /// What the CA says of revocation, if it is to be asked.
    async fn standing(
        &self,
        check: &ServedCheck,
        shown: &Shown<'_>,
        leaf: &Facts,
    ) -> Option<Standing> {
        let asked = Asked {
            crl: check.spec.reads_crl(),
            ocsp: check.spec.asks_ocsp(),
        };
        if !asked.crl && !asked.ocsp {
            return None;
        }
        // Without what ends soon, which is no reason not to believe anybody.
        let shown = Shown {
            least_left: SignedDuration::ZERO,
            ..*shown
        };
        let way = Way::Guarded(&self.outside, &self.named);
        let Ok(turn) = tokio::time::timeout(TURN, self.asking.acquire()).await else {
            let why = "so many others are asked about that its turn did not come";
            return Some(Standing::Unknown(why.to_owned()));
        };
        let standing = standing(way, asked, &shown, leaf).await;
        drop(turn);
        Some(standing)
    }
}

fn refused(reason: &'static str, message: String) -> Look {
    Look::Refused { reason, message }
}

const fn reason(unreached: &Unreached) -> &'static str {
    match unreached {
        Unreached::Away { .. } => "Unreachable",
        Unreached::Slow { .. } => "TooSlow",
        Unreached::NotStarted { .. } => "NoStartTLS",
        Unreached::NoTls { .. } => "NoTLS",
    }
}

/// The reason of a check whose target nobody allows.
pub const NOT_ALLOWED: &str = "TargetNotAllowed";
const INVALID_SPEC: &str = "InvalidSpec";
