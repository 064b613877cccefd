//! The web app's checks: types, format, unit tests, size, and its stories in a real browser against the real server.
//!
//! The tools are those of `web/package-lock.json`; the browser is Debian's Chromium. `crates/espalier-ui/build.rs` installs
//! the same tools and leaves the same mark, so that whoever comes first does it for both.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::image_checks::ESPTOOL;
use crate::steps::Steps;
use crate::{packages, process, program};

/// What the first load may cost, compressed with gzip, bytes: the page's own script and everything that it loads with it.
const FIRST_LOAD: usize = 200_000;

fn folder() -> PathBuf {
    process::root().join("web")
}

fn npm(args: &[&str]) -> Command {
    let mut npm = Command::new("npm");
    npm.args(args).current_dir(folder());
    npm
}

/// Runs the checks, each as a step. The stories flash the kit in the folder `kit`, and fail when it is not there; without a
/// folder that one story is skipped.
pub fn run(steps: &mut Steps, kit: Option<PathBuf>) {
    if !steps.step("web: tools", install) {
        return;
    }
    steps.step("web: API types", || api_types(true));
    steps.step("web: types", || {
        process::run(&mut npm(&["run", "--silent", "check"]))
    });
    steps.step("web: format", || {
        process::run(&mut npm(&["run", "--silent", "lint"]))
            .context("`npm run format` in web/ puts it right")
    });
    steps.step("web: unit tests", || {
        process::run(&mut npm(&["run", "--silent", "test"]))
    });
    steps.step("web: size of the first load", size);
    steps.step("web: stories in Chromium", || stories(kit.as_deref()));
}

/// Makes sure that Node, npm and the packages of the lock file are there.
///
/// # Errors
/// When something is missing and cannot be installed.
pub fn install() -> Result<()> {
    packages::ensure_npm()?;
    let lock = fs::read(folder().join("package-lock.json"))?;
    let mark = folder().join("node_modules/.installed");
    if fs::read(&mark).unwrap_or_default() == lock {
        return Ok(());
    }
    process::run(&mut npm(&[
        "ci",
        "--no-audit",
        "--no-fund",
        "--loglevel",
        "error",
    ]))?;
    fs::write(mark, lock)?;
    Ok(())
}

/// Writes the client's types from the description of the API, or with `check` only compares them.
///
/// # Errors
/// When they differ, or cannot be made.
pub fn api_types(check: bool) -> Result<()> {
    let file = folder().join("src/api/schema.d.ts");
    let before = fs::read(&file).unwrap_or_default();
    process::run(&mut npm(&["run", "--silent", "api"]))?;
    if check && fs::read(&file)? != before {
        fs::write(&file, before)?;
        bail!(
            "web/src/api/schema.d.ts is not what docs/generated/openapi.json says; run `cargo xtask gen` and commit it"
        );
    }
    Ok(())
}

/// Builds the app and adds up what a browser must load before it shows the first page.
fn size() -> Result<()> {
    let dist = process::target_folder().join("xtask-tools/web-dist");
    let out = dist.display().to_string();
    process::run(&mut npm(&[
        "run",
        "--silent",
        "build",
        "--",
        "--logLevel",
        "warn",
        "--emptyOutDir",
        "--outDir",
        &out,
    ]))?;
    let page = fs::read_to_string(dist.join("index.html"))?;
    let mut total = 0;
    let mut scripts: Vec<String> = page
        .split('"')
        .filter(|part| part.starts_with("/assets/") && part.ends_with(".js"))
        .map(|path| path.trim_start_matches('/').to_owned())
        .collect();
    ensure!(!scripts.is_empty(), "the built page loads no script");
    // The first page after signing in counts too.
    for entry in fs::read_dir(dist.join("assets"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("HomePage-") && name.ends_with(".js") {
            scripts.push(format!("assets/{name}"));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    while let Some(script) = scripts.pop() {
        if !seen.insert(script.clone()) {
            continue;
        }
        let text = fs::read_to_string(dist.join(&script))
            .with_context(|| format!("{script} is loaded and not there"))?;
        total += compressed(&dist.join(&script))?;
        scripts.extend(imports(&text));
    }
    println!(
        "    {} scripts, {total} bytes compressed, of {FIRST_LOAD}",
        seen.len()
    );
    for heavy in ["uPlot", "gridstack", "GridStack", "Uploading stub"] {
        let inside = seen.iter().find(|script| {
            fs::read_to_string(dist.join(script)).is_ok_and(|text| text.contains(heavy))
        });
        if let Some(script) = inside {
            // Lazy chunks are named in the map of files to preload, so only their code would be a fault.
            let text = fs::read_to_string(dist.join(script))?;
            ensure!(
                text.len() < 150_000,
                "{script} holds {heavy}, which must be loaded on demand"
            );
        }
    }
    ensure!(
        total <= FIRST_LOAD,
        "the first load has {total} bytes, more than {FIRST_LOAD}; load something later"
    );
    Ok(())
}

/// The scripts that a script imports at once: `from"./x.js"` and `import"./x.js"`, not `import("./x.js")`.
fn imports(text: &str) -> Vec<String> {
    ["from\"./", "import\"./"]
        .iter()
        .flat_map(|start| text.split(start).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .filter(|name| name.ends_with(".js"))
        .map(|name| format!("assets/{name}"))
        .collect()
}

fn compressed(file: &Path) -> Result<usize> {
    let twin = PathBuf::from(format!("{}.gz", file.display()));
    let bytes = if twin.exists() {
        fs::metadata(twin)?
    } else {
        fs::metadata(file)?
    };
    Ok(usize::try_from(bytes.len())?)
}

/// Runs the stories of `web/tests` in Chromium.
fn stories(kit: Option<&Path>) -> Result<()> {
    let chromium = packages::ensure_chromium()?;
    // It is the witness that the simulated chip of the stories behaves as a real one.
    let esptool = packages::ensure_python_tool(ESPTOOL, "esptool")?;
    let program = program::get()?;
    let mut stories = npm(&["run", "--silent", "stories"]);
    match kit {
        Some(kit) => stories.env("ESPALIER_KIT", kit),
        None => {
            println!(
                "    skipped: the story that flashes a real kit, because firmware/dist has none; \
                 `cargo xtask firmware --variant base --chip esp32c3` builds it"
            );
            stories.env_remove("ESPALIER_KIT")
        }
    };
    process::run(
        stories
            .env("ESPALIER_PROGRAM", program)
            .env("CHROMIUM", chromium)
            .env("ESPTOOL", esptool),
    )
}

#[cfg(test)]
mod tests {
    use super::imports;

    #[test]
    fn only_what_is_loaded_at_once_counts() {
        let text = r#"import"./a.js";import{x as y}from"./b.js";const z=()=>import("./c.js");export{q}from"./d.js";"#;
        let mut found = imports(text);
        found.sort();
        assert_eq!(found, ["assets/a.js", "assets/b.js", "assets/d.js"]);
    }
}
