//! What it costs to carry one Certificate into N workloads, and how long it takes until all serve it.
//!
//! The workloads are Deployments of one Pod each, whose Pods kwok plays: they are up at once, and what is waited for are API
//! server, controllers and operator. All Pods have the address of one TLS server, which serves what the Secret holds. There are
//! no files, so that the time until a kubelet brings the new ones (`--rollout-volume-delay`) is not part of it.

mod place;

use std::time::Duration;

use anyhow::Context as _;
use certwright::clock::{Clock as _, SystemClock};
use certwright_test_cluster::AuditEvent;
use jiff::Timestamp;

use super::log::{Log, answered_at, status_of};
use super::operator::Operator;
use place::{AT_ONCE, Place};

/// How long after a certificate was issued its dependents are left alone (`core::rollout::SETTLE`).
const SETTLE: Duration = Duration::from_secs(5);

/// One round's figures.
struct Round {
    /// Seconds from the request until the Secret was written.
    write: f64,
    /// From then until the last workload runs with the certificate, without the time that dependents are left alone.
    roll: f64,
    /// From then until all were told to have been seen to serve it.
    probe: f64,
    /// The most that were under way at a moment.
    most: usize,
    /// Calls of the operator about workloads and their Pods until all ran with it...
    calls: usize,
    /// ...and from then on, to see what they serve.
    probe_calls: usize,
    status_writes: usize,
    cpu_ms: f64,
    peak_mib: f64,
}

pub(crate) async fn run(count: usize, rounds: usize) -> anyhow::Result<()> {
    eprintln!("Starting a control plane with {count} workloads that read one Secret");
    let place = Place::start(count).await?;
    let mut log = Log::follow(&place.cluster)?;
    let operator = Operator::start_as(place.operator(), &place.cluster).await?;
    place.is_served(1).await?;
    let before = operator.used()?.peak_bytes as f64 / f64::from(1 << 20);
    let mut figures = Vec::new();
    for number in 1..=rounds {
        let round = measure(&place, &operator, &mut log, number)
            .await
            .with_context(|| format!("round {number} failed"))?;
        eprintln!(
            "{count} workloads, round {number}: rolled in {:.1} s, seen to serve it {:.1} s later",
            round.roll, round.probe
        );
        figures.push(round);
    }
    operator.stop().await?;
    report(count, before, &figures);
    Ok(())
}

async fn measure(
    place: &Place,
    operator: &Operator,
    log: &mut Log,
    number: usize,
) -> anyhow::Result<Round> {
    log.calls()?;
    let used = operator.used()?.cpu;
    let asked = SystemClock.now();
    let watched = place.watch_workloads();
    place.renew(number).await?;
    let rolled = place.is_rolled_out(number + 1).await?;
    let until_rolled = log.calls()?;
    let served = place.is_served(number + 1).await?;
    let after = log.calls()?;
    let most = watched.stop().await?;
    let used = operator.used()?.cpu.saturating_sub(used);
    let written = until_rolled
        .iter()
        .find(|call| call.is_write() && call.is_about("secrets") && call.code() < 300)
        .context("the Secret was not written")?;
    let written = answered_at(written)?;
    let of_workloads = |call: &&AuditEvent| call.is_about("deployments") || call.is_about("pods");
    let of_status = |call: &&AuditEvent| call.is_write() && status_of(call).is_some();
    Ok(Round {
        write: seconds(asked, written),
        roll: seconds(written, rolled) - SETTLE.as_secs_f64(),
        probe: seconds(rolled, served),
        most,
        calls: until_rolled.iter().filter(of_workloads).count(),
        probe_calls: after.iter().filter(of_workloads).count(),
        status_writes: until_rolled.iter().chain(&after).filter(of_status).count(),
        cpu_ms: used.as_secs_f64() * 1000.0 / place.count as f64,
        peak_mib: operator.used()?.peak_bytes as f64 / f64::from(1 << 20),
    })
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

fn report(count: usize, before: f64, rounds: &[Round]) {
    println!(
        "{count} workloads of one Certificate, {AT_ONCE} at once; median of {} rounds",
        rounds.len()
    );
    let line = |name: &str, figure: &dyn Fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        println!("  {name:<44} {:>8.2}", values[values.len() / 2]);
    };
    line("from the request to the Secret, s", &|round| round.write);
    println!("  {:<44} {:>8}", "into the files of Pods, s", "none");
    line("from there until all run with it, s", &|round| round.roll);
    line("from there until all were seen to serve it, s", &|round| {
        round.probe
    });
    line("most under way at once", &|round| round.most as f64);
    line("calls per workload until it runs with it", &|round| {
        round.calls as f64 / count as f64
    });
    line("calls after that, of all together", &|round| {
        round.probe_calls as f64
    });
    line("writes of the Certificate's status", &|round| {
        round.status_writes as f64
    });
    line("CPU of the operator per workload, ms", &|round| {
        round.cpu_ms
    });
    println!(
        "  {:<44} {before:>8.2}",
        "peak memory before the first, MiB"
    );
    line("peak memory, MiB", &|round| round.peak_mib);
}
