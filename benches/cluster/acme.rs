//! How close ACME runs to the limit of the CA.
//!
//! N Certificates at once are ordered from Pebble and proven by HTTP-01, through a front door as users have it: Traefik, to
//! which the names lead at port 80. The operator looks there itself before it sends the CA, which then goes the same way.
//! In the same run, the floor: the same orders by a bare client, which the CA asks directly.

mod asked;
mod floor;
mod place;

use std::time::{Duration, Instant};

use anyhow::Context;

use super::log::Log;
use super::operator::Operator;
use asked::Asked;
use floor::Floor;
use place::{Orders, Place};

/// How many Certificates, unless it is said.
pub(crate) const USUAL: usize = 200;

/// One round's figures.
struct Round {
    rate: f64,
    floor: f64,
    /// Seconds until half of the Certificates were Ready, and until all were.
    half: f64,
    all: f64,
    asked: Asked,
    floor_asked: f64,
    writes: f64,
    cpu_ms: f64,
    peak_mib: f64,
}

pub(crate) async fn run(count: usize, rounds: usize) -> anyhow::Result<()> {
    eprintln!("Starting a control plane, Traefik and Pebble for {rounds} rounds of {count} orders");
    let place = Place::start(count).await?;
    let mut figures = Vec::new();
    for number in 1..=rounds {
        let round = measure(&place, count)
            .await
            .with_context(|| format!("round {number} failed"))?;
        eprintln!(
            "{count} by ACME, round {number}: {:.1} certificates/s, floor {:.1}/s, ratio {:.2}",
            round.rate,
            round.floor,
            round.rate / round.floor
        );
        figures.push(round);
    }
    report(count, &figures);
    Ok(())
}

async fn measure(place: &Place, count: usize) -> anyhow::Result<Round> {
    let before = Floor::measure(count.min(USUAL)).await?;
    let orders = Orders::make(place, count).await?;
    let mut log = Log::follow(&place.cluster)?;
    let known = Asked::so_far(&place.pebble)?;
    let operator = Operator::start_as(place.operator(), &place.cluster).await?;
    let began = Instant::now();
    let ready = orders.all_ready().await?;
    orders.leave_nothing().await?;
    let used = operator.used()?;
    // The last question is whether there is renewal information; what comes after that is not part of the issuance.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = Asked::so_far(&place.pebble)?.since(&known);
    let writes = log.writes()?.len();
    operator.stop().await?;
    let after = Floor::measure(count.min(USUAL)).await?;
    orders.remove().await?;

    let seconds = |moment: &Instant| moment.duration_since(began).as_secs_f64();
    let all = ready.last().map(seconds).context("nothing was ordered")?;
    let per = |value: f64| value / count as f64;
    Ok(Round {
        rate: count as f64 / all,
        floor: f64::midpoint(before.best, after.best),
        half: seconds(&ready[ready.len() / 2]),
        all,
        asked,
        floor_asked: before.asked,
        writes: per(writes as f64),
        cpu_ms: per(used.cpu.as_secs_f64() * 1000.0),
        peak_mib: used.peak_bytes as f64 / f64::from(1 << 20),
    })
}

fn median(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(count: usize, rounds: &[Round]) {
    let per = |asked: usize| asked as f64 / count as f64;
    let line = |name: &str, value: f64, more: &str| println!("  {name:<28} {value:>8.2}  {more}");
    println!(
        "{count} Certificates of Pebble by HTTP-01 through Traefik, one name each; median of {} rounds",
        rounds.len()
    );
    line("certificates/s", median(rounds, |round| round.rate), "");
    line("floor, certificates/s", median(rounds, |r| r.floor), "");
    line(
        "ratio to the floor",
        median(rounds, |round| round.rate / round.floor),
        "",
    );
    line(
        "half Ready after, s",
        median(rounds, |round| round.half),
        "",
    );
    line("all Ready after, s", median(rounds, |round| round.all), "");
    line(
        "orders",
        median(rounds, |round| round.asked.orders() as f64),
        "",
    );
    line(
        "orders wasted",
        median(rounds, |round| round.asked.orders() as f64 - count as f64),
        "",
    );
    line(
        "requests per certificate",
        median(rounds, |round| per(round.asked.all())),
        &format!(
            "(the bare client's {:.2})",
            median(rounds, |round| round.floor_asked)
        ),
    );
    for (kind, requests) in rounds.iter().flat_map(|round| round.asked.kinds()).fold(
        std::collections::BTreeMap::<&str, usize>::new(),
        |mut sum, (kind, requests)| {
            *sum.entry(kind).or_default() += requests;
            sum
        },
    ) {
        let requests = requests as f64 / rounds.len() as f64 / count as f64;
        line(&format!("  {kind}"), requests, "");
    }
    line(
        "API writes per certificate",
        median(rounds, |r| r.writes),
        "",
    );
    line("CPU per certificate, ms", median(rounds, |r| r.cpu_ms), "");
    line(
        "peak memory, MiB",
        median(rounds, |round| round.peak_mib),
        "",
    );
}
