//! A private S3 server for one run: moto, which others wrote. It keeps everything in memory, listens on loopback only and is gone
//! at the end.

use std::process::Command;

use anyhow::{Context, Result};

use crate::packages;
use crate::supervised::{ScratchFolder, Supervised};

const TOOL: &str = "moto[s3,server]==5.2.5";

/// Arguments: log file, then the program with its arguments. Says `ready PORT`, and ends the server at the end of its input.
const SCRIPT: &str = r#"
read -r _
log=$1
shift
"$@" >"$log" 2>&1 &
server=$!
trap 'kill -KILL "$server" 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM
address='Running on http://127\.0\.0\.1:[0-9]*'
tries=0
until found=$(grep -o -m 1 "$address" "$log"); do
    kill -0 "$server" 2>/dev/null || { cat "$log"; exit 1; }
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || { echo "the server did not listen within a minute:"; cat "$log"; exit 1; }
    sleep 0.1
done
echo "ready ${found##*:}"
cat >/dev/null
"#;

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct S3 {
    endpoint: String,
    _script: Supervised,
    // After the script: the server stops before its log goes.
    _scratch: ScratchFolder,
}

impl S3 {
    /// Installs the server when it is not there, and starts it on a free port.
    ///
    /// # Errors
    /// When it cannot be installed or does not start; the message holds its log.
    pub fn start() -> Result<Self> {
        let program = packages::ensure_python_tool(TOOL, "moto_server")?;
        let scratch = ScratchFolder::new()?;
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT, "s3"])
            .arg(scratch.path().join("log"))
            .arg(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONUNBUFFERED", "1");
        let (script, port) =
            Supervised::start(&mut command, "").context("the S3 server did not start")?;
        Ok(Self {
            endpoint: format!("http://127.0.0.1:{port}"),
            _script: script,
            _scratch: scratch,
        })
    }

    /// Returns where it is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}
