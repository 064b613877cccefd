//! Where log lines go and how they look.

use espalier_server::Config;
use espalier_server::config::LogFormat;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Starts logging; the guard writes the last lines when it is dropped.
///
/// # Errors
/// Names the setting that does not fit.
pub fn start(config: &Config) -> anyhow::Result<Option<WorkerGuard>> {
    // Migrations tell each step at `info`; only what goes wrong with them is news.
    let filter =
        EnvFilter::try_new(format!("refinery_core=warn,{}", config.log_level)).map_err(|e| {
            anyhow::anyhow!(
                "log_level {:?} is not a filter: {e}; try `info`",
                config.log_level
            )
        })?;
    let (writer, guard) = match &config.log_dir {
        Some(dir) => {
            let files = RollingFileAppender::builder()
                .rotation(Rotation::DAILY)
                .filename_prefix("espalier")
                .filename_suffix("log")
                .max_log_files(usize::from(config.log_files.max(1)))
                .build(dir)
                .map_err(|e| anyhow::anyhow!("cannot write logs to {}: {e}", dir.display()))?;
            let (writer, guard) = tracing_appender::non_blocking(files);
            (BoxMakeWriter::new(writer), Some(guard))
        }
        None => (BoxMakeWriter::new(std::io::stderr), None),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    let started = match config.log_format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder
            .with_ansi(config.log_dir.is_none())
            .with_target(false)
            .try_init(),
    };
    started.map_err(|e| anyhow::anyhow!("cannot start logging: {e}"))?;
    Ok(guard)
}
