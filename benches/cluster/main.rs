//! How close Certwright runs to the limit of the API server it works on.
//!
//! Starts a control plane of its own, makes N pending Certificates of a CA Issuer, then starts the operator. In the same
//! run, the floor: the same writes, with the bodies that the operator wrote, from a bare client with the operator
//! stopped. Figures of these machines are noisy, so what counts is the ratio of the two.
//!
//! `cargo bench --bench cluster -- [N] [ROUNDS]`

#![allow(missing_docs, reason = "a program, not a library")]

mod floor;
mod load;
mod operator;

use std::time::Duration;

use anyhow::Context;
use certwright_test_cluster::{AuditEvent, AuditLevel, ControlPlane, Options};

use floor::Floor;
use load::Load;
use operator::Operator;

/// One round's figures.
#[derive(Clone, Copy)]
struct Round {
    rate: f64,
    floor: f64,
    writes: f64,
    events: f64,
    cpu_ms: f64,
    peak_mib: f64,
    restart_s: f64,
    restart_writes: usize,
    idle_calls_per_minute: f64,
    idle_cpu_percent: f64,
}

fn main() -> anyhow::Result<()> {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let count = numbers.first().copied().unwrap_or(1000);
    let rounds = numbers.get(1).copied().unwrap_or(3);
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("another crypto provider is installed"))?;
    tokio::runtime::Runtime::new()?.block_on(run(count, rounds))
}

async fn run(count: usize, rounds: usize) -> anyhow::Result<()> {
    eprintln!("Starting a control plane for {rounds} rounds of {count} Certificates");
    let cluster = ControlPlane::start(
        Options::new()
            .without_workloads()
            .audit(AuditLevel::Metadata),
    )
    .await?;
    load::install(&cluster).await?;
    let mut figures = Vec::new();
    for round in 1..=rounds {
        let measured = measure(&cluster, count)
            .await
            .with_context(|| format!("round {round} failed"))?;
        eprintln!(
            "round {round}: {:.0} certificates/s, floor {:.0}/s",
            measured.rate, measured.floor
        );
        figures.push(measured);
    }
    report(count, &figures);
    Ok(())
}

async fn measure(cluster: &ControlPlane, count: usize) -> anyhow::Result<Round> {
    let load = Load::make(cluster, count).await?;
    let template = load.template().await?;
    let before = Floor::measure(cluster, &template, count.min(1000)).await?;

    let audited = cluster.audit_events()?.len();
    let operator = Operator::start(cluster).await?;
    let took = load.all_ready(&operator).await?;
    // The last Events are on their way while the last statuses are seen.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let used = operator.used()?;
    let written = writes_since(cluster, audited)?;
    let events = written
        .iter()
        .filter(|event| event.is_about("events"))
        .count();

    let audited = cluster.audit_events()?.len();
    let idle_cpu = operator.used()?.cpu;
    let idle = Duration::from_secs(30);
    tokio::time::sleep(idle).await;
    let calls = ours_since(cluster, audited)?
        .iter()
        .filter(|event| event.verb != "watch")
        .count();
    let idle_cpu = operator.used()?.cpu - idle_cpu;
    operator.stop().await?;

    let audited = cluster.audit_events()?.len();
    let operator = Operator::start(cluster).await?;
    let restart = operator.started_in;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let restart_writes = writes_since(cluster, audited)?.len();
    operator.stop().await?;

    let after = Floor::measure(cluster, &template, count.min(1000)).await?;
    load.remove().await?;
    let per = |value: f64| value / count as f64;
    Ok(Round {
        rate: count as f64 / took.as_secs_f64(),
        floor: f64::midpoint(before.best, after.best),
        writes: per(written.len() as f64),
        events: per(events as f64),
        cpu_ms: per(used.cpu.as_secs_f64() * 1000.0),
        peak_mib: used.peak_bytes as f64 / f64::from(1 << 20),
        restart_s: restart.as_secs_f64(),
        restart_writes,
        idle_calls_per_minute: calls as f64 * 60.0 / idle.as_secs_f64(),
        idle_cpu_percent: idle_cpu.as_secs_f64() / idle.as_secs_f64() * 100.0,
    })
}

/// What the operator asked of the API server since the audit log had `from` lines.
fn ours_since(cluster: &ControlPlane, from: usize) -> anyhow::Result<Vec<AuditEvent>> {
    let mut events = cluster.audit_events()?.split_off(from);
    events.retain(|event| event.user.username == operator::USER);
    Ok(events)
}

/// Writes of the operator that the API server took.
fn writes_since(cluster: &ControlPlane, from: usize) -> anyhow::Result<Vec<AuditEvent>> {
    let mut events = ours_since(cluster, from)?;
    events.retain(AuditEvent::is_write);
    Ok(events)
}

fn report(count: usize, rounds: &[Round]) {
    let median = |figure: fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!(
        "{count} Certificates of a CA Issuer, ECDSA P-256 keys; median of {} rounds",
        rounds.len()
    );
    println!(
        "  certificates/s            {:>9.1}",
        median(|round| round.rate)
    );
    println!(
        "  floor, certificates/s     {:>9.1}",
        median(|round| round.floor)
    );
    println!(
        "  ratio to the floor        {:>9.2}",
        median(|round| round.rate / round.floor)
    );
    println!(
        "  writes per certificate    {:>9.2}  (of these Events {:.2})",
        median(|round| round.writes),
        median(|round| round.events)
    );
    println!(
        "  CPU per certificate, ms   {:>9.2}",
        median(|round| round.cpu_ms)
    );
    println!(
        "  peak memory, MiB          {:>9.1}",
        median(|round| round.peak_mib)
    );
    println!(
        "  restart until ready, s    {:>9.2}  (writes after it: {})",
        median(|round| round.restart_s),
        median(|round| round.restart_writes as f64)
    );
    println!(
        "  idle: calls per minute    {:>9.1}  (watches left out)",
        median(|round| round.idle_calls_per_minute)
    );
    println!(
        "  idle: share of a core, %  {:>9.2}",
        median(|round| round.idle_cpu_percent)
    );
}
