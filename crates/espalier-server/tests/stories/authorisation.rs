//! The authorisation matrix: every route of the OpenAPI document, asked by everybody.
//!
//! A route that is not in [`RULES`] fails the test: whoever adds one says here who may call it. Requests carry
//! no useful body, so "may" means that the answer is about the request and not about who asks.

use espalier_model::Role;
use espalier_testkit::{Client, Person, TestApp, story};
use serde_json::{Value, json};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    /// Everybody; what it does is decided by the body or a secret in the path.
    Anybody,
    /// Every signed-in person, on their own things.
    Person,
    /// Who may see the thing in the path: also somebody it is shared with, and the device itself.
    See,
    /// Who may change the thing in the path: its owner, and admins.
    Own,
    /// As `See`, for a thing that cannot be shared with an account: its owner, and admins.
    SeeOwn,
    /// Admins.
    Admin,
    /// The device of the path, and nobody else.
    Device,
    /// Sockets and streams, which decide after accepting; their own stories check them.
    Socket,
}

use May::{Admin, Anybody, Device, Own, Person as Any, See, SeeOwn, Socket};

/// Method, path, who may.
const RULES: &[(&str, &str, May)] = &[
    ("get", "/", Anybody),
    ("get", "/health", Anybody),
    ("get", "/health/live", Anybody),
    ("get", "/health/ready", Anybody),
    ("get", "/metrics", Anybody),
    ("get", "/openapi.json", Anybody),
    ("get", "/admin/backup", Admin),
    ("post", "/admin/restore", Admin),
    // RULES-END
];

/// Somebody who asks.
struct Asker {
    name: &'static str,
    client: Client,
}

/// The things that paths name, made anew for each request so that a deletion spoils nothing.
struct Things {
    values: Vec<(&'static str, String)>,
}

async fn things(
    app: &TestApp,
    owner: &Person,
    viewer: &Person,
    device: &(String, String),
) -> Things {
    let board = owner
        .client
        .post("/dashboards", json!({ "name": "b" }))
        .await
        .expect(200);
    let board = board["_id"].as_str().unwrap().to_owned();
    let widget = json!({ "dashboard_id": board, "device_id": device.0, "type": "led" });
    let widget = owner.client.post("/widgets", widget).await.expect(200);
    let command = owner
        .client
        .post(
            &format!("/devices/{}/commands", device.0),
            json!({ "name": "blink" }),
        )
        .await;
    let command = command.expect(202);
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or("none").to_owned();
    let _ = (app, viewer);
    Things {
        values: vec![
            ("/widgets/{id}", text(&widget, "_id")),
            ("{command}", text(&command, "id")),
            ("/dashboards/{id}", board),
            ("/devices/{id}", device.0.clone()),
            ("{device_id}", device.0.clone()),
        ],
    }
}

/// Fills the parameters of a path.
fn fill(path: &str, things: &Things) -> String {
    let mut filled = path.to_owned();
    // `GET /widgets/{id}` of the old contract names a dashboard.
    for (pattern, value) in &things.values {
        if filled.contains(pattern) {
            let replacement = match pattern.split_once('{') {
                Some((prefix, _)) => format!("{prefix}{value}"),
                None => value.clone(),
            };
            filled = filled.replace(pattern, &replacement);
        }
    }
    while let (Some(start), Some(end)) = (filled.find('{'), filled.find('}')) {
        filled.replace_range(start..=end, "000000000000000000000000");
    }
    filled
}

/// Whether somebody may, by the rule.
fn expected(rule: May, asker: &str) -> bool {
    match rule {
        Anybody | Socket => true,
        Any => !matches!(asker, "anonymous" | "device" | "other device"),
        See => matches!(asker, "owner" | "viewer" | "admin" | "device"),
        Own | SeeOwn => matches!(asker, "owner" | "admin"),
        Admin => asker == "admin",
        Device => asker == "device",
    }
}

async fn ask(client: &Client, method: &str, path: &str) -> u16 {
    let answer = match method {
        "get" => client.get(path).await,
        "delete" => client.delete(path).await,
        "put" => client.put(path, json!({})).await,
        "patch" => client.patch(path, json!({})).await,
        _ => client.post(path, json!({})).await,
    };
    answer.status
}

story!(
    every_route_is_open_to_those_who_may_and_closed_to_all_others,
    |app| async move {
        let owner = app.person("owner").await;
        let viewer = app.person("viewer").await;
        let other = app.person("other").await;
        let admin = app.person_with("admin", Role::Admin).await;
        let api = app.anonymous().get("/openapi.json").await.expect(200);
        let mut wrong = Vec::new();
        let stranger = other.device("elsewhere").await;
        for (path, operations) in api["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                let Some((_, _, rule)) = RULES.iter().find(|(m, p, _)| m == method && p == path)
                else {
                    wrong.push(format!("{method} {path}: say in RULES who may call it"));
                    continue;
                };
                for name in [
                    "anonymous",
                    "other",
                    "other device",
                    "viewer",
                    "device",
                    "owner",
                    "admin",
                ] {
                    if *rule == Socket {
                        continue;
                    }
                    let device = owner.device("board").await;
                    let share = json!({ "user": "viewer", "role": "viewer" });
                    owner
                        .client
                        .put(&format!("/devices/{}/shares", device.0), share)
                        .await
                        .expect(200);
                    let things = things(&app, &owner, &viewer, &device).await;
                    let asker = match name {
                        "other" => other.client.clone(),
                        "viewer" => viewer.client.clone(),
                        "owner" => owner.client.clone(),
                        "admin" => admin.client.clone(),
                        "device" => app.anonymous().bearer(&device.1),
                        "other device" => app.anonymous().bearer(&stranger.1),
                        _ => app.anonymous(),
                    };
                    let asker = Asker {
                        name,
                        client: asker,
                    };
                    let status = ask(&asker.client, method, &fill(path, &things)).await;
                    let refused = matches!(status, 401 | 403 | 404);
                    if expected(*rule, asker.name) == refused && !(*rule == Anybody && refused) {
                        wrong.push(format!(
                            "{method} {path}: {} got {status}, the rule is {rule:?}",
                            asker.name
                        ));
                    }
                }
            }
        }
        assert!(
            wrong.is_empty(),
            "{} wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }
);
