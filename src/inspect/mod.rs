//! `certwright inspect`.

use crate::cli::InspectSettings;

/// Not written yet.
///
/// # Errors
/// Always.
pub async fn run(_settings: InspectSettings) -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}
