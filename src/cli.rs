//! The command line, and the only place that reads the environment.
//!
//! What comes out are plain settings of valid values; nothing else in the program parses text that a user typed to
//! start it.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::Parser;

mod arguments;
mod inspect;
mod revoke;
mod rollout;
mod settings;
mod status;

use arguments::Arguments;
pub use revoke::{Revocable, RevokeSettings};
pub use settings::*;
pub use status::StatusSettings;

/// Where a Pod finds the namespace of its own ServiceAccount.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Reads the process's arguments and environment. Ends the process for `--help` (0) and for arguments that make no
/// sense (2).
pub fn parse() -> Command {
    Arguments::parse().into_command(Path::new(NAMESPACE_FILE))
}

/// Prints what a command found to standard output. A reader that has had enough, such as `head`, is no failure.
///
/// # Errors
/// When standard output can't be written.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("failed to print")
        }
        _ => Ok(()),
    }
}

/// What the machine is called; in a Pod, that is the Pod's name.
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "certwright".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests;
