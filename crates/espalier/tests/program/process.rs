//! A running `espalier serve`, and requests to it.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;

/// The password of every account in these tests.
pub const PASSWORD: &str = "Correct-horse-1";

/// A command of the program on a data folder, with no settings from the tester's environment.
pub fn espalier(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_espalier"));
    command
        .args(args)
        .arg("--data")
        .arg(data)
        .current_dir(data)
        .env_clear();
    command.env("ESPALIER_RATE_LIMIT_REQUESTS", "0");
    command
}

/// Runs a command to its end.
pub fn run(data: &Path, args: &[&str], input: &str) -> Output {
    let mut command = espalier(data, args);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

/// Creates an account from the command line.
pub fn add_user(data: &Path, name: &str) {
    let email = format!("{name}@example.com");
    let args = [
        "user",
        "add",
        "--email",
        &email,
        "--username",
        name,
        "--admin",
        "--password-stdin",
    ];
    let output = run(data, &args, &format!("{PASSWORD}\n"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A server process; killed when dropped.
pub struct Server {
    child: Child,
    /// Its URL.
    pub url: String,
    data: PathBuf,
    client: reqwest::Client,
}

impl Server {
    /// Starts a server on a free port and waits until it listens.
    pub fn start(data: &Path) -> Self {
        Self::launch(data, "serve").0
    }

    /// Starts `serve` or `demo`, and returns with it the lines that it prints later.
    fn launch(data: &Path, command: &str) -> (Self, mpsc::Receiver<String>) {
        let mut command = espalier(data, &[command, "--listen", "127.0.0.1:0"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
            .expect("the server says where it listens");
        // What it prints later must not fill the pipe, whether somebody reads it or not.
        let (later, printed) = mpsc::channel();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| {
                let _ = later.send(line);
            });
        });
        let server = Self {
            child,
            url,
            data: data.to_owned(),
            client: client(),
        };
        (server, printed)
    }

    /// Kills the process as a power cut would and starts another on the same data.
    pub fn kill_and_restart(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let data = self.data.clone();
        drop(self);
        Self::start(&data)
    }

    /// Asks the process to end and returns whether it ended well.
    pub fn stop(self) -> bool {
        self.ask_to_stop();
        self.ended_well()
    }

    /// Asks the process to end, as a service manager does.
    pub fn ask_to_stop(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end of a process that was asked to, and returns whether it ended well.
    pub fn ended_well(mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    /// Sends a request and returns its status and JSON body.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let url = format!("{}{path}", self.url);
        let mut request = self
            .client
            .request(method.parse().unwrap(), url)
            .bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }

    /// Watches what the server pushes to an account, from now on.
    pub async fn events(&self, token: &str) -> Events {
        let url = format!("{}/events/stream", self.url);
        let response = self
            .client
            .get(url)
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        Events {
            response,
            text: String::new(),
        }
    }

    /// Signs in and returns the access token.
    pub async fn login(&self, name: &str) -> String {
        let body = json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
        let (status, answer) = self.ask("POST", "/login", "", Some(body)).await;
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Creates a device and returns its id and token.
    pub async fn device(&self, token: &str, name: &str) -> (String, String) {
        let (status, answer) = self
            .ask("POST", "/devices", token, Some(json!({ "name": name })))
            .await;
        assert_eq!(status, 200, "{answer}");
        (
            answer["id"].as_str().unwrap().to_owned(),
            answer["device_token"].as_str().unwrap().to_owned(),
        )
    }

    /// Every stored point of a key, as `(ms, value)`.
    pub async fn history(&self, token: &str, device: &str, key: &str) -> Vec<(i64, f64)> {
        let path = format!(
            "/telemetry/history?device_id={device}&key={key}&from=2001-01-01T00:00:00Z&format=series&limit=100000"
        );
        let (status, answer) = self.ask("GET", &path, token, None).await;
        assert_eq!(status, 200, "{answer}");
        let points = answer["series"][0]["points"].as_array().unwrap();
        points
            .iter()
            .map(|p| (p["t"].as_i64().unwrap(), p["value"].as_f64().unwrap()))
            .collect()
    }
}

/// A stream of server-sent events.
pub struct Events {
    response: reqwest::Response,
    text: String,
}

impl Events {
    /// Waits for more.
    pub async fn next(mut self) -> Self {
        let more = self.response.chunk().await.unwrap();
        more.expect("the stream stays open");
        self
    }

    /// Reads events until one is what is looked for.
    pub async fn find<T>(mut self, wanted: impl Fn(&Value) -> Option<T>) -> T {
        loop {
            while let Some((line, rest)) = self.text.split_once('\n') {
                let event = line.strip_prefix("data:").map(str::trim);
                let found = event.and_then(|json| wanted(&serde_json::from_str(json).ok()?));
                self.text = rest.to_owned();
                if let Some(found) = found {
                    return found;
                }
            }
            let more = self.response.chunk().await.unwrap();
            let more = more.expect("the stream stays open");
            self.text.push_str(&String::from_utf8_lossy(&more));
        }
    }
}

/// `espalier demo` with a person who has chosen a password.
pub struct Demo;

impl Demo {
    /// Starts it, signs in and waits until all twelve boards have said what they run.
    pub async fn start(data: &Path) -> (Server, String) {
        let (server, printed) = Server::launch(data, "demo");
        let link = printed
            .iter()
            .find_map(|line| Some(line.split_once("token=")?.1.trim().to_owned()))
            .expect("the demo prints a link");
        let body = json!({ "token": link, "password": PASSWORD });
        let (status, answer) = server.ask("POST", "/setup", "", Some(body)).await;
        assert_eq!(status, 200, "{answer}");
        let token = answer["access_token"].as_str().unwrap().to_owned();
        let events = server.events(&token).await;
        let mut known = server.ask("GET", "/fleet", &token, None).await.1;
        let mut events = Some(events);
        // Each board that comes online makes an event; the last one completes the picture.
        while known["unknown"] != 0 || known["boards"] != 12 {
            let stream = events.take().expect("one stream at a time");
            events = Some(stream.next().await);
            known = server.ask("GET", "/fleet", &token, None).await.1;
        }
        (server, token)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that asks no proxy.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}
