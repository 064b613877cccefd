//! Builds the web app in `web/` and embeds it. It never fails the build: where the app cannot be built, a page that
//! says what to install takes its place, and everything but the pages works.
//!
//! In this order: `web/dist` when it was built from the sources as they are now; what an earlier run of this script
//! built from them; a new build with npm. `ESPALIER_WEB=skip` embeds the page at once, for builds that nobody looks at.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the app is made of, below `web/`.
const SOURCES: [&str; 9] = [
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    ".npmrc",
    "svelte.config.js",
    "tsconfig.json",
    "vite.config.ts",
];
/// Beside a built app: the digest of the sources it was built from.
const STAMP: &str = ".sources";
/// The oldest Node.js that the tools run on.
const NODE: (u32, u32) = (20, 19);

fn main() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web");
    let out = PathBuf::from(environment("OUT_DIR").unwrap_or_default());
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", web.join(source).display());
    }
    println!("cargo::rerun-if-env-changed=ESPALIER_WEB");
    let written = match built(&web, &out) {
        Ok(dist) => embed(&dist, &out, true),
        Err(why) => {
            println!("cargo::warning=The web app is not in this build: {why}");
            // A file that is never there makes cargo ask again at the next build: what was missing may have come.
            println!("cargo::rerun-if-changed={}", out.join("never").display());
            missing(&out, &why).and_then(|dist| embed(&dist, &out, false))
        }
    };
    if let Err(error) = written {
        println!("cargo::error=cannot write to {}: {error}", out.display());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to a build script through its environment"
)]
fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The folder of a built app, or one sentence that says what is in the way.
fn built(web: &Path, out: &Path) -> Result<PathBuf, String> {
    if environment("ESPALIER_WEB").is_some_and(|value| value == "skip") {
        return Err("ESPALIER_WEB=skip is set; unset it and build again.".to_owned());
    }
    let digest = digest(web).map_err(|error| format!("web/ cannot be read: {error}."))?;
    let ours = out.join("dist");
    for dist in [web.join("dist"), ours.clone()] {
        if fs::read_to_string(dist.join(STAMP)).is_ok_and(|stamp| stamp == digest) {
            return Ok(dist);
        }
    }
    node()?;
    // Several builds may run at once; the tools are installed for all of them in one place.
    let lock = File::create(web.join(".install.lock"))
        .map_err(|error| format!("web/ cannot be written: {error}."))?;
    lock.lock()
        .map_err(|error| format!("web/ cannot be locked: {error}."))?;
    let wanted = fs::read(web.join("package-lock.json")).unwrap_or_default();
    let installed = web.join("node_modules/.installed");
    if fs::read(&installed).unwrap_or_default() != wanted {
        npm(web, &["ci", "--no-audit", "--no-fund"])?;
        fs::write(&installed, wanted)
            .map_err(|error| format!("web/node_modules cannot be written: {error}."))?;
    }
    drop(lock);
    let folder = ours.display().to_string();
    npm(
        web,
        &["run", "build", "--", "--emptyOutDir", "--outDir", &folder],
    )?;
    fs::write(ours.join(STAMP), digest)
        .map_err(|error| format!("{folder} cannot be written: {error}."))?;
    Ok(ours)
}

/// Checks that Node.js is there and new enough.
fn node() -> Result<(), String> {
    let install = format!(
        "install Node.js {}.{} or newer with npm and build again.",
        NODE.0, NODE.1
    );
    let output = Command::new("node").arg("--version").output();
    let Ok(output) = output else {
        return Err(format!("there is no Node.js; {install}"));
    };
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut numbers = text
        .trim_start_matches('v')
        .split('.')
        .map(|part| part.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < NODE {
        return Err(format!("Node.js {text} is too old; {install}"));
    }
    Ok(())
}

/// Runs npm below `web/`; its words are told when it fails.
fn npm(web: &Path, args: &[&str]) -> Result<(), String> {
    let output = Command::new("npm").args(args).current_dir(web).output();
    let output = output
        .map_err(|error| format!("npm cannot be run ({error}); install it and build again."))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = words
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    Err(format!(
        "`npm {}` in web/ failed ({last}); run it there to see why.",
        args.join(" ")
    ))
}

/// A digest of every source file's path and content.
fn digest(web: &Path) -> std::io::Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        list(&web.join(source), &mut files)?;
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.strip_prefix(web).unwrap_or(&file).hash(&mut hasher);
        fs::read(&file)?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn list(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            list(&entry?.path(), files)?;
        }
    } else {
        files.push(path.to_owned());
    }
    Ok(())
}

/// The page that stands in for the app.
fn missing(out: &Path, why: &str) -> std::io::Result<PathBuf> {
    let dist = out.join("missing");
    fs::create_dir_all(&dist)?;
    let why = why.replace('&', "&amp;").replace('<', "&lt;");
    let page = include_str!("src/missing.html").replace("{why}", &why);
    fs::write(dist.join("index.html"), page)?;
    Ok(dist)
}

/// Writes the table of files that `lib.rs` includes.
fn embed(dist: &Path, out: &Path, built: bool) -> std::io::Result<()> {
    let mut files = Vec::new();
    list(dist, &mut files)?;
    files.sort();
    let mut table = File::create(out.join("files.rs"))?;
    writeln!(
        table,
        "/// Whether the app is in this build.\npub const BUILT: bool = {built};"
    )?;
    writeln!(table, "static FILES: &[File] = &[")?;
    for file in &files {
        let name = file
            .strip_prefix(dist)
            .unwrap_or(file)
            .display()
            .to_string();
        if name.ends_with(".br") || name.ends_with(".gz") || name == STAMP {
            continue;
        }
        let twin = |suffix: &str| {
            let twin = PathBuf::from(format!("{}{suffix}", file.display()));
            if files.contains(&twin) {
                format!("Some(include_bytes!({:?}))", twin.display().to_string())
            } else {
                "None".to_owned()
            }
        };
        let mut hasher = DefaultHasher::new();
        fs::read(file)?.hash(&mut hasher);
        writeln!(
            table,
            "File {{ path: {name:?}, etag: \"\\\"{:016x}\\\"\", plain: include_bytes!({:?}), brotli: {}, gzip: {} }},",
            hasher.finish(),
            file.display().to_string(),
            twin(".br"),
            twin(".gz"),
        )?;
    }
    writeln!(table, "];")
}
