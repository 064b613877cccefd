//! The program: command line, wiring, shutdown. It holds no rule of the product; those are in
//! `espalier-server`.
//!
//! Exit codes: 0 done, 1 it failed (one sentence on standard error says why and what to do), 2 the command
//! line is wrong, 3 `doctor` found something to mend.

mod backup;
mod cli;
mod demo;
mod doctor;
mod firmware;
mod logging;
mod provision;
mod run_file;
mod serve;
mod settings;
mod sim;
mod user;

use clap::Parser;
use cli::{Cli, Command, UserCommand};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("espalier: cannot start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(cli));
    // Blocking work that still runs (a password hash of a client that left) must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("espalier: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    // Keys and images have nothing to do with a server: broken settings must not keep anybody from signing.
    if let Command::Firmware(command) = &cli.command {
        return firmware::run(command, || settings::load(&cli)).await;
    }
    let settings = settings::load(&cli)?;
    match cli.command {
        Command::Serve(_) => serve::run(settings).await?,
        Command::Demo(args) => demo::run(settings, args).await?,
        Command::User(UserCommand::Add(args)) => user::add(settings, args).await?,
        Command::Backup(args) => backup::backup(settings, args).await?,
        Command::Restore(args) => backup::restore(settings, args).await?,
        Command::Doctor(_) => return doctor::run(settings).await,
        Command::Config(args) => settings::print(&settings, &args),
        Command::Sim(args) => sim::run(args).await?,
        Command::Firmware(command) => return firmware::run(&command, || Ok(settings)).await,
        Command::Openapi => println!(
            "{}",
            serde_json::to_string_pretty(&espalier_server::openapi())?
        ),
    }
    Ok(ExitCode::SUCCESS)
}
