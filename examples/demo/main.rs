//! The demo: Certwright on a real Kubernetes API server, told in acts.
//!
//! Each act checks what it tells. With `--once` the demo ends by itself, with 0 only if every act was seen.

#![allow(missing_docs, reason = "a program, not a library")]

mod acts;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use stage::Stage;

/// Shows Certwright at work on a Kubernetes control plane of its own
///
/// The control plane is real: etcd, API server and controllers, started for the demo from a temporary folder and ended
/// with it. Only the Pods' containers are faked, because no node runs here.
#[derive(Parser)]
#[command(
    name = "make demo",
    bin_name = "make demo ARGS=…",
    max_term_width = 100
)]
struct Arguments {
    /// End after the last act; exit code 0 only if each act was seen
    #[arg(long)]
    once: bool,

    /// Use the cluster of this kubeconfig instead
    ///
    /// Certwright is installed into the namespace certwright there, and the acts play in certwright-demo. Both
    /// namespaces and the CustomResourceDefinitions are taken away at the end. Without this option no cluster of yours
    /// is touched, whatever KUBECONFIG says. The current context counts.
    #[arg(long, value_name = "PATH")]
    kubeconfig: Option<PathBuf>,

    /// The operator's binary
    #[arg(long, value_name = "PATH", hide = true)]
    operator: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("another crypto provider is installed");
        return ExitCode::FAILURE;
    }
    let played = play(&arguments).await;
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("\nThe demo failed: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

async fn play(arguments: &Arguments) -> anyhow::Result<()> {
    let stage = Stage::set(arguments.kubeconfig.as_deref(), &arguments.operator).await?;
    // Whatever was made is taken away, however the acts end.
    let played = tokio::select! {
        played = acts::all(&stage) => played,
        interrupted = tokio::signal::ctrl_c() => Err(interrupted
            .map_or_else(anyhow::Error::new, |()| anyhow::anyhow!("interrupted"))),
    };
    if played.is_err() {
        stage.show_log();
    } else if !arguments.once {
        stage.stay().await;
    }
    stage.clear().await?;
    played
}
