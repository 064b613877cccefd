//! `espalier firmware`: keys, signatures and a look into images. Everything but [`import`] happens on this machine: no server is
//! asked. A private key never leaves its file.

mod import;
mod inspect;

use crate::cli::FirmwareCommand;
use crate::settings::Settings;
use anyhow::{Context, anyhow, bail};
use espalier_image::app::{self, AppImage};
use espalier_image::keys::{self, PrivateKey, PublicKey};
use espalier_image::manifest::{self, Manifest};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// No image of any chip is larger.
const MAX_FILE: u64 = 256 << 20;

/// Runs one of the commands; only one that asks the installation of a data folder reads its settings.
pub async fn run(
    command: &FirmwareCommand,
    settings: impl FnOnce() -> anyhow::Result<Settings>,
) -> anyhow::Result<ExitCode> {
    match command {
        FirmwareCommand::Keygen { out } => keygen(out)?,
        FirmwareCommand::Sign { image, keys } => sign(image, keys)?,
        FirmwareCommand::Verify { image, sig, keys } => verify(image, sig.as_deref(), keys)?,
        FirmwareCommand::Inspect { file, json } => return inspect::run(file, *json),
        FirmwareCommand::Import(args) => return import::run(args, settings).await,
        FirmwareCommand::Keyset {
            serial,
            keys,
            sign_with,
            out,
        } => keyset(*serial, keys, sign_with, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn keygen(name: &Path) -> anyhow::Result<()> {
    let (secret, public) = (with_ending(name, ".key"), with_ending(name, ".pub"));
    for file in [&secret, &public] {
        if fs::symlink_metadata(file).is_ok() {
            bail!(
                "{} exists already and is not overwritten: choose another name with --out",
                file.display()
            );
        }
    }
    let key = PrivateKey::from_seed(&espalier_server::random::bytes());
    write_new(&secret, &key.to_file(), true)?;
    write_new(&public, &key.public().to_file(), false)?;
    println!("key {}", key.public().id());
    println!(
        "wrote {} (keep it secret and keep a copy) and {}",
        secret.display(),
        public.display()
    );
    Ok(())
}

fn sign(file: &Path, keys: &[PathBuf]) -> anyhow::Result<()> {
    let bytes = read(file)?;
    let sig = with_ending(file, ".sig");
    let keys = keys
        .iter()
        .map(|file| private_key(file))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let text = signed(file, &bytes, &keys)?;
    for key in &keys {
        println!("signed by {}", key.public().id());
    }
    replace(&sig, &text)?;
    println!("wrote {}", sig.display());
    Ok(())
}

/// The signed manifest of an image: the one that lies beside it or a new one, with the signatures of these keys added.
fn signed(file: &Path, bytes: &[u8], keys: &[PrivateKey]) -> anyhow::Result<String> {
    let image = parse(file, bytes)?;
    let sig = with_ending(file, ".sig");
    let mut text = match read_text(&sig) {
        Ok(text) => {
            let old = read_manifest(&sig, &text)?;
            matching(&sig, &old, &image).map_err(|error| {
                anyhow!(
                    "{error:#}. To sign the image anew, delete {}",
                    sig.display()
                )
            })?;
            text
        }
        Err(_) if fs::symlink_metadata(&sig).is_err() => {
            manifest::of(bytes).map_err(|error| anyhow!("{}: {error}", file.display()))?
        }
        Err(error) => return Err(error),
    };
    for key in keys {
        text = keys::sign(&text, key)
            .map_err(|error| anyhow!("cannot sign with the key {}: {error}", key.public().id()))?;
    }
    Ok(text)
}

fn verify(file: &Path, sig: Option<&Path>, keys: &[PathBuf]) -> anyhow::Result<()> {
    let bytes = read(file)?;
    let image = parse(file, &bytes)?;
    let sig = sig.map_or_else(|| with_ending(file, ".sig"), Path::to_owned);
    let text = read_text(&sig)?;
    let manifest = read_manifest(&sig, &text)?;
    matching(&sig, &manifest, &image)?;
    let trusted = keys
        .iter()
        .map(|file| public_key(file))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let key = manifest
        .verify(&trusted)
        .map_err(|error| anyhow!("{}: {error}", sig.display()))?;
    println!(
        "{} {} for {} is sound and signed by {key}",
        image.head.project, image.head.version, image.head.chip
    );
    Ok(())
}

fn keyset(serial: u32, public: &[PathBuf], private: &[PathBuf], out: &Path) -> anyhow::Result<()> {
    let public = public
        .iter()
        .map(|file| public_key(file))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut text = keys::key_set(serial, &public)
        .map_err(|error| anyhow!("these keys make no key set: {error}"))?;
    for file in private {
        text = keys::sign(&text, &private_key(file)?)
            .map_err(|error| anyhow!("cannot sign with {}: {error}", file.display()))?;
    }
    replace(out, &text)?;
    println!("wrote {}", out.display());
    Ok(())
}

/// `name.bin` and `.sig` make `name.bin.sig`.
fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", file.display());
    let mut bytes = Vec::new();
    File::open(file)
        .with_context(cannot)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .with_context(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        bail!(
            "{} is larger than {MAX_FILE} bytes: name an app image",
            file.display()
        );
    }
    Ok(bytes)
}

fn read_text(file: &Path) -> anyhow::Result<String> {
    String::from_utf8(read(file)?).map_err(|_| anyhow!("{} is no text file", file.display()))
}

fn parse<'a>(file: &Path, bytes: &'a [u8]) -> anyhow::Result<AppImage<'a>> {
    app::parse(bytes).map_err(|error| anyhow!("{}: {error}", file.display()))
}

fn read_manifest<'a>(file: &Path, text: &'a str) -> anyhow::Result<Manifest<'a>> {
    Manifest::parse(text).map_err(|error| {
        anyhow!(
            "{} is no signed manifest: {error}. Make one with `espalier firmware sign`",
            file.display()
        )
    })
}

fn matching(sig: &Path, manifest: &Manifest<'_>, image: &AppImage<'_>) -> anyhow::Result<()> {
    manifest
        .matches(&image.head, &image.sha256(), image.size() as u64)
        .map_err(|error| anyhow!("{}: {error}", sig.display()))
}

pub(crate) fn private_key(file: &Path) -> anyhow::Result<PrivateKey> {
    PrivateKey::from_file(&read_text(file)?).map_err(|error| {
        anyhow!(
            "{} is no private key: {error}. Make one with `espalier firmware keygen`",
            file.display()
        )
    })
}

pub(crate) fn public_key(file: &Path) -> anyhow::Result<PublicKey> {
    PublicKey::from_file(&read_text(file)?).map_err(|error| {
        anyhow!(
            "{} is no public key: {error}. Name the .pub file that `espalier firmware keygen` wrote",
            file.display()
        )
    })
}

/// Writes a file that must not exist yet.
pub(crate) fn write_new(file: &Path, text: &str, secret: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = secret;
    let mut written = options
        .open(file)
        .with_context(|| format!("cannot create {}", file.display()))?;
    written
        .write_all(text.as_bytes())
        .and_then(|()| written.sync_all())
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Writes a file whole or not at all.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let new = with_ending(file, ".new");
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, file))
        .with_context(|| format!("cannot write {}", file.display()))
}
