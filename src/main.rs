//! The certwright command: reads the command line, starts what it names, and ends with 0, 1 (failure) or 2 (usage);
//! `verify` has its own meaning of them.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use certwright::cli::{self, Command, RunSettings};
use certwright::{app, crds, inspect, revoke, status, telemetry, verify};

fn main() -> ExitCode {
    let result = match cli::parse() {
        Command::Run(settings) => return run(*settings),
        Command::Crds(settings) => crds::run(&settings),
        Command::Version => cli::print(concat!("certwright ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Inspect(settings) => block_on(inspect::run(settings)),
        Command::Verify(settings) => return verified(block_on(verify::run(settings))),
        Command::Status(settings) => block_on(status::run(settings)),
        Command::Revoke(settings) => block_on(revoke::run(*settings)),
    };
    result.map_or_else(|error| complain(&error), |()| ExitCode::SUCCESS)
}

/// Its end is logged in the form of all its logs, rather than printed.
fn run(settings: RunSettings) -> ExitCode {
    if let Err(error) = telemetry::install(&settings.log) {
        return complain(&error);
    }
    if let Err(error) = block_on(app::run(settings)) {
        tracing::error!(error = format!("{error:#}"), "Certwright failed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// For scripts: 0 where there is no fault, 1 where there are some, 2 where it could not look.
fn verified(result: anyhow::Result<verify::Outcome>) -> ExitCode {
    match result {
        Ok(outcome) => ExitCode::from(outcome.code()),
        Err(error) => {
            complain(&error);
            ExitCode::from(verify::Outcome::Undecided.code())
        }
    }
}

fn complain(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

/// Runs a future on all cores, with the crypto provider that every TLS connection of the process uses.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow!("another crypto provider is installed"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(work)
}
