//! `backup` and `restore`: through the running server when there is one, else on its data folder.

use crate::cli::ArchiveArgs;
use crate::run_file;
use crate::settings::Settings;
use anyhow::{Context, bail};
use espalier_server::ops::archive;
use espalier_server::{AppState, Clock};
use std::io::Write;
use std::path::Path;

/// How often is asked whether the server is back after a restore.
const ASK_EVERY: std::time::Duration = std::time::Duration::from_millis(200);

/// A client for the server on this machine.
pub fn http_client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

/// Writes everything into one file.
pub async fn backup(settings: Settings, args: ArchiveArgs) -> anyhow::Result<()> {
    let contents = match run_file::find(&settings.config.data).await {
        Some(running) => download(&running, &args.file).await?,
        None => {
            let app = AppState::start(settings.config, Clock::default()).await?;
            let contents = archive::write_file(&app, &args.file).await;
            app.stop().await;
            contents?
        }
    };
    println!(
        "wrote {}: {} rows, {} points of telemetry",
        args.file.display(),
        contents.rows,
        contents.points
    );
    Ok(())
}

async fn download(running: &run_file::Running, path: &Path) -> anyhow::Result<archive::Contents> {
    let url = format!("{}/admin/backup", running.url);
    let mut response = http_client()?
        .get(url)
        .bearer_auth(&running.token)
        .send()
        .await?;
    if !response.status().is_success() {
        bail!("the server refused: {}", response.text().await?);
    }
    let mut file = std::fs::File::create_new(path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    while let Some(piece) = response.chunk().await? {
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    // Reading it back proves that it is whole.
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || archive::check(&path)).await?
}

/// Replaces everything by what a backup holds.
pub async fn restore(settings: Settings, args: ArchiveArgs) -> anyhow::Result<()> {
    let file = args.file.clone();
    let contents = tokio::task::spawn_blocking(move || archive::check(&file))
        .await?
        .with_context(|| format!("cannot restore {}", args.file.display()))?;
    match run_file::find(&settings.config.data).await {
        Some(running) => upload(&running, &args.file, &settings.config.data).await?,
        None => {
            std::fs::create_dir_all(&settings.config.data)?;
            let copy = settings.config.data.join("restore.incoming.zst");
            std::fs::copy(&args.file, &copy)
                .context("cannot copy the backup into the data folder")?;
            archive::stage(&settings.config.data, copy)?;
            AppState::start(settings.config, Clock::default())
                .await?
                .stop()
                .await;
        }
    }
    println!(
        "restored {}: {} rows, {} points of telemetry",
        args.file.display(),
        contents.rows,
        contents.points
    );
    Ok(())
}

async fn upload(running: &run_file::Running, path: &Path, data: &Path) -> anyhow::Result<()> {
    let client = http_client()?;
    let body = reqwest::Body::from(tokio::fs::File::open(path).await?);
    let url = format!("{}/admin/restore", running.url);
    let response = client
        .post(url)
        .bearer_auth(&running.token)
        .body(body)
        .send()
        .await?;
    if !response.status().is_success() {
        bail!("the server refused: {}", response.text().await?);
    }
    // The server starts anew; it is back when it answers with the archive gone.
    loop {
        let ready = client
            .get(format!("{}/health/ready", running.url))
            .send()
            .await;
        if ready.is_ok_and(|r| r.status().is_success()) && !data.join(archive::PENDING).exists() {
            return Ok(());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
