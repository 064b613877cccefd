//! `doctor`: what is wrong with this installation, and what to do.

use crate::run_file;
use crate::settings::Settings;
use espalier_db::Db;
use espalier_server::Config;
use espalier_server::app::control_location;
use std::path::Path;
use std::process::ExitCode;

/// What one check found.
enum Finding {
    /// All is well.
    Good(String),
    /// It works, but somebody should know.
    Note(String),
    /// It must be mended; the second text says how.
    Bad(String, String),
}

/// Checks everything that can be checked and prints one line per check.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let config = &settings.config;
    let mut findings = vec![match &settings.file {
        Some(file) => Finding::Good(format!("settings are read from {}", file.display())),
        None => Finding::Note(
            "there is no espalier.toml; defaults and the environment are used".to_owned(),
        ),
    }];
    findings.push(check_folder(&config.data));
    let running = run_file::find(&config.data).await;
    findings.push(match &running {
        Some(running) => Finding::Good(format!("the server runs at {}", running.url)),
        None => check_port(config).await,
    });
    findings.push(check_database(config).await);
    findings.extend(check_safety(config));
    let mut code = ExitCode::SUCCESS;
    for finding in findings {
        match finding {
            Finding::Good(text) => println!("ok    {text}"),
            Finding::Note(text) => println!("note  {text}"),
            Finding::Bad(text, mend) => {
                println!("BAD   {text}\n      → {mend}");
                code = ExitCode::from(3);
            }
        }
    }
    Ok(code)
}

fn check_folder(data: &Path) -> Finding {
    if !data.exists() {
        return Finding::Note(format!(
            "the data folder {} does not exist yet; the first start makes it",
            data.display()
        ));
    }
    let probe = data.join(".doctor");
    match std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => Finding::Good(format!("the data folder {} can be written", data.display())),
        Err(error) => Finding::Bad(
            format!(
                "the data folder {} cannot be written: {error}",
                data.display()
            ),
            "give the user of the server the right to write there, or choose another with --data"
                .to_owned(),
        ),
    }
}

async fn check_port(config: &Config) -> Finding {
    let address = format!("{}:{}", config.host, config.port);
    match tokio::net::TcpListener::bind(&address).await {
        Ok(_) => Finding::Good(format!("{address} is free to listen on")),
        Err(error) => Finding::Bad(
            format!("cannot listen on {address}: {error}"),
            "stop the program that has the port, or choose another with --listen or PORT"
                .to_owned(),
        ),
    }
}

async fn check_database(config: &Config) -> Finding {
    let location = match control_location(config) {
        Ok(location) => location,
        Err(error) => {
            return Finding::Bad(
                error.to_string(),
                "choose another folder with --data".to_owned(),
            );
        }
    };
    if let espalier_db::Location::Sqlite(path) = &location
        && !path.exists()
    {
        return Finding::Note("there is no database yet; the first start makes it".to_owned());
    }
    let db = match Db::open(&location).await {
        Ok(db) => db,
        Err(error) => {
            let mend = "check that the server of DATABASE_URL runs and lets this user in; for a damaged file restore a backup";
            return Finding::Bad(error.to_string(), mend.to_owned());
        }
    };
    let count = db
        .read(|c| {
            c.query_one("select count(*) as n from account", &[])?
                .get::<i64>("n")
        })
        .await;
    db.close().await;
    match count {
        Ok(0) => Finding::Note(
            "there is no account yet; `espalier serve` prints a one-time link to make one"
                .to_owned(),
        ),
        Ok(n) => Finding::Good(format!(
            "the database ({}) answers and holds {n} accounts",
            db.engine()
        )),
        Err::<_, espalier_db::Error>(error) => Finding::Bad(
            error.to_string(),
            "restore a backup with `espalier restore`".to_owned(),
        ),
    }
}

fn check_safety(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let local = matches!(config.host.as_str(), "127.0.0.1" | "::1" | "localhost");
    if !local && !config.public_url.starts_with("https://") {
        findings.push(Finding::Note(
            "the server listens beyond this machine without HTTPS: put a proxy with TLS before it and set public_url".to_owned(),
        ));
    }
    if config.rate_limit_requests == 0 {
        findings.push(Finding::Note(
            "the rate limit is off (rate_limit_requests = 0)".to_owned(),
        ));
    }
    if config.smtp_url.is_none() {
        findings.push(Finding::Note(
            "no mail server is set (smtp_url): reset links are printed to the log".to_owned(),
        ));
    }
    if config.signup == espalier_server::config::Signup::Open && !local {
        findings.push(Finding::Note(
            "anybody who reaches the server may make an account (signup = \"open\")".to_owned(),
        ));
    }
    findings
}
