//! The command line, as `clap` reads it.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// The self-hosted home for ESP32 fleets.
#[derive(Parser)]
#[command(name = "espalier", version, about, long_about = None, after_help = "Begin with:\n  espalier demo\n\nExit codes: 0 done, 1 failed, 2 wrong command line, 3 doctor found something to mend.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Start the server
    #[command(
        after_help = "Example:\n  espalier serve --listen 0.0.0.0:8000 --data /var/lib/espalier"
    )]
    Serve(ServeArgs),
    /// Start the server with twelve simulated boards and print a link to sign in
    #[command(after_help = "Example:\n  espalier demo")]
    Demo(DemoArgs),
    /// Manage accounts
    #[command(subcommand)]
    User(UserCommand),
    /// Write everything into one file; also while the server runs
    #[command(
        after_help = "Example:\n  espalier backup espalier-2026-11-20.zst --data /var/lib/espalier"
    )]
    Backup(ArchiveArgs),
    /// Replace everything by what a backup holds; also while the server runs
    #[command(
        after_help = "Example:\n  espalier restore espalier-2026-11-20.zst --data /var/lib/espalier"
    )]
    Restore(ArchiveArgs),
    /// Say what is wrong with this installation and what to do
    #[command(
        after_help = "Example:\n  espalier doctor --data /var/lib/espalier\n\nExit code 3 when there is something to mend."
    )]
    Doctor(CommonArgs),
    /// Print the current settings with their explanations
    #[command(after_help = "Example:\n  espalier config > espalier.toml")]
    Config(ConfigArgs),
    /// Run simulated boards against a server
    #[command(
        after_help = "Example:\n  espalier sim --devices 1000 --server http://127.0.0.1:8000 --api-key-file key.txt"
    )]
    Sim(SimArgs),
    /// Sign, verify and look at firmware images
    #[command(subcommand)]
    Firmware(FirmwareCommand),
    /// Print the description of the API
    #[command(hide = true)]
    Openapi,
}

/// What every command that needs the settings takes.
#[derive(Args, Default)]
pub struct CommonArgs {
    /// The folder that holds the databases [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The file with the settings [default: ./espalier.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Options of `serve`.
#[derive(Args, Default)]
pub struct ServeArgs {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// The usual options.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Options of `demo`.
#[derive(Args)]
pub struct DemoArgs {
    /// Options of the server.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// Commands on accounts.
#[derive(Subcommand)]
pub enum UserCommand {
    /// Create an account
    #[command(
        after_help = "Example:\n  espalier user add --email ada@example.com --username ada --admin --password-stdin < password.txt"
    )]
    Add(UserAddArgs),
}

/// Options of `user add`.
#[derive(Args)]
pub struct UserAddArgs {
    /// The e-mail address
    #[arg(long)]
    pub email: String,
    /// The name to sign in with
    #[arg(long)]
    pub username: String,
    /// The person's name
    #[arg(long)]
    pub full_name: Option<String>,
    /// Let the account manage the installation
    #[arg(long)]
    pub admin: bool,
    /// Read the password from standard input (its first line)
    #[arg(long, required = true)]
    pub password_stdin: bool,
    /// The usual options.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Commands on firmware images.
#[derive(Subcommand)]
pub enum FirmwareCommand {
    /// Make a key that signs firmware: NAME.key stays secret, NAME.pub is for boards and the server
    #[command(after_help = "Example:\n  espalier firmware keygen --out release")]
    Keygen {
        /// The name of both files, without ending
        #[arg(long, value_name = "NAME")]
        out: PathBuf,
    },
    /// Sign an image: writes IMAGE.sig, or adds a signature to it
    #[command(after_help = "Example:\n  espalier firmware sign greenhouse.bin --key release.key")]
    Sign {
        /// The app image
        image: PathBuf,
        /// A private key; repeat it for more signatures
        #[arg(long = "key", value_name = "FILE", required = true)]
        keys: Vec<PathBuf>,
    },
    /// Check that an image is sound and signed by one of the keys
    #[command(after_help = "Example:\n  espalier firmware verify greenhouse.bin --key release.pub")]
    Verify {
        /// The app image
        image: PathBuf,
        /// The signed manifest [default: IMAGE.sig]
        #[arg(long, value_name = "FILE")]
        sig: Option<PathBuf>,
        /// A trusted public key; repeat it for more
        #[arg(long = "key", value_name = "FILE", required = true)]
        keys: Vec<PathBuf>,
    },
    /// Say what a file is and everything that it says of itself
    #[command(
        after_help = "Example:\n  espalier firmware inspect greenhouse.bin\n\nExit code 1 when it is an image that no board would start."
    )]
    Inspect {
        /// The file
        file: PathBuf,
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Put kits (what a board is flashed with over USB the first time) into the library
    #[command(
        after_help = "Example:\n  espalier firmware import firmware/dist --key release.key --data /var/lib/espalier\n  espalier firmware import firmware/dist/base-esp32c3 --server https://espalier.example --api-key-file key.txt\n\nEach folder holds a kit.json with its files, or folders that do. Without --server the kits go to the installation of the data folder, whether it runs or not. Exit code 1 when a kit was not taken; the others are."
    )]
    Import(ImportArgs),
    /// Write the set of keys that boards are to trust from now on
    #[command(
        after_help = "Example:\n  espalier firmware keyset --serial 2 --key new.pub --sign-with old.key --out keys.txt"
    )]
    Keyset {
        /// Higher than that of every earlier set
        #[arg(long, value_name = "N")]
        serial: u32,
        /// A public key of the set; repeat it for more
        #[arg(long = "key", value_name = "FILE", required = true)]
        keys: Vec<PathBuf>,
        /// A private key that boards already trust; repeat it for more
        #[arg(long, value_name = "FILE", required = true)]
        sign_with: Vec<PathBuf>,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Options of `firmware import`.
#[derive(Args)]
pub struct ImportArgs {
    /// A kit, or a folder of kits; repeat it for more
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
    /// A private key that signs the apps; repeat it for more [default: the .sig file beside each app, if there is one]
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// The account whose library they go to [default: the owner of the installation, or of the API key]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// A server elsewhere, by its URL
    #[arg(long, value_name = "URL", requires = "api_key_file", conflicts_with_all = ["data", "config"])]
    pub server: Option<String>,
    /// A file whose first line is an API key with the scope `write`; `-` is standard input
    #[arg(long, value_name = "FILE", requires = "server")]
    pub api_key_file: Option<PathBuf>,
    /// The usual options.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Options of `backup` and `restore`.
#[derive(Args)]
pub struct ArchiveArgs {
    /// The backup
    pub file: PathBuf,
    /// The usual options.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Options of `config`.
#[derive(Args)]
pub struct ConfigArgs {
    /// Print the reference of all settings as Markdown instead
    #[arg(long)]
    pub markdown: bool,
    /// The usual options.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Options of `sim`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct SimArgs {
    /// What else to do.
    #[command(subcommand)]
    pub command: Option<SimCommand>,
    /// The server's URL
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    pub server: String,
    /// How many boards
    #[arg(long, default_value_t = 12)]
    pub devices: usize,
    /// A file whose first line is an API key or access token of the account that shall own the boards;
    /// `-` reads standard input
    #[arg(long, value_name = "FILE", required = true)]
    pub api_key_file: Option<PathBuf>,
    /// How much faster than usual every board measures
    #[arg(long, default_value_t = 1.0)]
    pub rate: f64,
    /// How often the network of a board is cut, per board and hour
    #[arg(long, default_value_t = 0.0)]
    pub cuts_per_hour: f64,
    /// How often a board restarts, per board and hour
    #[arg(long, default_value_t = 0.0)]
    pub restarts_per_hour: f64,
    /// How often the power fails in the middle of a write to flash, per board and hour
    #[arg(long, value_name = "PER_HOUR", default_value_t = 0.0)]
    pub faulty_power: f64,
    /// How often a board's clock jumps, per board and hour
    #[arg(long, default_value_t = 0.0)]
    pub clock_jumps_per_hour: f64,
    /// Delay of a slow network, milliseconds
    #[arg(long, default_value_t = 0)]
    pub latency_ms: u64,
    /// The version of the firmware that the boards have from the factory: what `sim firmware` makes with the same
    /// version and size
    #[arg(long, value_name = "VERSION", default_value = "1.0.0")]
    pub firmware: String,
    /// The size of that firmware, in kilobytes
    #[arg(long, value_name = "KB", default_value_t = 256)]
    pub firmware_size: usize,
    /// How fast a board downloads, in kilobytes per second; 0 is as fast as it can
    #[arg(long, value_name = "KB", default_value_t = 64)]
    pub download_rate: u32,
    /// Keep the flash of each board in a file of this folder (4 MB each), so that it outlives the simulator
    #[arg(long, value_name = "DIR")]
    pub flash_dir: Option<PathBuf>,
    /// A public key whose firmware the boards take; repeat it for more [default: the keys of the account]
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Let the boards take firmware that nobody signed
    #[arg(long)]
    pub allow_unsigned: bool,
    /// Stop after that many seconds
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Delete the boards at the end
    #[arg(long)]
    pub remove: bool,
}

/// Commands beside running simulated boards.
#[derive(Subcommand)]
pub enum SimCommand {
    /// Write a firmware image for simulated boards, a good one or one with a fault
    #[command(
        after_help = "Example:\n  espalier sim firmware --chip esp32c3 --version 1.1.0 --fault crash --out bad.bin\n  espalier firmware sign bad.bin --key release.key"
    )]
    Firmware(SimFirmwareArgs),
}

/// Options of `sim firmware`.
#[derive(Args)]
pub struct SimFirmwareArgs {
    /// The chip that it is for, e.g. esp32c3
    #[arg(long)]
    pub chip: String,
    /// The version that it names
    #[arg(long)]
    pub version: String,
    /// What is wrong with it: none, crash, crash-measuring, never-confirms, loses-wifi, leaks or self-test
    #[arg(long, default_value = "none")]
    pub fault: espalier_sim::firmware::Fault,
    /// Its size in kilobytes
    #[arg(long, value_name = "KB", default_value_t = 256)]
    pub size: usize,
    /// The secure version that it names
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub secure_version: u32,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

impl Command {
    /// The usual options of this command, and where it listens.
    pub fn common(&self) -> (Option<&CommonArgs>, Option<&str>) {
        match self {
            Self::Serve(args) => (Some(&args.common), args.listen.as_deref()),
            Self::Demo(args) => (Some(&args.serve.common), args.serve.listen.as_deref()),
            Self::User(UserCommand::Add(args)) => (Some(&args.common), None),
            Self::Backup(args) | Self::Restore(args) => (Some(&args.common), None),
            Self::Doctor(args) => (Some(args), None),
            Self::Config(args) => (Some(&args.common), None),
            Self::Firmware(FirmwareCommand::Import(args)) => (Some(&args.common), None),
            Self::Sim(_) | Self::Firmware(_) | Self::Openapi => (None, None),
        }
    }
}
