//! A private PostgreSQL for one run: own data folder, own password, loopback only, nothing flushed to disk, gone at the end.
//!
//! It never touches a PostgreSQL that already runs on the machine. The server refuses to run as root, so root starts it as the user
//! `postgres`, or `nobody` where that does not exist.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::supervised::Supervised;

/// Another program may take the port between choosing it and the server's start; that happening this often is no coincidence.
const START_ATTEMPTS: u32 = 3;

/// Arguments: folder of the programs, port. First input line: password. Ends, and cleans up, at the end of its input.
const SCRIPT: &str = r#"
set -u
umask 077
bin=$1 port=$2
IFS= read -r password
base=${TMPDIR:-/tmp}
[ -w "$base" ] || base=/tmp
dir=$(mktemp -d "$base/espalier-postgres.XXXXXX") || { echo "no temporary folder in $base"; exit 1; }
finish() {
    if [ -n "${server-}" ]; then "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1; fi
    cd /
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
cd "$dir"
printf '%s\n' "$password" >password
"$bin/initdb" -D data --username=espalier --pwfile=password --auth=password --encoding=UTF8 --no-locale --no-sync >log 2>&1 ||
    { cat log; exit 1; }
# Nothing here must survive a crash, and every test opens a pool of its own.
"$bin/postgres" -D data -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=400 -c max_locks_per_transaction=512 \
    -c shared_buffers=128MB -c max_wal_size=2GB -c autovacuum=off -c timezone=UTC >log 2>&1 &
server=$!
tries=0
until "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; do
    kill -0 "$server" 2>/dev/null || { cat log; exit 1; }
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || { echo "the server did not answer within a minute"; cat log; exit 1; }
    sleep 0.1
done
kill -0 "$server" 2>/dev/null || { cat log; exit 1; }
echo ready
cat >/dev/null
"#;

/// A running server; dropping it stops it and removes its files.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    _script: Supervised,
}

impl Postgres {
    /// Makes an empty cluster and starts a server on it; takes about three seconds.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start; the message holds its log.
    pub fn start() -> Result<Self> {
        let programs = programs()
            .context("PostgreSQL's server programs (initdb, postgres) are not installed")?;
        let password = random_hex()?;
        let mut attempt = 1;
        loop {
            let port = free_port()?;
            match Supervised::start(script(&programs, port)?.env("LC_ALL", "C"), &password) {
                Ok((script, _)) => {
                    let url = format!("postgres://espalier:{password}@127.0.0.1:{port}/postgres");
                    return Ok(Self {
                        url,
                        _script: script,
                    });
                }
                Err(error)
                    if attempt < START_ATTEMPTS
                        && format!("{error:#}").contains("could not bind") =>
                {
                    attempt += 1
                }
                Err(error) => return Err(error.context("PostgreSQL did not start")),
            }
        }
    }

    /// Returns the connection URL of its first database, whose user may make more.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Returns the folder with PostgreSQL's server programs, the newest when there are several.
pub fn programs() -> Option<PathBuf> {
    let has_server = |folder: &PathBuf| {
        ["initdb", "postgres", "pg_ctl", "pg_isready"]
            .iter()
            .all(|name| folder.join(name).exists())
    };
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(has_server)
        .collect();
    debian.sort_by_key(|folder| major_version(folder));
    debian.pop().or_else(|| {
        let asked = process::read(Command::new("pg_config").arg("--bindir")).ok()?;
        Some(PathBuf::from(asked.trim())).filter(has_server)
    })
}

fn major_version(folder: &Path) -> u32 {
    let version = folder
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    version.and_then(|name| name.parse().ok()).unwrap_or(0)
}

fn script(programs: &Path, port: u16) -> Result<Command> {
    let mut command = if is_root()? {
        let user = if user_exists("postgres") {
            "postgres"
        } else {
            "nobody"
        };
        let mut command = Command::new("runuser");
        command.args(["-u", user, "--", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    command
        .args(["-c", SCRIPT, "postgres"])
        .arg(programs)
        .arg(port.to_string())
        .current_dir("/");
    Ok(command)
}

/// Returns whether this program runs as root.
///
/// # Errors
/// When `id` cannot be run.
pub fn is_root() -> Result<bool> {
    Ok(process::read(Command::new("id").arg("-u"))?.trim() == "0")
}

fn user_exists(name: &str) -> bool {
    process::read(Command::new("id").args(["-u", name])).is_ok()
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// Returns 128 random bits as 32 hexadecimal digits.
fn random_hex() -> Result<String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
