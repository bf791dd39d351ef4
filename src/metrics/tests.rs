use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use certwright_core::api::ConditionStatus;
use certwright_core::api::certificate::RolloutStrategy;
use jiff::{SignedDuration, Timestamp};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::series::{register_certificates, register_issuers, register_served_checks};
use super::{
    CertificateSample, CertificateSeries, IssuerSample, IssuerSeries, Metrics, ServedCheckSample,
    ServedCheckSeries,
};
use crate::clock::ManualClock;

/// What the shop below is told by.
const EXPECTED: &str = r#"# HELP certwright_reconciles Reconciles, by controller and by how they ended.
# TYPE certwright_reconciles counter
certwright_reconciles_total{controller="certificate",outcome="issued"} 2
# HELP certwright_reconcile_errors Reconciles that failed, by controller and reason.
# TYPE certwright_reconcile_errors counter
certwright_reconcile_errors_total{controller="certificate",reason="IssuerNotReady"} 1
# HELP certwright_reconcile_duration_seconds How long reconciles took, by controller.
# TYPE certwright_reconcile_duration_seconds histogram
# UNIT certwright_reconcile_duration_seconds seconds
certwright_reconcile_duration_seconds_sum{controller="certificate"} 3.25
certwright_reconcile_duration_seconds_count{controller="certificate"} 2
certwright_reconcile_duration_seconds_bucket{le="0.001",controller="certificate"} 0
certwright_reconcile_duration_seconds_bucket{le="0.005",controller="certificate"} 0
certwright_reconcile_duration_seconds_bucket{le="0.02",controller="certificate"} 0
certwright_reconcile_duration_seconds_bucket{le="0.1",controller="certificate"} 0
certwright_reconcile_duration_seconds_bucket{le="0.5",controller="certificate"} 1
certwright_reconcile_duration_seconds_bucket{le="2.0",controller="certificate"} 1
certwright_reconcile_duration_seconds_bucket{le="10.0",controller="certificate"} 2
certwright_reconcile_duration_seconds_bucket{le="60.0",controller="certificate"} 2
certwright_reconcile_duration_seconds_bucket{le="+Inf",controller="certificate"} 2
# HELP certwright_certificates_issued Certificates issued and stored since the process started, by kind of issuer.
# TYPE certwright_certificates_issued counter
certwright_certificates_issued_total{issuer_kind="ca"} 1
# HELP certwright_rollouts Workloads that were restarted or called for a new certificate since the process started, by strategy.
# TYPE certwright_rollouts counter
certwright_rollouts_total{strategy="Call"} 1
# HELP certwright_issue_to_served_seconds How long after a certificate was issued all its workloads and hosts were first seen to serve it.
# TYPE certwright_issue_to_served_seconds histogram
# UNIT certwright_issue_to_served_seconds seconds
certwright_issue_to_served_seconds_sum 20.0
certwright_issue_to_served_seconds_count 1
certwright_issue_to_served_seconds_bucket{le="2.0"} 0
certwright_issue_to_served_seconds_bucket{le="10.0"} 0
certwright_issue_to_served_seconds_bucket{le="30.0"} 1
certwright_issue_to_served_seconds_bucket{le="60.0"} 1
certwright_issue_to_served_seconds_bucket{le="180.0"} 1
certwright_issue_to_served_seconds_bucket{le="600.0"} 1
certwright_issue_to_served_seconds_bucket{le="3600.0"} 1
certwright_issue_to_served_seconds_bucket{le="28800.0"} 1
certwright_issue_to_served_seconds_bucket{le="86400.0"} 1
certwright_issue_to_served_seconds_bucket{le="+Inf"} 1
# HELP certwright_build The version that runs.
# TYPE certwright_build info
certwright_build_info{version="VERSION"} 1
# HELP process_start_time_seconds When the process started, since the Unix epoch.
# TYPE process_start_time_seconds gauge
# UNIT process_start_time_seconds seconds
process_start_time_seconds 1793613600.5
# HELP ssl_certificate_expiry Seconds until the certificate that is held, or that a watched server shows, ends, negative once it has ended.
# TYPE ssl_certificate_expiry gauge
ssl_certificate_expiry{namespace="shop",name="web"} 3600.5
ssl_certificate_expiry{namespace="shop",name="old"} -59.5
ssl_certificate_expiry{namespace="shop",name="partner",target="www.example.com:443"} -59.5
# HELP certwright_certificate_not_before_timestamp_seconds When the held certificate began to be valid, since the Unix epoch.
# TYPE certwright_certificate_not_before_timestamp_seconds gauge
# UNIT certwright_certificate_not_before_timestamp_seconds seconds
certwright_certificate_not_before_timestamp_seconds{namespace="shop",name="web"} 1793610001
certwright_certificate_not_before_timestamp_seconds{namespace="shop",name="old"} 1793606341
# HELP certwright_certificate_not_after_timestamp_seconds When the held certificate ends, since the Unix epoch.
# TYPE certwright_certificate_not_after_timestamp_seconds gauge
# UNIT certwright_certificate_not_after_timestamp_seconds seconds
certwright_certificate_not_after_timestamp_seconds{namespace="shop",name="web"} 1793617201
certwright_certificate_not_after_timestamp_seconds{namespace="shop",name="old"} 1793613541
# HELP certwright_certificate_renewal_timestamp_seconds When the held certificate will be renewed, since the Unix epoch.
# TYPE certwright_certificate_renewal_timestamp_seconds gauge
# UNIT certwright_certificate_renewal_timestamp_seconds seconds
certwright_certificate_renewal_timestamp_seconds{namespace="shop",name="web"} 1793615401
# HELP certwright_rollouts_halted 1 where no workload is given the certificate, because one that was given it is not well.
# TYPE certwright_rollouts_halted gauge
certwright_rollouts_halted{namespace="shop",name="old"} 1
# HELP certwright_stale_endpoints How many endpoints were seen to serve another certificate in the place of the held one.
# TYPE certwright_stale_endpoints gauge
certwright_stale_endpoints{namespace="shop",name="web"} 2
# HELP certwright_certificate_ready The Certificate's condition Ready: 1 at the status it has, 0 at the others.
# TYPE certwright_certificate_ready gauge
certwright_certificate_ready{namespace="shop",name="web",condition="True"} 1
certwright_certificate_ready{namespace="shop",name="web",condition="False"} 0
certwright_certificate_ready{namespace="shop",name="web",condition="Unknown"} 0
certwright_certificate_ready{namespace="shop",name="old",condition="True"} 0
certwright_certificate_ready{namespace="shop",name="old",condition="False"} 1
certwright_certificate_ready{namespace="shop",name="old",condition="Unknown"} 0
certwright_certificate_ready{namespace="shop",name="new",condition="True"} 0
certwright_certificate_ready{namespace="shop",name="new",condition="False"} 0
certwright_certificate_ready{namespace="shop",name="new",condition="Unknown"} 1
# HELP certwright_issuer_ready The issuer's condition Ready: 1 at the status it has, 0 at the others.
# TYPE certwright_issuer_ready gauge
certwright_issuer_ready{kind="ClusterIssuer",namespace="",name="internal",condition="True"} 1
certwright_issuer_ready{kind="ClusterIssuer",namespace="",name="internal",condition="False"} 0
certwright_issuer_ready{kind="ClusterIssuer",namespace="",name="internal",condition="Unknown"} 0
# HELP certwright_served_check_not_after_timestamp_seconds When what the watched server shows ends, since the Unix epoch.
# TYPE certwright_served_check_not_after_timestamp_seconds gauge
# UNIT certwright_served_check_not_after_timestamp_seconds seconds
certwright_served_check_not_after_timestamp_seconds{namespace="shop",name="partner",target="www.example.com:443"} 1793613541
# HELP certwright_served_check_faults 1 for each fault of what the watched server shows.
# TYPE certwright_served_check_faults gauge
certwright_served_check_faults{namespace="shop",name="partner",target="www.example.com:443",fault="expired"} 1
certwright_served_check_faults{namespace="shop",name="partner",target="www.example.com:443",fault="wrong-name"} 1
# HELP certwright_served_check_ready The ServedCheck's condition Ready: 1 at the status it has, 0 at the others.
# TYPE certwright_served_check_ready gauge
certwright_served_check_ready{namespace="shop",name="partner",target="www.example.com:443",condition="True"} 0
certwright_served_check_ready{namespace="shop",name="partner",target="www.example.com:443",condition="False"} 1
certwright_served_check_ready{namespace="shop",name="partner",target="www.example.com:443",condition="Unknown"} 0
certwright_served_check_ready{namespace="shop",name="away",target="10.0.0.7:8443",condition="True"} 0
certwright_served_check_ready{namespace="shop",name="away",target="10.0.0.7:8443",condition="False"} 0
certwright_served_check_ready{namespace="shop",name="away",target="10.0.0.7:8443",condition="Unknown"} 1
# EOF
"#;

#[test]
fn the_whole_text_is_as_documented() {
    assert_eq!(
        scrape(),
        EXPECTED.replace("VERSION", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn each_metric_has_one_help_one_type_and_the_unit_in_its_name() {
    let text = scrape();
    let mut seen = BTreeSet::new();
    let mut family = "";
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split_once(' ').unwrap().0;
            assert!(seen.insert(family), "{family} is told twice");
            assert!(line.ends_with('.'), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert_eq!(kind.split_once(' ').unwrap().0, family);
        } else if let Some(unit) = line.strip_prefix("# UNIT ") {
            let (name, unit) = unit.split_once(' ').unwrap();
            assert!(
                name == family && name.ends_with(&format!("_{unit}")),
                "{line}"
            );
        } else {
            assert!(line.starts_with(family), "{line} stands outside its family");
        }
    }
    assert_eq!(seen.len(), 19);
}

#[test]
fn label_values_are_escaped() {
    struct Odd;
    impl CertificateSeries for Odd {
        fn each(&self, visit: &mut dyn FnMut(CertificateSample<'_>)) {
            visit(CertificateSample {
                namespace: "a\"b",
                name: "c\\d\ne",
                not_before: None,
                not_after: Some("2026-11-02T11:00:01Z".parse().unwrap()),
                renewal_time: None,
                ready: ConditionStatus::True,
                halted: false,
                stale_endpoints: None,
            });
        }
    }
    let mut registry = Registry::default();
    register_certificates(
        &mut registry,
        Arc::new(Odd),
        Arc::new(Shop),
        Arc::new(clock()),
    );
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    assert!(
        text.contains("ssl_certificate_expiry{namespace=\"a\\\"b\",name=\"c\\\\d\\ne\"} 3600.5\n"),
        "{text}"
    );
}

fn scrape() -> String {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry, &clock());
    let shop = || Arc::new(Shop);
    register_certificates(&mut registry, shop(), shop(), Arc::new(clock()));
    register_issuers(&mut registry, shop());
    register_served_checks(&mut registry, shop());
    metrics.reconciled("certificate", "issued", Duration::from_millis(250));
    metrics.reconciled("certificate", "issued", Duration::from_secs(3));
    metrics.failed("certificate", "IssuerNotReady");
    metrics.issued("ca");
    metrics.carried(RolloutStrategy::Call);
    metrics.served(SignedDuration::from_secs(20));
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    text
}

fn clock() -> ManualClock {
    ManualClock::at("2026-11-02T10:00:00.5Z".parse().unwrap())
}

struct Shop;

impl CertificateSeries for Shop {
    fn each(&self, visit: &mut dyn FnMut(CertificateSample<'_>)) {
        for (name, not_after, renewal_time, ready) in [
            (
                "web",
                Some("2026-11-02T11:00:01Z"),
                Some("2026-11-02T10:30:01Z"),
                ConditionStatus::True,
            ),
            (
                "old",
                Some("2026-11-02T09:59:01Z"),
                None,
                ConditionStatus::False,
            ),
            ("new", None, None, ConditionStatus::Unknown),
        ] {
            let moment = |text: &str| text.parse().unwrap();
            let (not_after, renewal_time) = (not_after.map(moment), renewal_time.map(moment));
            visit(CertificateSample {
                namespace: "shop",
                name,
                // Two hours of life.
                not_before: not_after.map(|end: Timestamp| end - SignedDuration::from_hours(2)),
                not_after,
                renewal_time,
                ready,
                halted: name == "old",
                stale_endpoints: (name == "web").then_some(2),
            });
        }
    }
}

impl IssuerSeries for Shop {
    fn each(&self, visit: &mut dyn FnMut(IssuerSample<'_>)) {
        visit(IssuerSample {
            kind: "ClusterIssuer",
            namespace: "",
            name: "internal",
            ready: ConditionStatus::True,
        });
    }
}

impl ServedCheckSeries for Shop {
    fn each(&self, visit: &mut dyn FnMut(ServedCheckSample<'_>)) {
        visit(ServedCheckSample {
            namespace: "shop",
            name: "partner",
            target: "www.example.com:443",
            not_after: Some("2026-11-02T09:59:01Z".parse().unwrap()),
            ready: ConditionStatus::False,
            faults: vec!["expired", "wrong-name"],
        });
        visit(ServedCheckSample {
            namespace: "shop",
            name: "away",
            target: "10.0.0.7:8443",
            not_after: None,
            ready: ConditionStatus::Unknown,
            faults: Vec::new(),
        });
    }
}
