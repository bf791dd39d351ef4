//! The composition root.

use crate::cli::RunSettings;

/// Stands in for the composition root, which is written on another branch.
///
/// # Errors
/// Always.
pub async fn run(_settings: RunSettings) -> anyhow::Result<()> {
    anyhow::bail!("the operator is not part of this build")
}
