//! Where the settings come from: defaults, file, environment, command line.

use crate::cli::{Cli, ConfigArgs};
use anyhow::{Context, anyhow};
use espalier_server::Config;
use espalier_server::config::Source;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The settings and where each came from.
pub struct Settings {
    /// The settings.
    pub config: Config,
    /// Where each came from.
    pub sources: BTreeMap<&'static str, Source>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
}

/// Reads the settings for a command.
pub fn load(cli: &Cli) -> anyhow::Result<Settings> {
    let (common, listen) = cli.command.common();
    let named = common.and_then(|c| c.config.clone());
    let usual = Path::new("espalier.toml");
    let file = named.or_else(|| usual.exists().then(|| usual.to_owned()));
    let text = match &file {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?,
        None => String::new(),
    };
    let (mut config, mut sources) = Config::load(&text, variable).map_err(|e| anyhow!(e))?;
    if let Some(data) = common.and_then(|c| c.data.clone()) {
        config.data = data;
        sources.insert("data", Source::CommandLine);
    }
    if let Some(listen) = listen {
        let (host, port) = listen.rsplit_once(':').with_context(|| {
            format!("--listen {listen}: wanted an address and a port, e.g. 0.0.0.0:8000")
        })?;
        config
            .set("port", port)
            .map_err(|e| anyhow!("--listen {listen}: {e}"))?;
        host.trim_start_matches('[')
            .trim_end_matches(']')
            .clone_into(&mut config.host);
        sources.insert("host", Source::CommandLine);
        sources.insert("port", Source::CommandLine);
    }
    Ok(Settings {
        config,
        sources,
        file,
    })
}

/// The one place of the product that reads the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "settings are read here and nowhere else"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Prints the settings as a commented file, or the reference of all settings.
pub fn print(settings: &Settings, args: &ConfigArgs) {
    if args.markdown {
        print!("{}", reference());
    } else {
        print!("{}", settings.config.to_toml(&settings.sources));
    }
}

fn reference() -> String {
    let mut out = String::from(
        "# Settings\n\nA value comes from, later ones winning: the default, `espalier.toml`, the environment, the \
         command line. `espalier config` prints the current ones.\n\n| setting | environment | default | what it does |\n\
         |---|---|---|---|\n",
    );
    for setting in Config::describe() {
        let env: Vec<String> = setting.env.iter().map(|name| format!("`{name}`")).collect();
        let default = if setting.default.is_empty() {
            "(empty)".to_owned()
        } else {
            format!("`{}`", setting.default)
        };
        let doc = setting.doc.replace('|', "\\|");
        out.push_str(&format!(
            "| `{}` | {} | {default} | {doc} |\n",
            setting.key,
            env.join(", ")
        ));
    }
    out
}
