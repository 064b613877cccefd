//! `espalier firmware import`: kits from folders into a library, through the running server when there is one, else on its data
//! folder, or to a server elsewhere. The server checks what a kit is; here folders are read and apps are signed.

use super::{private_key, read, read_text, signed, with_ending};
use crate::cli::ImportArgs;
use crate::provision::Server;
use crate::run_file;
use crate::settings::Settings;
use crate::sim::secret;
use anyhow::{Context, anyhow, ensure};
use espalier_image::keys::PrivateKey;
use espalier_server::identity::Caller;
use espalier_server::ota::kits::{self, Kept, KitFile, MAX_KIT_FILE};
use espalier_server::{AppState, Clock};
use reqwest::StatusCode;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The file that makes a folder a kit.
const KIT_FILE: &str = "kit.json";

/// Imports every kit that can be; one that cannot holds up no other.
pub async fn run(
    args: &ImportArgs,
    settings: impl FnOnce() -> anyhow::Result<Settings>,
) -> anyhow::Result<ExitCode> {
    let keys = args.keys.iter().map(|file| private_key(file));
    let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
    let library = Library::open(args, settings).await?;
    let (mut all, mut failed) = (0, 0);
    for folder in &args.folders {
        let found = kits_in(folder).unwrap_or_else(|error| {
            eprintln!("espalier: {error:#}");
            (all, failed) = (all + 1, failed + 1);
            Vec::new()
        });
        for folder in found {
            all += 1;
            match import(&library, &folder, &keys, args.account.as_deref()).await {
                Ok(line) => println!("{}: {line}", folder.display()),
                Err(error) => {
                    failed += 1;
                    eprintln!("espalier: {}: {error:#}", folder.display());
                }
            }
        }
    }
    library.close().await;
    if failed == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("espalier: {failed} of {all} kits were not imported");
    Ok(ExitCode::FAILURE)
}

/// Where kits go.
enum Library {
    /// A server that runs, here or elsewhere.
    Server(Server),
    /// A data folder on which no server runs.
    Folder(AppState),
}

impl Library {
    async fn open(
        args: &ImportArgs,
        settings: impl FnOnce() -> anyhow::Result<Settings>,
    ) -> anyhow::Result<Self> {
        if let (Some(url), Some(file)) = (&args.server, &args.api_key_file) {
            return Ok(Self::Server(Server::new(url, &secret(file)?)?));
        }
        let config = settings()?.config;
        Ok(match run_file::find(&config.data).await {
            Some(running) => Self::Server(Server::new(&running.url, &running.token)?),
            None => Self::Folder(AppState::start(config, Clock::default()).await?),
        })
    }

    /// Puts a kit there and tells whether it is new.
    async fn put(&self, kit: Kit, account: Option<&str>) -> anyhow::Result<bool> {
        let server = match self {
            Self::Server(server) => server,
            Self::Folder(app) => {
                let upload = kits::Upload {
                    kit: kit.file,
                    files: kit.files.map(Into::into),
                    signature: kit.signature,
                    owner: account.map(str::to_owned),
                };
                let kept = kits::keep(app, &Caller::local_operator(), upload).await;
                let kept = kept.map_err(|error| anyhow!("{error}"))?;
                return Ok(matches!(kept, Kept::New(_)));
            }
        };
        let mut fields = vec![("kit", None, kit.text.as_bytes())];
        for (part, bytes) in kit.file.parts.iter().zip(&kit.files) {
            fields.push((part.name, Some(part.file.as_str()), bytes));
        }
        if let Some(signature) = &kit.signature {
            fields.push(("signature", None, signature.as_bytes()));
        }
        if let Some(account) = account {
            fields.push(("owner", None, account.as_bytes()));
        }
        let (status, _) = server.form("/firmware/kits", &fields).await?;
        Ok(status == StatusCode::CREATED)
    }

    async fn close(self) {
        if let Self::Folder(app) = self {
            app.stop().await;
        }
    }
}

/// A kit with its files.
struct Kit {
    /// `kit.json` as it is.
    text: String,
    file: KitFile,
    files: [Vec<u8>; 3],
    signature: Option<String>,
}

/// The folders of kits that a name stands for: itself, or those in it.
fn kits_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if folder.join(KIT_FILE).is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.join(KIT_FILE).is_file() {
            found.push(path);
        }
    }
    ensure!(
        !found.is_empty(),
        "{} holds no {KIT_FILE} and no folder with one: name a kit, or the folder in which kits were built",
        folder.display()
    );
    found.sort();
    Ok(found)
}

/// Reads a kit, signs its app and puts it into the library; returns what to say.
async fn import(
    library: &Library,
    folder: &Path,
    keys: &[PrivateKey],
    account: Option<&str>,
) -> anyhow::Result<String> {
    let kit = read_kit(folder, keys)?;
    let KitFile {
        variant,
        version,
        chip,
        ..
    } = &kit.file;
    let what = format!("{variant} {version} for {chip}");
    Ok(match library.put(kit, account).await? {
        true => format!("{what} is in the library now"),
        false => format!("{what} was in the library already"),
    })
}

fn read_kit(folder: &Path, keys: &[PrivateKey]) -> anyhow::Result<Kit> {
    let name = folder.join(KIT_FILE);
    let text = read_text(&name)?;
    ensure!(
        text.len() <= MAX_KIT_FILE,
        "{KIT_FILE} has more than {MAX_KIT_FILE} bytes: take the one that the build wrote"
    );
    let file = KitFile::parse(&text).map_err(|sentence| anyhow!(sentence))?;
    let [bootloader, partitions, app] =
        std::array::from_fn(|n| read(&folder.join(&file.parts[n].file)));
    let (app, app_file) = (app?, folder.join(&file.parts[2].file));
    let sig = with_ending(&app_file, ".sig");
    let signature = if !keys.is_empty() {
        Some(signed(&app_file, &app, keys)?)
    } else if sig.exists() {
        Some(read_text(&sig)?)
    } else {
        None
    };
    Ok(Kit {
        text,
        file,
        files: [bootloader?, partitions?, app],
        signature,
    })
}
