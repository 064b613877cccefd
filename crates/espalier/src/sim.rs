//! `sim`: simulated boards against any server.

use crate::cli::SimArgs;

/// Runs simulated boards.
pub async fn run(_args: SimArgs) -> anyhow::Result<()> {
    Ok(())
}
