//! The OpenAPI document as a client generator reads it: openapi-typescript makes a client's types, the TypeScript compiler reads them.

use std::process::Command;

use anyhow::{Context, Result};

use super::server::Server;
use crate::{packages, process};

/// openapi-typescript accepts TypeScript 5 only.
const TOOLS: [&str; 2] = ["openapi-typescript@7.13.0", "typescript@5.9.3"];

/// Generates a client's types and compiles them.
///
/// # Errors
/// When Node is missing, or one of the two tools complains.
pub fn check(server: &Server) -> Result<()> {
    packages::ensure_npm()?;
    let tools = process::tool_folder("openapi-typescript-7.13.0");
    let programs = tools.join("node_modules/.bin");
    if !programs.join("tsc").exists() {
        std::fs::create_dir_all(&tools)?;
        let mut npm = Command::new("npm");
        npm.args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel",
            "error",
            "--prefix",
        ])
        .arg(&tools);
        process::run(npm.args(TOOLS)).context("npm could not install the client generator")?;
    }
    let document = server.folder().join("openapi.json");
    let client = server.folder().join("client.ts");
    std::fs::write(&document, server.openapi()?)?;
    process::run(
        Command::new(programs.join("openapi-typescript"))
            .arg(&document)
            .arg("--output")
            .arg(&client),
    )?;
    let types = std::fs::read_to_string(&client)?;
    anyhow::ensure!(
        types.contains("\"/login\""),
        "the generated client knows no `/login`"
    );
    process::run(
        Command::new(programs.join("tsc"))
            .args(["--noEmit", "--strict", "--skipLibCheck"])
            .arg(&client),
    )
}
