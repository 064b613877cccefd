//! One `espalier serve` for the checks: an administrator made on the command line, a token from `POST /login`, a log to read.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::client;
use crate::supervised::{ScratchFolder, Supervised};
use crate::{process, program};

const EMAIL: &str = "check@example.com";
const USERNAME: &str = "check";

/// Arguments: log file, then the program with its arguments. Says `ready PORT`, at the end of its input stops the server as an
/// operator would, and says `ended CODE`.
const SCRIPT: &str = r#"
read -r _
log=$1
shift
"$@" >"$log" 2>&1 &
server=$!
trap 'kill -KILL "$server" 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM
address='listening on http://127\.0\.0\.1:[0-9]*'
tries=0
until found=$(grep -o -m 1 "$address" "$log"); do
    kill -0 "$server" 2>/dev/null || { echo "the server ended before it listened:"; cat "$log"; exit 1; }
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || { echo "the server did not say \`listening on\` within a minute:"; cat "$log"; exit 1; }
    sleep 0.1
done
echo "ready ${found##*:}"
cat >/dev/null
kill -TERM "$server"
tries=0
while kill -0 "$server" 2>/dev/null && [ "$tries" -lt 300 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
kill -KILL "$server" 2>/dev/null && echo "hung" && exit 1
wait "$server"
echo "ended $?"
"#;

/// A running server with one account.
#[derive(Debug)]
pub struct Server {
    pub address: SocketAddr,
    /// A session token of an administrator.
    pub token: String,
    script: Supervised,
    // After the script: the server stops before its data folder goes.
    scratch: ScratchFolder,
}

impl Server {
    /// Starts a server on an empty data folder and logs in.
    ///
    /// # Errors
    /// When a command of the program fails, or the server does not listen or refuses the log-in; the message holds its output.
    pub fn start(program: &Path) -> Result<Self> {
        let scratch = ScratchFolder::new()?;
        let data = scratch.path().join("data");
        let password = "Correct-horse-7-battery-staple!";
        add_user(program, &data, password)?;
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT, "server"])
            .arg(scratch.path().join("log"))
            .arg(program);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .current_dir(scratch.path());
        program::clean_environment(&mut command);
        // A fuzzer sends thousands of requests in a row and must not measure the rate limiter.
        command.env("RATE_LIMIT_REQUESTS", "100000000");
        let (script, port) =
            Supervised::start(&mut command, "").context("`espalier serve` did not start")?;
        let port: u16 = port
            .parse()
            .with_context(|| format!("`{port}` is not a port"))?;
        let mut server = Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            token: String::new(),
            script,
            scratch,
        };
        server.token = server.log_in(password).with_context(|| server.log())?;
        Ok(server)
    }

    fn log_in(&self, password: &str) -> Result<String> {
        let body = json!({ "email": EMAIL, "password": password }).to_string();
        let answer = client::request(
            self.address,
            "POST",
            "/login",
            &[("Content-Type", "application/json")],
            body.as_bytes(),
        )?;
        let answer: Value =
            serde_json::from_str(&answer.expect(200)?).context("POST /login answered no JSON")?;
        let token = answer["access_token"]
            .as_str()
            .context("POST /login answered no `access_token`")?;
        Ok(token.to_owned())
    }

    /// Sends a request as the administrator.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        accept: &str,
        body: &str,
    ) -> Result<client::Answer> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Accept", accept),
            ("Content-Type", "application/json"),
        ];
        client::request(self.address, method, path, &headers, body.as_bytes())
    }

    /// Returns the OpenAPI document that the server shows.
    ///
    /// # Errors
    /// When it does not answer 200.
    pub fn openapi(&self) -> Result<String> {
        self.request("GET", "/openapi.json", "application/json", "")?
            .expect(200)
    }

    /// Returns a folder for the files of a check.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Returns what the server wrote so far, its last part when that is long.
    pub fn log(&self) -> String {
        const SHOWN: usize = 4000;
        let log = std::fs::read(self.scratch.path().join("log")).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(SHOWN)..];
        format!(
            "the server's log ends with:\n{}",
            String::from_utf8_lossy(tail)
        )
    }

    /// Stops the server with SIGTERM and checks that it says goodbye.
    ///
    /// # Errors
    /// When it hangs for half a minute, ends with another code than 0, or panicked while it ran.
    pub fn stop(self) -> Result<()> {
        let Self {
            script, scratch, ..
        } = self;
        let said = script.finish()?;
        let log = std::fs::read_to_string(scratch.path().join("log")).unwrap_or_default();
        if let Some(line) = log.lines().find(|line| line.contains("panicked at")) {
            bail!("the server panicked: {line}");
        }
        match said.trim() {
            "ended 0" => Ok(()),
            "hung" => bail!("the server did not stop within 30 s after SIGTERM"),
            other => bail!("after SIGTERM the server {other}, expected 0"),
        }
    }
}

fn add_user(program: &Path, data: &Path, password: &str) -> Result<()> {
    let mut command = Command::new(program);
    command
        .args([
            "user",
            "add",
            "--email",
            EMAIL,
            "--username",
            USERNAME,
            "--admin",
            "--password-stdin",
            "--data",
        ])
        .arg(data);
    program::clean_environment(&mut command);
    let shown = process::display(&command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // A program that ends without reading is told by its code below, not by the broken pipe.
    if let Some(mut input) = child.stdin.take() {
        let _ = writeln!(input, "{password}");
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "`{shown}` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
