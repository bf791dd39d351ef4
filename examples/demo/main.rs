//! The demo: `make demo`. A control plane, the operator, and a story whose every claim is checked.

mod acme;
mod acts;
mod front;
mod kubectl;
mod load;
mod operator;
mod place;
mod voice;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use operator::Operator;
use place::Place;

/// What the user asked for; `help.txt` explains.
#[derive(Debug, Parser)]
#[command(name = "demo", override_help = include_str!("help.txt"))]
struct Arguments {
    #[arg(long)]
    once: bool,
    #[arg(long, value_name = "PATH")]
    kubeconfig: Option<PathBuf>,
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,
    #[arg(long, requires = "kubeconfig")]
    yes: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(Outcome::Seen) => ExitCode::SUCCESS,
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}

enum Outcome {
    Seen,
    Interrupted,
}

async fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    // From the first moment, so that an interrupted start cleans up as well.
    let mut signals = Signals::new().context("failed to listen for Ctrl-C")?;
    let place = tokio::select! {
        place = Place::find(arguments) => place?,
        () = signals.any() => return Ok(Outcome::Interrupted),
    };
    let outcome = perform(&place, arguments.once, &mut signals).await;
    tokio::select! {
        cleaned = place.clean_up() => if let Err(error) = cleaned {
            return outcome.and(Err(error.context("not everything was taken away")));
        },
        () = signals.any() => eprintln!("Not everything was taken away."),
    }
    outcome
}

async fn perform(place: &Place, once: bool, signals: &mut Signals) -> anyhow::Result<Outcome> {
    let mut operator = tokio::select! {
        operator = play(place) => operator?,
        () = signals.any() => return Ok(Outcome::Interrupted),
    };
    if !once {
        invite(place, &operator).await?;
        tokio::select! {
            failure = failure(place, &mut operator) => bail!(failure),
            // Asked to end, and all was seen.
            () = signals.any() => {}
        }
    }
    Ok(Outcome::Seen)
}

async fn play(place: &Place) -> anyhow::Result<Operator> {
    let start = Instant::now();
    let certwright = certwright()?;
    place.install().await?;
    voice::say("Starting the operator, under a token of its own ServiceAccount.");
    let answers = place.front().map(|front| front.answers);
    let mut operator = Operator::start(&certwright, &place.folder, &place.kubectl, answers).await?;
    voice::seen(&format!("certwright run is ready at {}", operator.url()));

    let told = tell(place, &mut operator, &certwright).await;
    if told.is_err() {
        let said = operator.failure().unwrap_or_else(|| operator.log());
        eprintln!("\n{said}");
    }
    voice::say(&format!(
        "\nThat was the demo: {} acts in {} s, each of them seen.",
        told?,
        start.elapsed().as_secs()
    ));
    Ok(operator)
}

/// Plays the acts; how many there were.
async fn tell(
    place: &Place,
    operator: &mut Operator,
    certwright: &Path,
) -> anyhow::Result<&'static str> {
    let kubectl = &place.kubectl;
    let unseen = |number: usize| format!("Act {number} was not seen");

    voice::act(1, "a certificate becomes Ready");
    acts::becomes_ready(kubectl)
        .await
        .with_context(|| unseen(1))?;
    voice::act(2, "its chain");
    acts::shows_its_chain(kubectl, certwright)
        .await
        .with_context(|| unseen(2))?;
    voice::act(3, "a renewal, asked for by hand");
    acts::renews_by_hand(kubectl)
        .await
        .with_context(|| unseen(3))?;
    voice::act(4, "the Deployment is restarted, exactly once");
    acts::rolls_once(kubectl, operator)
        .await
        .with_context(|| unseen(4))?;
    voice::act(5, "mistakes, and the words they get");
    acts::explains_what_is_wrong(kubectl)
        .await
        .with_context(|| unseen(5))?;
    let Some(front) = place.front() else {
        voice::say(
            "\nThe acts with an ACME CA and under load need a front door, and are played without --kubeconfig only.",
        );
        return Ok("five");
    };
    voice::act(6, "an ACME CA, and a visitor by HTTPS");
    acme::lead_to_the_operator(kubectl, front).await?;
    acme::serves_what_a_ca_proved(place, front, certwright)
        .await
        .with_context(|| unseen(6))?;
    voice::act(7, "renewals while clients don't stop asking");
    load::renews_under_load(place, front)
        .await
        .with_context(|| unseen(7))?;
    Ok("seven")
}

/// What to do now that everything runs.
async fn invite(place: &Place, operator: &Operator) -> anyhow::Result<()> {
    voice::say("It all stays up until Ctrl-C. In another terminal:\n");
    voice::answer(&format!(
        "export KUBECONFIG={}\n\
         kubectl get certificates -A\n\
         kubectl explain certificate.spec.privateKey\n\
         {} inspect secret/shop-tls -n certwright-demo\n\
         tail -f {}\n\
         curl {}/metrics",
        place.kubectl.kubeconfig().display(),
        certwright()?.display(),
        operator.log_file().display(),
        operator.url()
    ));
    if let Some(front) = place.front() {
        voice::answer(&acme::curl(place, front));
    }
    voice::say("\nThe seconds that are left, as monitoring sees them:\n");
    voice::answer(&operator.metric("ssl_certificate_expiry{").await?.join("\n"));
    Ok(())
}

/// Waits until something ends that should stay up.
async fn failure(place: &Place, operator: &mut Operator) -> String {
    loop {
        if let Some(failure) = operator.failure().or_else(|| place.failure()) {
            return failure;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// The operator's binary, which cargo puts beside the folder of the examples.
fn certwright() -> anyhow::Result<PathBuf> {
    let demo = std::env::current_exe().context("failed to find the demo's own binary")?;
    let path = demo
        .parent()
        .and_then(Path::parent)
        .context("the demo runs from the root folder")?
        .join("certwright");
    ensure!(
        path.is_file(),
        "{} is missing; build it with: cargo build",
        path.display()
    );
    Ok(path)
}

/// Ctrl-C, and what `kill` and a closed terminal send.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
