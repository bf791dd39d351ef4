//! How close ACME runs to the limit of the CA.
//!
//! N Certificates at once are ordered from Pebble and proven by HTTP-01, through a front door as users have it: Traefik, to
//! which the names lead at port 80. The operator looks there itself before it sends the CA, which then goes the same way.
//! In the same run, the floor: the same orders by a bare client, which the CA asks directly.

mod floor;
mod place;
mod requests;

use std::time::{Duration, Instant};

use anyhow::Context;

use super::log::Log;
use super::operator::Operator;
use floor::Floor;
use place::{Orders, Place};
use requests::Requests;

/// How many Certificates, unless it is said.
pub(crate) const USUAL: usize = 200;

/// One round's figures.
struct Round {
    rate: f64,
    floor: f64,
    /// Seconds until half of the Certificates were Ready, and until all were.
    half: f64,
    all: f64,
    /// What the CA was asked.
    asked: Requests,
    floor_asked: f64,
    /// What was written to the API server.
    writes: Requests,
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
    let known = Requests::of_pebble(&place.pebble)?;
    let operator = Operator::start_as(place.operator(), &place.cluster).await?;
    let began = Instant::now();
    let ready = orders.all_ready().await?;
    orders.leave_nothing().await?;
    let used = operator.used()?;
    // The last question is whether there is renewal information; what comes after that is not part of the issuance.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = Requests::of_pebble(&place.pebble)?.since(&known);
    let writes = Requests::of_audit(&log.writes()?);
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
        writes,
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
    println!(
        "{count} Certificates of Pebble by HTTP-01 through Traefik, one name each; median of {} rounds",
        rounds.len()
    );
    let per = |requests: usize| requests as f64 / count as f64;
    let line = |name: &str, figure: &dyn Fn(&Round) -> f64| {
        println!("  {name:<32} {:>8.2}", median(rounds, figure));
    };
    line("certificates/s", &|round| round.rate);
    line("floor, certificates/s", &|round| round.floor);
    line("ratio to the floor", &|round| round.rate / round.floor);
    line("time per certificate, ms", &|round| 1000.0 / round.rate);
    line("  that of the bare client", &|round| 1000.0 / round.floor);
    line("half Ready after, s", &|round| round.half);
    line("all Ready after, s", &|round| round.all);
    line("orders", &|round| round.asked.orders() as f64);
    line("orders wasted", &|round| {
        round.asked.orders() as f64 - count as f64
    });
    line("CA requests per certificate", &|round| {
        per(round.asked.all())
    });
    line("  those of the bare client", &|round| round.floor_asked);
    for kind in rounds[0].asked.kinds() {
        line(&format!("  {kind}"), &|round| per(round.asked.of(kind)));
    }
    line("API writes per certificate", &|round| {
        per(round.writes.all())
    });
    for kind in rounds[0].writes.kinds() {
        line(&format!("  {kind}"), &|round| per(round.writes.of(kind)));
    }
    line("CPU per certificate, ms", &|round| round.cpu_ms);
    line("peak memory, MiB", &|round| round.peak_mib);
}
