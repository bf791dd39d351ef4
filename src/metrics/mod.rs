//! What is counted and measured.
//!
//! Labels are closed sets: names of controllers, outcomes, reasons and kinds, never a message, a URL or a serial
//! number. What is known of each object ([`series`]) is read when it is asked for, and stored nowhere else.

pub mod series;

use std::time::Duration;

use certwright_core::api::certificate::RolloutStrategy;
use jiff::SignedDuration;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::clock::Clock;

pub use series::{
    CertificateSample, CertificateSeries, IssuerSample, IssuerSeries, ServedCheckSample,
    ServedCheckSeries,
};

/// The counters of the whole process. Cloning is cheap, and all clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    reconciles: Family<ReconcileLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    duration: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    issued: Family<IssuedLabels, Counter>,
    rollouts: Family<RolloutLabels, Counter>,
    served: Histogram,
}

impl Metrics {
    /// Adds the counters, the version and the start time of the process to `registry`.
    pub fn register(registry: &mut Registry, clock: &dyn Clock) -> Self {
        let metrics = Self {
            reconciles: Family::default(),
            errors: Family::default(),
            duration: Family::new_with_constructor(reconcile_durations),
            issued: Family::default(),
            rollouts: Family::default(),
            served: served_after(),
        };
        registry.register(
            "certwright_reconciles",
            "Reconciles, by controller and by how they ended",
            metrics.reconciles.clone(),
        );
        registry.register(
            "certwright_reconcile_errors",
            "Reconciles that failed, by controller and reason",
            metrics.errors.clone(),
        );
        registry.register_with_unit(
            "certwright_reconcile_duration",
            "How long reconciles took, by controller",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "certwright_certificates_issued",
            "Certificates issued and stored since the process started, by kind of issuer",
            metrics.issued.clone(),
        );
        registry.register(
            "certwright_rollouts",
            "Workloads that were restarted or called for a new certificate since the process started, by strategy",
            metrics.rollouts.clone(),
        );
        registry.register_with_unit(
            "certwright_issue_to_served",
            "How long after a certificate was issued all its workloads and hosts were first seen to serve it",
            Unit::Seconds,
            metrics.served.clone(),
        );
        registry.register(
            "certwright_build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register_with_unit(
            "process_start_time",
            "When the process started, since the Unix epoch",
            Unit::Seconds,
            ConstGauge::new(clock.now().as_duration().as_secs_f64()),
        );
        metrics
    }

    /// Counts a reconcile of `controller` that ended with `outcome` after `took`.
    ///
    /// Both names come from a closed set, such as `certificate` and `issued`.
    pub fn reconciled(&self, controller: &'static str, outcome: &'static str, took: Duration) {
        self.reconciles
            .get_or_create(&ReconcileLabels {
                controller,
                outcome,
            })
            .inc();
        self.duration
            .get_or_create(&ControllerLabels { controller })
            .observe(took.as_secs_f64());
    }

    /// Counts an error, under the reason that the condition and the Event bear too.
    pub fn failed(&self, controller: &'static str, reason: &'static str) {
        self.errors
            .get_or_create(&ErrorLabels { controller, reason })
            .inc();
    }

    /// Counts a certificate that was issued and stored; `issuer_kind` is a field of the issuer's spec, such as `ca`.
    pub fn issued(&self, issuer_kind: &'static str) {
        self.issued
            .get_or_create(&IssuedLabels { issuer_kind })
            .inc();
    }
    /// Counts a workload that was given a new certificate so.
    pub fn carried(&self, strategy: RolloutStrategy) {
        let strategy = strategy.as_str();
        self.rollouts
            .get_or_create(&RolloutLabels { strategy })
            .inc();
    }

    /// Takes note of a certificate that all were seen to serve, so long after it was issued.
    pub fn served(&self, after: SignedDuration) {
        self.served.observe(after.as_secs_f64());
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RolloutLabels {
    strategy: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    controller: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    controller: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IssuedLabels {
    issuer_kind: &'static str,
}

/// From a look that finds nothing to do up to an outside call that times out, in seconds.
fn reconcile_durations() -> Histogram {
    Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0])
}

/// From a workload that reads its files at once up to a roll that waited for its window, in seconds.
fn served_after() -> Histogram {
    Histogram::new([
        2.0, 10.0, 30.0, 60.0, 180.0, 600.0, 3600.0, 28800.0, 86400.0,
    ])
}

#[cfg(test)]
mod tests;
