//! How close Certwright runs to the limit of the API server it works on.
//!
//! Starts a control plane of its own, makes N pending Certificates of a CA Issuer, then starts the operator. In the same
//! run, the floor: the same writes, with the bodies that the operator wrote, from a bare client with the operator
//! stopped. Figures of these machines are noisy, so what counts is the ratio of the two.
//!
//! `cargo bench --bench cluster -- [N] [ROUNDS]`, and with `acme` before the numbers the same of an ACME CA, with `rollout` of N
//! workloads that read one Secret.

#![allow(missing_docs, reason = "a program, not a library")]

mod acme;
mod floor;
mod load;
mod log;
mod operator;
mod rollout;

use std::time::Duration;

use anyhow::Context;
use certwright_test_cluster::{AuditLevel, ControlPlane, Options};
use jiff::Timestamp;

use floor::Floor;
use load::{Load, Written};
use log::Log;
use operator::Operator;

/// Up to how many Certificates the floor is measured with, and what more of them are held against.
const REFERENCE: usize = 1000;

/// One round's figures.
#[derive(Clone, Copy)]
struct Round {
    rate: f64,
    floor: f64,
    writes: f64,
    events: f64,
    renewal_writes: f64,
    cpu_ms: f64,
    peak_mib: f64,
    restart_s: f64,
    restart_writes: usize,
    idle_calls_per_minute: f64,
    idle_cpu_percent: f64,
}

fn main() -> anyhow::Result<()> {
    let of = |what: &str| std::env::args().any(|argument| argument == what);
    let acme = of("acme");
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let usual = if acme { acme::USUAL } else { REFERENCE };
    let count = numbers.first().copied().unwrap_or(usual);
    let rounds = numbers.get(1).copied().unwrap_or(3);
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("another crypto provider is installed"))?;
    let runtime = tokio::runtime::Runtime::new()?;
    if acme {
        return runtime.block_on(acme::run(count, rounds));
    }
    if of("rollout") {
        return runtime.block_on(rollout::run(count, rounds));
    }
    runtime.block_on(run(count, rounds))
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
    let mut reference = Vec::new();
    if count > REFERENCE {
        for round in 1..=rounds {
            reference.push(measured(&cluster, REFERENCE, round).await?);
        }
        eprintln!("Making {} Secrets of others", 2 * count);
        load::foreign(&cluster, 2 * count).await?;
    }
    let mut figures = Vec::new();
    for round in 1..=rounds {
        figures.push(measured(&cluster, count, round).await?);
    }
    if !reference.is_empty() {
        report(REFERENCE, &reference);
    }
    report(count, &figures);
    if !reference.is_empty() {
        let longer = median(&reference, |round| round.rate) / median(&figures, |round| round.rate);
        println!("time per certificate, in that of {REFERENCE}: {longer:.2}");
    }
    Ok(())
}

async fn measured(cluster: &ControlPlane, count: usize, round: usize) -> anyhow::Result<Round> {
    let measured = measure(cluster, count)
        .await
        .with_context(|| format!("round {round} failed"))?;
    eprintln!(
        "{count}, round {round}: {:.0} certificates/s, floor {:.0}/s, ratio {:.2}",
        measured.rate,
        measured.floor,
        measured.rate / measured.floor
    );
    Ok(measured)
}

async fn measure(cluster: &ControlPlane, count: usize) -> anyhow::Result<Round> {
    let load = Load::make(cluster, count).await?;
    let template = load.template().await?;
    let before = Floor::measure(cluster, &template, count.min(REFERENCE)).await?;

    let mut log = Log::follow(cluster)?;
    let operator = Operator::start(cluster).await?;
    let written = load.all_ready(&mut log, 1).await?;
    let took = seconds(operator.began, written.finished);
    let used = operator.used()?;
    let (idle_calls, idle_cpu) = idle(&operator, &mut log).await?;
    load.renew().await?;
    let renewed: Written = load.all_ready(&mut log, 2).await?;
    operator.stop().await?;

    let mut log = Log::follow(cluster)?;
    let operator = Operator::start(cluster).await?;
    let restart = operator.started_in;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let restart_writes = log.writes()?.len();
    operator.stop().await?;

    let after = Floor::measure(cluster, &template, count.min(REFERENCE)).await?;
    load.remove().await?;
    let per = |value: f64| value / count as f64;
    Ok(Round {
        rate: count as f64 / took,
        floor: f64::midpoint(before.best, after.best),
        writes: per(written.writes.len() as f64),
        events: per(written.events() as f64),
        renewal_writes: per(renewed.writes.len() as f64),
        cpu_ms: per(used.cpu.as_secs_f64() * 1000.0),
        peak_mib: used.peak_bytes as f64 / f64::from(1 << 20),
        restart_s: restart.as_secs_f64(),
        restart_writes,
        idle_calls_per_minute: idle_calls,
        idle_cpu_percent: idle_cpu,
    })
}

/// Calls per minute and share of a core while there is nothing to do; watches and the Lease are left out.
async fn idle(operator: &Operator, log: &mut Log) -> anyhow::Result<(f64, f64)> {
    const IDLE: Duration = Duration::from_secs(30);
    log.calls()?;
    let before = operator.used()?.cpu;
    tokio::time::sleep(IDLE).await;
    let calls = log.calls()?;
    let calls = calls.iter().filter(|call| call.verb != "watch").count();
    let cpu = operator.used()?.cpu - before;
    let minutes = IDLE.as_secs_f64() / 60.0;
    let share = cpu.as_secs_f64() / IDLE.as_secs_f64();
    Ok((calls as f64 / minutes, share * 100.0))
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

fn median(rounds: &[Round], figure: fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(count: usize, rounds: &[Round]) {
    let median = |figure| median(rounds, figure);
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
        "  writes per renewal        {:>9.2}",
        median(|round| round.renewal_writes)
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
