//! `demo`: the server with twelve simulated boards.

use crate::cli::DemoArgs;
use crate::settings::Settings;

/// Runs the demo until a signal ends it.
pub async fn run(settings: Settings, _args: DemoArgs) -> anyhow::Result<()> {
    crate::serve::run(settings).await
}
