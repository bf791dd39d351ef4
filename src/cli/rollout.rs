//! How workloads are given new certificates: the options for it.

use certwright_core::api::certificate::RolloutStrategy;
use certwright_core::rollout::{Defaults, OtherKinds};
use clap::Args;
use jiff::SignedDuration;

use super::arguments::duration;
use super::settings::RolloutSettings;

const SHORTEST_PROBE_INTERVAL: SignedDuration = SignedDuration::from_secs(10);

#[derive(Args, Debug)]
#[command(next_help_heading = "Rollout")]
pub(super) struct RolloutArguments {
    /// Whether workloads are restarted for new certificates
    #[arg(
        long,
        env = "CERTWRIGHT_ROLLOUT",
        value_name = "BOOLEAN",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    rollout: bool,

    /// Kinds of workload that are restarted besides Deployments, StatefulSets and DaemonSets, with commas between them: each
    /// GROUP/VERSION/KIND, such as argoproj.io/v1alpha1/Rollout, or GROUP/VERSION/KIND:PLURAL:PATH with its plural, else asked of the
    /// API server, and the path of its Pod template, else .spec.template
    #[arg(
        long,
        env = "CERTWRIGHT_ROLLOUT_KINDS",
        value_name = "KINDS",
        default_value = "",
        hide_default_value = true
    )]
    rollout_kinds: OtherKinds,

    /// What is done to workloads that neither an annotation nor a Certificate says anything about: Restart, Reload or None
    #[arg(long, env = "CERTWRIGHT_ROLLOUT_STRATEGY", value_name = "STRATEGY", default_value = "Restart", value_parser = strategy)]
    rollout_strategy: RolloutStrategy,

    /// How many workloads may be restarted or called at once, of all Certificates
    #[arg(long, env = "CERTWRIGHT_ROLLOUT_MAX_CONCURRENT", value_name = "NUMBER", default_value = "20", value_parser = at_once)]
    rollout_max_concurrent: usize,

    /// The same of one Certificate that doesn't say
    #[arg(long, env = "CERTWRIGHT_ROLLOUT_MAX_CONCURRENT_PER_CERTIFICATE", value_name = "NUMBER", default_value = "5", value_parser = at_once)]
    rollout_max_concurrent_per_certificate: usize,

    /// The least time between the starts of two of one Certificate that doesn't say
    #[arg(long, env = "CERTWRIGHT_ROLLOUT_MIN_GAP", value_name = "DURATION", default_value = "0s", value_parser = duration)]
    rollout_min_gap: SignedDuration,

    /// How long a restart may take until all Pods are available, before no other workload of its Certificate is taken up
    #[arg(long, env = "CERTWRIGHT_ROLLOUT_HEALTH_TIMEOUT", value_name = "DURATION", default_value = "10m", value_parser = duration)]
    rollout_health_timeout: SignedDuration,

    /// How long kubelets take to bring a changed Secret into the files of running Pods: until then, none is called
    #[arg(long, env = "CERTWRIGHT_ROLLOUT_VOLUME_DELAY", value_name = "DURATION", default_value = "2m", value_parser = duration)]
    rollout_volume_delay: SignedDuration,

    /// How long after a workload or host was seen to serve its certificate it is looked at again; 0s: none is ever looked at
    #[arg(long, env = "CERTWRIGHT_ROLLOUT_PROBE_INTERVAL", value_name = "DURATION", default_value = "1h", value_parser = probe_interval)]
    rollout_probe_interval: SignedDuration,
}

impl RolloutArguments {
    pub(super) fn into_settings(self) -> Option<RolloutSettings> {
        self.rollout.then_some(RolloutSettings {
            defaults: Defaults {
                kinds: self.rollout_kinds,
                strategy: self.rollout_strategy,
                max_concurrent: self.rollout_max_concurrent_per_certificate,
                min_gap: self.rollout_min_gap,
                health_timeout: self.rollout_health_timeout,
                volume_delay: self.rollout_volume_delay,
            },
            max_concurrent: self.rollout_max_concurrent,
            probe_interval: Some(self.rollout_probe_interval).filter(SignedDuration::is_positive),
        })
    }
}

fn strategy(text: &str) -> Result<RolloutStrategy, String> {
    match text.parse()? {
        RolloutStrategy::Call => Err(
            "each Certificate says for itself how to call; write Restart, Reload or None"
                .to_owned(),
        ),
        strategy => Ok(strategy),
    }
}

fn probe_interval(text: &str) -> Result<SignedDuration, String> {
    let interval = duration(text).map_err(|problem| problem.to_string())?;
    if interval.is_zero() || interval >= SHORTEST_PROBE_INTERVAL {
        Ok(interval)
    } else {
        Err("write at least 10s, or 0s for none".to_owned())
    }
}

fn at_once(text: &str) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=1000).contains(number));
    number.ok_or_else(|| "write a number from 1 to 1000".to_owned())
}
