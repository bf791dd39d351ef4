//! What is known of each object, read at the moment of the scrape.

mod checks;

use std::fmt::{Debug, Formatter};
use std::sync::Arc;

use certwright_core::api::ConditionStatus;
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric, MetricEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::clock::Clock;

pub use checks::{ServedCheckSample, ServedCheckSeries, register_served_checks};

/// Knows every Certificate. A replica that doesn't lead shows none, so that no series is told twice.
pub trait CertificateSeries: Send + Sync + 'static {
    /// Shows each Certificate once; called once for each metric in a scrape.
    fn each(&self, visit: &mut dyn FnMut(CertificateSample<'_>));
}

/// What is known of one Certificate.
#[derive(Clone, Copy, Debug)]
pub struct CertificateSample<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// When the certificate it holds began to be valid; `None` if it holds none.
    pub not_before: Option<Timestamp>,
    /// When the certificate it holds ends; `None` if it holds none.
    pub not_after: Option<Timestamp>,
    /// When that certificate will be renewed; `None` if never by itself.
    pub renewal_time: Option<Timestamp>,
    /// Its condition `Ready`.
    pub ready: ConditionStatus,
    /// Whether its rollout has come to a halt.
    pub halted: bool,
    /// How many endpoints serve another certificate in the place of this one; `None` if none is looked at.
    pub stale_endpoints: Option<i32>,
}

/// Knows every Issuer and ClusterIssuer. A replica that doesn't lead shows none.
pub trait IssuerSeries: Send + Sync + 'static {
    /// Shows each issuer once.
    fn each(&self, visit: &mut dyn FnMut(IssuerSample<'_>));
}

/// What is known of one Issuer or ClusterIssuer.
#[derive(Clone, Copy, Debug)]
pub struct IssuerSample<'a> {
    /// `Issuer` or `ClusterIssuer`.
    pub kind: &'static str,
    /// Its namespace; empty for a ClusterIssuer.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its condition `Ready`.
    pub ready: ConditionStatus,
}

/// Adds the series of each Certificate to `registry`, and to those of when they end those of what is watched.
pub fn register_certificates(
    registry: &mut Registry,
    certificates: Arc<dyn CertificateSeries>,
    checks: Arc<dyn ServedCheckSeries>,
    clock: Arc<dyn Clock>,
) {
    registry.register_collector(Box::new(Certificates {
        certificates,
        checks,
        clock,
    }));
}

/// Adds the series of each Issuer and ClusterIssuer to `registry`.
pub fn register_issuers(registry: &mut Registry, issuers: Arc<dyn IssuerSeries>) {
    registry.register_collector(Box::new(Issuers { issuers }));
}

/// Adds whether this replica leads to `registry`.
pub fn register_leading(registry: &mut Registry, leads: impl Fn() -> bool + Send + Sync + 'static) {
    registry.register_collector(Box::new(Leading(leads)));
}

struct Certificates {
    certificates: Arc<dyn CertificateSeries>,
    checks: Arc<dyn ServedCheckSeries>,
    clock: Arc<dyn Clock>,
}

impl Certificates {
    fn for_each<V: EncodeGaugeValue>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help, unit): (&str, &str, Option<&Unit>),
        value: impl Fn(&CertificateSample<'_>) -> Option<V>,
    ) -> std::fmt::Result {
        let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        let mut result = Ok(());
        self.certificates.each(&mut |sample| {
            let Some(value) = value(&sample) else { return };
            let labels = [("namespace", sample.namespace), ("name", sample.name)];
            result = result.and_then(|()| gauge(&mut metric, &labels, &value));
        });
        result
    }
}

impl Collector for Certificates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let now = self.clock.now();
        let mut metric = encoder.encode_descriptor(
            "ssl_certificate_expiry",
            "Seconds until the certificate that is held, or that a watched server shows, ends, negative once it has ended.",
            None,
            MetricType::Gauge,
        )?;
        let mut result = Ok(());
        self.certificates.each(&mut |sample| {
            let Some(end) = sample.not_after else { return };
            let labels = [("namespace", sample.namespace), ("name", sample.name)];
            let left = end.duration_since(now).as_secs_f64();
            result = result.and_then(|()| gauge(&mut metric, &labels, &left));
        });
        result?;
        checks::expiry(&*self.checks, &mut metric, now)?;
        self.for_each(
            &mut encoder,
            (
                "certwright_certificate_not_before_timestamp",
                "When the held certificate began to be valid, since the Unix epoch.",
                Some(&Unit::Seconds),
            ),
            |sample| sample.not_before.map(Timestamp::as_second),
        )?;
        self.for_each(
            &mut encoder,
            (
                "certwright_certificate_not_after_timestamp",
                "When the held certificate ends, since the Unix epoch.",
                Some(&Unit::Seconds),
            ),
            |sample| sample.not_after.map(Timestamp::as_second),
        )?;
        self.for_each(
            &mut encoder,
            (
                "certwright_certificate_renewal_timestamp",
                "When the held certificate will be renewed, since the Unix epoch.",
                Some(&Unit::Seconds),
            ),
            |sample| sample.renewal_time.map(Timestamp::as_second),
        )?;
        self.for_each(
            &mut encoder,
            (
                "certwright_rollouts_halted",
                "1 where no workload is given the certificate, because one that was given it is not well.",
                None,
            ),
            |sample| sample.halted.then_some(1_i64),
        )?;
        self.for_each(
            &mut encoder,
            (
                "certwright_stale_endpoints",
                "How many endpoints were seen to serve another certificate in the place of the held one.",
                None,
            ),
            |sample| sample.stale_endpoints.map(i64::from),
        )?;
        let mut metric = encoder.encode_descriptor(
            "certwright_certificate_ready",
            "The Certificate's condition Ready: 1 at the status it has, 0 at the others.",
            None,
            MetricType::Gauge,
        )?;
        let mut result = Ok(());
        self.certificates.each(&mut |sample| {
            for (status, condition) in STATUSES {
                let labels = [
                    ("namespace", sample.namespace),
                    ("name", sample.name),
                    ("condition", condition),
                ];
                let value = i64::from(sample.ready == status);
                result = result.and_then(|()| gauge(&mut metric, &labels, &value));
            }
        });
        result
    }
}

impl Debug for Certificates {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificates(..)")
    }
}

struct Issuers {
    issuers: Arc<dyn IssuerSeries>,
}

impl Collector for Issuers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "certwright_issuer_ready",
            "The issuer's condition Ready: 1 at the status it has, 0 at the others.",
            None,
            MetricType::Gauge,
        )?;
        let mut result = Ok(());
        self.issuers.each(&mut |sample| {
            for (status, condition) in STATUSES {
                let labels = [
                    ("kind", sample.kind),
                    ("namespace", sample.namespace),
                    ("name", sample.name),
                    ("condition", condition),
                ];
                let value = i64::from(sample.ready == status);
                result = result.and_then(|()| gauge(&mut metric, &labels, &value));
            }
        });
        result
    }
}

impl Debug for Issuers {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuers(..)")
    }
}

struct Leading<F>(F);

impl<F: Fn() -> bool + Send + Sync + 'static> Collector for Leading<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let leads = ConstGauge::new(i64::from(self.0()));
        let metric = encoder.encode_descriptor(
            "certwright_leader",
            "Whether this replica is the one that writes.",
            None,
            MetricType::Gauge,
        )?;
        leads.encode(metric)
    }
}

impl<F> Debug for Leading<F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leading(..)")
    }
}

fn gauge(
    metric: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    value: &impl EncodeGaugeValue,
) -> std::fmt::Result {
    metric.encode_family(labels)?.encode_gauge(value)
}

const STATUSES: [(ConditionStatus, &str); 3] = [
    (ConditionStatus::True, "True"),
    (ConditionStatus::False, "False"),
    (ConditionStatus::Unknown, "Unknown"),
];
