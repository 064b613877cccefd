//! `sim`: simulated boards against any server.

use crate::cli::{SimArgs, SimCommand, SimFirmwareArgs};
use crate::firmware;
use crate::provision::{Server, Wanted};
use crate::serve::on_signal;
use anyhow::{Context, anyhow, ensure};
use espalier_image::app;
use espalier_image::chip::Chip;
use espalier_sim::firmware::Firmware;
use espalier_sim::{BoardKind, Faults, Fleet, SimOptions};
use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::time::Duration;

/// The tag of the boards that this command makes.
const TAG: &str = "simulated";

/// Runs simulated boards until a signal or the end of the time.
pub async fn run(args: SimArgs) -> anyhow::Result<()> {
    if let Some(SimCommand::Firmware(args)) = &args.command {
        return write_firmware(args);
    }
    ensure!(args.devices > 0, "--devices must be at least 1");
    let _ = rlimit::increase_nofile_limit(1 << 20);
    let key_file = args.api_key_file.as_deref();
    let key_file = key_file.context("--api-key-file is missing")?;
    let server = Server::new(&args.server, &secret(key_file)?)?;
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
    let mut options = options(&args);
    options.keys = match args.keys.as_slice() {
        // A server that knows no firmware has no keys to give; its boards do without updates.
        [] => server.trusted_keys().await.unwrap_or_default(),
        files => files
            .iter()
            .map(|file| Ok(*firmware::public_key(file)?.bytes()))
            .collect::<anyhow::Result<_>>()?,
    };
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
        weak_power_every: every(args.faulty_power),
    };
    options.firmware.clone_from(&args.firmware);
    options.firmware_size = args.firmware_size * 1024;
    options.download_rate = (args.download_rate > 0).then_some(args.download_rate * 1024);
    options.flash_dir.clone_from(&args.flash_dir);
    options.updates.allow_unsigned = args.allow_unsigned;
    options
}

/// Writes an image for simulated boards.
fn write_firmware(args: &SimFirmwareArgs) -> anyhow::Result<()> {
    let chip = Chip::from_name(&args.chip).ok_or_else(|| {
        let names = Chip::ALL.map(Chip::as_str);
        anyhow!(
            "there is no chip {}: take one of {}",
            args.chip,
            names.join(", ")
        )
    })?;
    ensure!(
        (4..=1900).contains(&args.size),
        "--size must be 4 to 1900: a slot has 1920 kB"
    );
    let described = Firmware {
        fault: args.fault,
        size: args.size * 1024,
        secure_version: args.secure_version,
        ..Firmware::new(chip, &args.version)
    };
    let image = described.image();
    let read = app::parse(&image).map_err(|error| anyhow!("{error}"))?;
    ensure!(
        read.head.version == args.version,
        "--version may have at most 31 plain characters"
    );
    std::fs::write(&args.out, &image)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    println!(
        "{}: {} {} for {chip}, {} bytes, fault: {}",
        args.out.display(),
        described.project,
        described.version,
        image.len(),
        args.fault
    );
    Ok(())
}

/// The first line of a file, or of standard input.
pub fn secret(path: &Path) -> anyhow::Result<String> {
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
