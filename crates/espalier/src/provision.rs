//! Boards for the simulator: made on any server through its public API, or taken up again with new tokens.

use anyhow::{Context, bail};
use espalier_image::keys::{MAX_KEYS, PublicKey};
use espalier_server::random;
use espalier_sim::{BoardKind, BoardSpec, Outage};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// Devices that are created with one request.
const AT_ONCE: usize = 500;
/// Devices that are listed with one request.
const PAGE: usize = 1000;

/// The server, as somebody who may create devices there.
pub struct Server {
    client: reqwest::Client,
    url: String,
    token: String,
}

/// A board that shall exist.
pub struct Wanted {
    /// What it is.
    pub kind: BoardKind,
    /// What people call it.
    pub name: String,
    /// When it drops off and returns.
    pub outage: Option<Outage>,
}

impl Server {
    /// Prepares to talk to the server at `url` with an access token or API key.
    pub fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        let client = crate::backup::http_client()?;
        Ok(Self {
            client,
            url: url.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
        })
    }

    /// Sends a request and waits as long as the server's rate limit wants.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let with_body = |request: RequestBuilder| match body {
            Some(body) => request.json(body),
            None => request,
        };
        Ok(self.send(method, path, with_body).await?.1)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        with_body: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> anyhow::Result<(StatusCode, Value)> {
        loop {
            let url = format!("{}{path}", self.url);
            let request = self.client.request(method.clone(), &url);
            let response = with_body(request.bearer_auth(&self.token))
                .send()
                .await
                .with_context(|| format!("cannot reach {}", self.url))?;
            let status = response.status();
            if status == StatusCode::TOO_MANY_REQUESTS {
                let wait = response
                    .headers()
                    .get("retry-after")
                    .and_then(|v| v.to_str().ok()?.parse().ok());
                tokio::time::sleep(Duration::from_secs(wait.unwrap_or(1))).await;
                continue;
            }
            let text = response.text().await?;
            let answer = match text.is_empty() {
                true => Ok(Value::Null),
                false => serde_json::from_str(&text),
            };
            if !status.is_success() {
                let answer: Value = answer.unwrap_or_default();
                let sentence = answer["message"].as_str().unwrap_or("no reason was given");
                bail!("{} refused {method} {path}: {sentence}", self.url);
            }
            return Ok((status, answer?));
        }
    }

    /// Uploads a firmware image with its signed manifest and returns its id; one that is there already is the same.
    pub async fn upload(&self, image: &[u8], manifest: &str) -> anyhow::Result<String> {
        let fields = [
            ("firmware", Some("firmware.bin"), image),
            ("signature", None, manifest.as_bytes()),
        ];
        let (_, answer) = self.form("/firmware", &fields).await?;
        let id = answer["id"].as_str();
        Ok(id.context("the server gave no id")?.to_owned())
    }

    /// Posts a form of parts with name, file name and bytes, and waits as long as the server's rate limit wants. Returns the
    /// status, which says success, and the answer.
    pub async fn form(
        &self,
        path: &str,
        fields: &[(&str, Option<&str>, &[u8])],
    ) -> anyhow::Result<(StatusCode, Value)> {
        let boundary = format!("espalier-{}", random::secret(""));
        let mut body = Vec::new();
        for (name, file, bytes) in fields {
            let file = file.map(|file| format!("; filename=\"{file}\""));
            let file = file.unwrap_or_default();
            let head = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={boundary}");
        self.send(Method::POST, path, |request| {
            request.header("content-type", &kind).body(body.clone())
        })
        .await
    }

    /// Returns the public keys whose firmware the account's boards should take.
    pub async fn trusted_keys(&self) -> anyhow::Result<Vec<[u8; 32]>> {
        let keys = self.ask(Method::GET, "/firmware/keys", None).await?;
        let current = keys.as_array().into_iter().flatten();
        let current = current.filter(|key| key["retired_at"].is_null());
        let texts = current.filter_map(|key| key["public_key"].as_str());
        Ok(texts
            .filter_map(|text| Some(*PublicKey::from_file(text).ok()?.bytes()))
            .take(MAX_KEYS)
            .collect())
    }

    /// Makes sure that the account has these boards with this tag, and returns them with fresh tokens.
    pub async fn boards(&self, tag: &str, wanted: Vec<Wanted>) -> anyhow::Result<Vec<BoardSpec>> {
        let mut existing = self.existing(tag).await?;
        let (mut specs, mut missing) = (Vec::new(), Vec::new());
        for (seed, board) in wanted.into_iter().enumerate() {
            match existing.remove(&board.name) {
                Some(id) => {
                    let rotated = self
                        .ask(
                            Method::POST,
                            &format!("/devices/{id}/token"),
                            Some(&json!({})),
                        )
                        .await?;
                    specs.push(spec(
                        board,
                        seed,
                        &json!({ "id": id, "device_token": rotated["device_token"] }),
                    )?);
                }
                None => missing.push((seed, board)),
            }
        }
        while !missing.is_empty() {
            let part: Vec<_> = missing.drain(..missing.len().min(AT_ONCE)).collect();
            let devices: Vec<Value> = part
                .iter()
                .map(|(_, board)| json!({ "name": board.name, "kind": board.kind.as_str(), "tags": [tag], "expected_interval_seconds": board.kind.expected_interval_s() }))
                .collect();
            let made = self
                .ask(
                    Method::POST,
                    "/devices/batch",
                    Some(&json!({ "devices": devices })),
                )
                .await?;
            let made = made
                .as_array()
                .context("the server answered in an unknown form")?;
            for ((seed, board), device) in part.into_iter().zip(made) {
                specs.push(spec(board, seed, device)?);
            }
        }
        Ok(specs)
    }

    /// The ids of the devices with a tag, by name.
    async fn existing(&self, tag: &str) -> anyhow::Result<HashMap<String, String>> {
        let mut existing = HashMap::new();
        loop {
            let path = format!("/devices?tag={tag}&limit={PAGE}&offset={}", existing.len());
            let page = self.ask(Method::GET, &path, None).await?;
            let page = page
                .as_array()
                .context("the server answered in an unknown form")?;
            let before = existing.len();
            let named = page.iter().filter_map(|d| {
                Some((d["name"].as_str()?.to_owned(), d["id"].as_str()?.to_owned()))
            });
            existing.extend(named);
            if page.len() < PAGE || existing.len() == before {
                return Ok(existing);
            }
        }
    }

    /// Deletes boards.
    pub async fn remove(&self, specs: &[BoardSpec]) -> anyhow::Result<()> {
        for part in specs.chunks(AT_ONCE) {
            let ids: Vec<&str> = part.iter().map(|spec| spec.device_id.as_str()).collect();
            let body = json!({ "device_ids": ids, "action": "delete" });
            self.ask(Method::POST, "/devices/bulk", Some(&body)).await?;
        }
        Ok(())
    }
}

fn spec(board: Wanted, seed: usize, device: &Value) -> anyhow::Result<BoardSpec> {
    let text = |key: &str| {
        device[key]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("the server gave no {key}"))
    };
    Ok(BoardSpec {
        kind: board.kind,
        name: board.name,
        device_id: text("id")?,
        token: text("device_token")?,
        seed: seed as u64 + 1,
        outage: board.outage,
    })
}
