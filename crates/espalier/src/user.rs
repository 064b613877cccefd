//! `user add`: accounts from the command line, on a stopped or running server.

use crate::backup::http_client;
use crate::cli::UserAddArgs;
use crate::run_file;
use crate::settings::Settings;
use anyhow::{Context, bail};
use espalier_model::Role;
use espalier_server::identity::NewAccount;
use espalier_server::{AppState, Clock, identity};
use serde_json::json;
use std::io::BufRead;

/// Creates an account.
pub async fn add(settings: Settings, args: UserAddArgs) -> anyhow::Result<()> {
    let mut password = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut password)
        .context("cannot read the password from standard input")?;
    let password = password.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        bail!(
            "standard input held no password; try: espalier user add … --password-stdin < password.txt"
        );
    }
    let role = if args.admin {
        Role::Admin
    } else {
        Role::Member
    };
    match run_file::find(&settings.config.data).await {
        Some(running) => ask(&running, &args, &password, role).await?,
        None => {
            let new = NewAccount {
                email: args.email.clone(),
                username: args.username.clone(),
                password,
                full_name: args.full_name.clone(),
                role,
            };
            let app = AppState::start(settings.config, Clock::default()).await?;
            let created = identity::create_account(&app, new).await;
            app.stop().await;
            created.map_err(|e| anyhow::anyhow!("{e}"))?;
        }
    }
    println!("created the account {} ({role})", args.username);
    Ok(())
}

/// Lets the running server create the account, so that it knows of it at once.
async fn ask(
    running: &run_file::Running,
    args: &UserAddArgs,
    password: &str,
    role: Role,
) -> anyhow::Result<()> {
    let body = json!({
        "email": args.email,
        "username": args.username,
        "password": password,
        "full_name": args.full_name,
        "role": role,
    });
    let request = http_client()?
        .post(format!("{}/admin/users", running.url))
        .bearer_auth(&running.token);
    let response = request.json(&body).send().await?;
    if !response.status().is_success() {
        let problem: serde_json::Value = response.json().await.unwrap_or_default();
        bail!(
            "{}",
            problem["message"].as_str().unwrap_or("the server refused")
        );
    }
    Ok(())
}
