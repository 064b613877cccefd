//! `DATA/run.json`: how commands on the same machine find the running server and prove that they may read
//! its data folder. It exists only while the server runs and only its user can read it.

use anyhow::Context;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file of a running server; removed when dropped.
pub struct RunFile(PathBuf);

/// A server that runs on the data folder.
pub struct Running {
    /// Its URL on this machine.
    pub url: String,
    /// The secret that it accepts from this machine's commands.
    pub token: String,
}

fn path(data: &Path) -> PathBuf {
    data.join("run.json")
}

impl RunFile {
    /// Writes the file.
    pub fn create(data: &Path, url: &str, token: &str) -> anyhow::Result<Self> {
        let path = path(data);
        let _ = std::fs::remove_file(&path);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let text = json!({ "pid": std::process::id(), "url": url, "token": token }).to_string();
        let mut file = options
            .open(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        file.write_all(text.as_bytes())?;
        Ok(Self(path))
    }
}

impl Drop for RunFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The server that runs on this data folder, when there is one that answers.
pub async fn find(data: &Path) -> Option<Running> {
    let text = std::fs::read_to_string(path(data)).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    let running = Running {
        url: value["url"].as_str()?.to_owned(),
        token: value["token"].as_str()?.to_owned(),
    };
    let client = crate::backup::http_client().ok()?;
    // A file that a killed server left behind names an address where nobody answers.
    client
        .get(format!("{}/health/live", running.url))
        .send()
        .await
        .ok()?;
    Some(running)
}
