//! What the rollout and the metrics see of the rest.

use std::sync::Arc;

use certwright_core::api::Certificate;
use certwright_core::api::certificate::{RevocationState, RolloutStrategy};
use certwright_core::rollout::{
    Defaults, Foreign, Held, Misconfigured, Policy, SourceKind, SourceName, names_of,
};
use futures::channel::mpsc::UnboundedSender;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::cluster::events::Kind;
use crate::cluster::leadership::Leadership;
use crate::cluster::namespaces::Namespaces;
use crate::cluster::secrets::Named;
use crate::controller::Context;
use crate::metrics::{
    CertificateSample, CertificateSeries, IssuerSample, IssuerSeries, ServedCheckSample,
    ServedCheckSeries,
};
use crate::rollout::{Report, Surroundings};

/// How long after a revocation the next certificate is taken for the one that replaces what was revoked.
const REPLACED_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);

pub(super) struct Around {
    pub(super) context: Arc<Context>,
    pub(super) namespaces: Arc<Namespaces>,
    /// Has a namespace read again, where it can't be watched.
    pub(super) asked: UnboundedSender<String>,
    /// Has a Certificate looked at.
    pub(super) refused: UnboundedSender<Named>,
    pub(super) defaults: Defaults,
}

impl Surroundings for Around {
    fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    fn may_write(&self) -> bool {
        self.context.leadership.leads()
    }

    async fn term(&self) -> CancellationToken {
        self.context.leadership.term().await
    }

    fn held(&self, source: &SourceName) -> Option<Held> {
        let SourceName { namespace, source } = source;
        if source.kind != SourceKind::Secret {
            return None;
        }
        let name = Named::new(namespace, &source.name);
        let held = self.context.secrets.held(&name)?;
        let pair = held.pair.as_ref().ok()?;
        let owner = held.marks.certificate_name.clone()?;
        let certificate = self
            .context
            .certificates
            .get(&Named::new(namespace, &owner))?;
        if certificate.spec.secret_name != source.name {
            return None;
        }
        let facts = pair.facts()?;
        // As long as it isn't known what the namespace wants, nothing is done.
        let namespace = self.namespaces.annotations(namespace)?;
        Some(Held {
            certificate: Some(owner),
            fingerprint: pair.fingerprint.to_string(),
            issued_at: held.issued_at(),
            first_seen: false,
            not_after: Some(facts.not_after),
            replaces_refused: held
                .marks
                .held_back
                .as_ref()
                .map(|held_back| held_back.fingerprint.clone()),
            replaces_revoked: replaces_revoked(&certificate, held.issued_at()),
            policy: Policy::of(
                &self.context.group,
                certificate.spec.rollout.as_ref(),
                &namespace,
                &self.defaults,
            ),
            // Issuers inside the cluster answer at once.
            issuing: false,
            names: names_of(&facts),
            above: pair.above.clone(),
        })
    }

    fn policy(&self, foreign: &Foreign) -> Option<Result<Policy, Misconfigured>> {
        let namespace = foreign.metadata.namespace.as_deref().unwrap_or_default();
        let annotations = self.namespaces.annotations(namespace)?;
        Some(foreign.policy(&self.context.group, &annotations, &self.defaults))
    }

    fn changed(&self, foreign: &SourceName) {
        // Nobody listens any more when the process stops.
        let _ = self.asked.unbounded_send(foreign.namespace.clone());
    }

    fn certificate(&self, namespace: &str, name: &str) -> Option<Arc<Certificate>> {
        self.context.certificates.get(&Named::new(namespace, name))
    }

    fn wrote(&self, certificate: Certificate) {
        self.context.certificates.wrote(certificate);
    }

    fn carried(&self, strategy: RolloutStrategy) {
        self.context.metrics.carried(strategy);
    }

    fn refused(&self, namespace: &str, name: &str) {
        // What we write ourselves wakes nobody. The controller listens as long as the process runs.
        let _ = self.refused.unbounded_send(Named::new(namespace, name));
    }

    fn served(&self, after: SignedDuration) {
        self.context.metrics.served(after);
    }

    async fn publish(&self, report: Report) {
        let kind = if report.warning {
            Kind::Warning
        } else {
            Kind::Normal
        };
        let Report {
            about,
            reason,
            action,
            note,
            ..
        } = report;
        let events = &self.context.events;
        events
            .publish(self.now(), about, kind, reason, action, &note)
            .await;
    }
}

/// Whether the certificate that was issued then stands in for one that was revoked.
fn replaces_revoked(certificate: &Certificate, issued_at: Option<Timestamp>) -> bool {
    let status = certificate.status.as_ref();
    let revocation = status.and_then(|status| status.revocation.as_ref());
    let revoked = revocation.filter(|revocation| revocation.state == RevocationState::Revoked);
    revoked
        .zip(issued_at)
        .is_some_and(|(revocation, issued_at)| {
            let since = issued_at.duration_since(revocation.time.0);
            !since.is_negative() && since <= REPLACED_WITHIN
        })
}

/// What is known of each object, for as long as this replica leads.
pub(super) struct WhileLeading<T> {
    of: Arc<T>,
    leadership: Leadership,
}

pub(super) fn while_leading<T>(of: &Arc<T>, leadership: &Leadership) -> Arc<WhileLeading<T>> {
    Arc::new(WhileLeading {
        of: Arc::clone(of),
        leadership: leadership.clone(),
    })
}

impl<T: CertificateSeries> CertificateSeries for WhileLeading<T> {
    fn each(&self, visit: &mut dyn FnMut(CertificateSample<'_>)) {
        if self.leadership.leads() {
            self.of.each(visit);
        }
    }
}

impl<T: IssuerSeries> IssuerSeries for WhileLeading<T> {
    fn each(&self, visit: &mut dyn FnMut(IssuerSample<'_>)) {
        if self.leadership.leads() {
            self.of.each(visit);
        }
    }
}

impl<T: ServedCheckSeries> ServedCheckSeries for WhileLeading<T> {
    fn each(&self, visit: &mut dyn FnMut(ServedCheckSample<'_>)) {
        if self.leadership.leads() {
            self.of.each(visit);
        }
    }
}
