//! What is known of each ServedCheck.

use std::fmt::{Debug, Formatter};
use std::sync::Arc;

use certwright_core::api::ConditionStatus;
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::{STATUSES, gauge};

/// Knows every ServedCheck. A replica that doesn't lead shows none.
pub trait ServedCheckSeries: Send + Sync + 'static {
    /// Shows each check once; called once for each metric in a scrape.
    fn each(&self, visit: &mut dyn FnMut(ServedCheckSample<'_>));
}

/// What is known of one ServedCheck.
#[derive(Clone, Debug)]
pub struct ServedCheckSample<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The server it watches.
    pub target: &'a str,
    /// When what the server shows ends; `None` while that isn't known.
    pub not_after: Option<Timestamp>,
    /// Its condition `Ready`.
    pub ready: ConditionStatus,
    /// The codes of its faults.
    pub faults: Vec<&'a str>,
}

/// Adds the series of each ServedCheck to `registry`.
pub fn register_served_checks(registry: &mut Registry, checks: Arc<dyn ServedCheckSeries>) {
    registry.register_collector(Box::new(Checks(checks)));
}

/// The seconds until what servers show ends, under the name that certificates of our own have too.
pub(super) fn expiry(
    checks: &dyn ServedCheckSeries,
    metric: &mut MetricEncoder<'_>,
    now: Timestamp,
) -> std::fmt::Result {
    each_end(checks, metric, |end| end.duration_since(now).as_secs_f64())
}

fn each_end<V: prometheus_client::encoding::EncodeGaugeValue>(
    checks: &dyn ServedCheckSeries,
    metric: &mut MetricEncoder<'_>,
    value: impl Fn(Timestamp) -> V,
) -> std::fmt::Result {
    let mut result = Ok(());
    checks.each(&mut |sample| {
        if let Some(end) = sample.not_after {
            result = result.and_then(|()| gauge(metric, &of(&sample), &value(end)));
        }
    });
    result
}

struct Checks(Arc<dyn ServedCheckSeries>);

impl Collector for Checks {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "certwright_served_check_not_after_timestamp",
            "When what the watched server shows ends, since the Unix epoch.",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        each_end(&*self.0, &mut metric, Timestamp::as_second)?;
        let mut result = Ok(());
        let mut metric = encoder.encode_descriptor(
            "certwright_served_check_faults",
            "1 for each fault of what the watched server shows.",
            None,
            MetricType::Gauge,
        )?;
        self.0.each(&mut |sample| {
            for fault in &sample.faults {
                let [namespace, name, target] = of(&sample);
                let labels = [namespace, name, target, ("fault", *fault)];
                result = result.and_then(|()| gauge(&mut metric, &labels, &1_i64));
            }
        });
        result?;
        let mut metric = encoder.encode_descriptor(
            "certwright_served_check_ready",
            "The ServedCheck's condition Ready: 1 at the status it has, 0 at the others.",
            None,
            MetricType::Gauge,
        )?;
        self.0.each(&mut |sample| {
            for (status, condition) in STATUSES {
                let [namespace, name, target] = of(&sample);
                let labels = [namespace, name, target, ("condition", condition)];
                let value = i64::from(sample.ready == status);
                result = result.and_then(|()| gauge(&mut metric, &labels, &value));
            }
        });
        result
    }
}

impl Debug for Checks {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checks(..)")
    }
}

/// Labels are a closed set but for these, which people chose who wrote objects.
const fn of<'a>(sample: &ServedCheckSample<'a>) -> [(&'static str, &'a str); 3] {
    [
        ("namespace", sample.namespace),
        ("name", sample.name),
        ("target", sample.target),
    ]
}
