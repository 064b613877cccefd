//! `sim`: simulated boards against any server.

use crate::cli::SimArgs;
use crate::provision::{Server, Wanted};
use crate::serve::on_signal;
use anyhow::{Context, ensure};
use espalier_sim::{BoardKind, Faults, Fleet, SimOptions};
use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::time::Duration;

/// The tag of the boards that this command makes.
const TAG: &str = "simulated";

/// Runs simulated boards until a signal or the end of the time.
pub async fn run(args: SimArgs) -> anyhow::Result<()> {
    ensure!(args.devices > 0, "--devices must be at least 1");
    let _ = rlimit::increase_nofile_limit(1 << 20);
    let server = Server::new(&args.server, &secret(&args.api_key_file)?)?;
    let wanted = (0..args.devices).map(|n| Wanted {
        kind: BoardKind::ALL[n % BoardKind::ALL.len()],
        name: format!("Simulated board {:05}", n + 1),
        outage: None,
    });
    let specs = server.boards(TAG, wanted.collect()).await?;
    let stop = on_signal()?;
    if let Some(seconds) = args.seconds {
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            stop.cancel();
        });
    }
    let options = options(&args);
    let fleet = Fleet::run(specs.clone(), &options, &stop)?;
    let mut out = std::io::stdout();
    let terminal = out.is_terminal();
    let every = Duration::from_secs(if terminal { 1 } else { 5 });
    espalier_sim::watch(&fleet, &mut out, every, terminal, &stop).await?;
    fleet.stopped().await;
    if args.remove {
        server.remove(&specs).await?;
    }
    Ok(())
}

fn options(args: &SimArgs) -> SimOptions {
    let every =
        |per_hour: f64| (per_hour > 0.0).then(|| Duration::from_secs_f64(3600.0 / per_hour));
    let mut options = SimOptions::new(&args.server);
    options.rate = args.rate;
    // A hundred handshakes per second: a fleet that comes back, not an attack.
    options.start_over =
        Duration::from_millis(10) * u32::try_from(args.devices).unwrap_or(u32::MAX);
    options.faults = Faults {
        cut_every: every(args.cuts_per_hour),
        cut_for: Duration::from_secs(20),
        latency: (args.latency_ms > 0).then(|| Duration::from_millis(args.latency_ms)),
        clock_jump_every: every(args.clock_jumps_per_hour),
        clock_jump_max: Duration::from_secs(3600),
        restart_every: every(args.restarts_per_hour),
    };
    options
}

/// The first line of a file, or of standard input.
fn secret(path: &Path) -> anyhow::Result<String> {
    let mut line = String::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_line(&mut line)?;
    } else {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        text.lines()
            .next()
            .unwrap_or_default()
            .clone_into(&mut line);
    }
    let secret = line.trim();
    ensure!(
        !secret.is_empty(),
        "{} holds no API key in its first line",
        path.display()
    );
    Ok(secret.to_owned())
}
