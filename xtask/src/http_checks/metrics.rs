//! `/metrics` as Prometheus reads it: after some traffic, through `promtool check metrics`.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::server::Server;
use crate::packages;

/// Makes some traffic and checks the metrics it leaves behind.
///
/// # Errors
/// When promtool is missing or complains; its words are in the message.
pub fn check(server: &Server) -> Result<()> {
    let promtool = packages::ensure_promtool()?;
    // Series with labels only exist once something was counted: a success, a refusal, an unknown path.
    server.request("GET", "/health", "*/*", "")?.expect(200)?;
    server
        .request("GET", "/devices", "application/json", "")?
        .expect(200)?;
    server.request("POST", "/login", "application/json", "{}")?;
    server
        .request("GET", "/no/such/path", "*/*", "")?
        .expect(404)?;
    let metrics = server
        .request("GET", "/metrics", "text/plain; version=0.0.4", "")?
        .expect(200)?;
    if !metrics.contains("# TYPE") {
        bail!("`GET /metrics` with `Accept: text/plain` did not answer Prometheus text: {metrics}");
    }
    let mut child = Command::new(&promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{}` could not be started", promtool.display()))?;
    child
        .stdin
        .take()
        .context("a child without a standard input")?
        .write_all(metrics.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!(
            "promtool complains:\n{}",
            String::from_utf8_lossy(&said).trim()
        );
    }
    println!(
        "{} lines, {} families",
        metrics.lines().count(),
        metrics.matches("# TYPE").count()
    );
    Ok(())
}
