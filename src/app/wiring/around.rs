//! What the rollout and the metrics see of the rest.

use std::sync::Arc;

use certwright_core::api::Certificate;
use certwright_core::rollout::{Held, SecretName};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::cluster::events::Kind;
use crate::cluster::leadership::Leadership;
use crate::cluster::secrets::Named;
use crate::controller::Context;
use crate::metrics::{CertificateSample, CertificateSeries, IssuerSample, IssuerSeries};
use crate::rollout::{Report, Surroundings};

pub(super) struct Around(pub(super) Arc<Context>);

impl Surroundings for Around {
    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn may_write(&self) -> bool {
        self.0.leadership.leads()
    }

    async fn term(&self) -> CancellationToken {
        self.0.leadership.term().await
    }

    fn held(&self, secret: &SecretName) -> Option<Held> {
        let name = Named::new(&secret.namespace, &secret.name);
        let held = self.0.secrets.held(&name)?;
        let pair = held.pair.as_ref().ok()?;
        let owner = held.marks.certificate_name.clone()?;
        let certificate = self
            .0
            .certificates
            .get(&Named::new(&secret.namespace, &owner))?;
        (certificate.spec.secret_name == secret.name).then(|| Held {
            certificate: owner,
            fingerprint: pair.fingerprint.to_string(),
            issued_at: held.issued_at(),
            strategy: certificate.spec.rollout_strategy(),
            // Issuers inside the cluster answer at once.
            issuing: false,
        })
    }

    fn certificate(&self, namespace: &str, name: &str) -> Option<Arc<Certificate>> {
        self.0.certificates.get(&Named::new(namespace, name))
    }

    fn wrote(&self, certificate: Certificate) {
        self.0.certificates.wrote(certificate);
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
        let events = &self.0.events;
        events
            .publish(self.now(), about, kind, reason, action, &note)
            .await;
    }
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
