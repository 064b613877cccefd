//! The authorisation matrix: every route of the OpenAPI document, asked by everybody.
//!
//! A route that is not in [`RULES`] fails the test: whoever adds one says here who may call it. Everybody asks
//! about things of their own making, so that a deletion spoils nothing, and with an empty body: "may" means that
//! the answer is about the request and no longer about who asks.

use super::{ota_kit, ota_kits};
use espalier_model::Role;
use espalier_server::identity;
use espalier_testkit::{Client, TestApp, story};
use serde_json::{Value, json};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    /// Everybody; what happens is decided by the body or by a secret in the path.
    Anybody,
    /// Every signed-in person, on their own things.
    Person,
    /// Persons, and boards with their token.
    Signed,
    /// Who may see the device: its owner, whom it is shared with, admins.
    See,
    /// As `See`, and the device itself.
    SeeOrBe,
    /// Who may change the thing: its owner, and admins; a share as viewer is not enough.
    Change,
    /// The owner alone: not even an admin meddles with somebody's dashboards.
    Owner,
    /// Admins.
    Admin,
    /// The device of the path, and nobody else.
    Device,
    /// Every board with its token, about itself.
    Board,
    /// Sockets and streams, which decide after accepting; stories of their own check them.
    Socket,
}

use May::{Admin, Anybody, Board, Change, Device, Owner, Person, See, SeeOrBe, Signed, Socket};

/// Method, path, who may.
const RULES: &[(&str, &str, May)] = &[
    ("get", "/", Anybody),
    ("get", "/health", Anybody),
    ("get", "/health/live", Anybody),
    ("get", "/health/ready", Anybody),
    ("get", "/metrics", Anybody),
    ("get", "/openapi.json", Anybody),
    ("get", "/app/config", Anybody),
    ("post", "/signup", Anybody),
    ("post", "/token", Anybody),
    ("post", "/login", Anybody),
    ("post", "/refresh", Anybody),
    ("post", "/logout", Anybody),
    ("post", "/forgot-password", Anybody),
    ("get", "/verify-reset-token", Anybody),
    ("post", "/reset-password", Anybody),
    ("get", "/setup", Anybody),
    ("post", "/setup", Anybody),
    ("get", "/shared/dashboards/{token}", Anybody),
    ("post", "/telemetry", Anybody),
    ("get", "/telemetry/latest", Anybody),
    ("post", "/devices/{device_id}/telemetry", Anybody),
    ("get", "/ws", Socket),
    ("get", "/ws/device", Socket),
    ("get", "/events/stream", Socket),
    ("get", "/notifications/stream", Socket),
    ("get", "/admin/audit", Admin),
    ("get", "/admin/backup", Admin),
    ("post", "/admin/restore", Admin),
    ("get", "/admin/invites", Admin),
    ("post", "/admin/invites", Admin),
    ("delete", "/admin/invites/{id}", Admin),
    ("get", "/admin/platform-settings", Admin),
    ("put", "/admin/platform-settings", Admin),
    ("get", "/admin/security-rules", Admin),
    ("post", "/admin/security-rules", Admin),
    ("post", "/admin/security-rules/test", Admin),
    ("get", "/admin/users", Admin),
    ("post", "/admin/users", Admin),
    ("get", "/admin/users/{id}", Admin),
    ("delete", "/admin/users/{id}", Admin),
    ("patch", "/admin/users/{id}", Admin),
    ("post", "/admin/users/{id}/reset-link", Admin),
    ("get", "/me", Person),
    ("put", "/me", Person),
    ("delete", "/me", Person),
    ("get", "/me/api-keys", Person),
    ("post", "/me/api-keys", Person),
    ("delete", "/me/api-keys/{id}", Person),
    ("get", "/me/retention", Person),
    ("put", "/me/retention", Person),
    ("get", "/me/sessions", Person),
    ("delete", "/me/sessions/{id}", Person),
    ("get", "/groups", Person),
    ("get", "/fleet", Person),
    ("get", "/notifications", Person),
    ("delete", "/notifications", Person),
    ("get", "/notifications/health", Person),
    ("put", "/notifications/read-all", Person),
    ("delete", "/notifications/{id}", Person),
    ("put", "/notifications/{id}/read", Person),
    ("post", "/events/ticket", Person),
    ("get", "/devices", Person),
    ("post", "/devices", Person),
    ("post", "/devices/batch", Person),
    ("post", "/devices/bulk", Person),
    ("patch", "/devices/bulk/status", Person),
    ("post", "/devices/claim", Person),
    ("get", "/telemetry/history", Signed),
    ("get", "/telemetry/export", Signed),
    ("post", "/telemetry/query", Signed),
    ("get", "/devices/{id}", SeeOrBe),
    ("get", "/devices/{id}/events", SeeOrBe),
    ("get", "/devices/{id}/state", SeeOrBe),
    ("get", "/devices/{id}/firmware", SeeOrBe),
    ("get", "/devices/{device_id}/telemetry/latest", SeeOrBe),
    ("get", "/devices/{device_id}/retention", See),
    ("get", "/devices/{id}/commands", See),
    ("get", "/devices/{id}/commands/{command}", See),
    ("get", "/devices/{id}/shares", Change),
    ("patch", "/devices/{id}", Change),
    ("delete", "/devices/{id}", Change),
    ("post", "/devices/{id}/claim-code", Change),
    ("post", "/devices/{id}/commands", Change),
    ("delete", "/devices/{id}/commands/{command}", Change),
    ("put", "/devices/{id}/desired", Change),
    ("put", "/devices/{id}/shares/{account}", Change),
    // The account of the path is the viewer's own: everybody may leave.
    ("delete", "/devices/{id}/shares/{account}", See),
    ("post", "/devices/{id}/token", Change),
    ("post", "/devices/{id}/transfer", Change),
    ("put", "/devices/{device_id}/retention", Change),
    ("delete", "/devices/{device_id}/telemetry", Change),
    ("post", "/devices/{device_id}/telemetry/import", Change),
    ("get", "/devices/{id}/commands/pending", Device),
    ("post", "/devices/{id}/heartbeat", Device),
    ("post", "/devices/{id}/commands/{command}/result", Device),
    ("get", "/firmware", Person),
    ("post", "/firmware", Person),
    ("post", "/firmware/inspect", Person),
    ("get", "/firmware/keys", Person),
    ("post", "/firmware/keys", Person),
    ("get", "/firmware/keys/set", Owner),
    ("put", "/firmware/keys/set", Person),
    ("delete", "/firmware/keys/{id}", Owner),
    ("get", "/firmware/{id}", Change),
    ("patch", "/firmware/{id}", Change),
    ("delete", "/firmware/{id}", Change),
    ("get", "/firmware/{id}/image", Change),
    ("put", "/firmware/{id}/signature", Change),
    ("get", "/releases", Person),
    ("post", "/releases", Person),
    ("get", "/releases/{id}", Change),
    ("patch", "/releases/{id}", Change),
    ("delete", "/releases/{id}", Change),
    ("post", "/releases/{id}/withdraw", Change),
    ("post", "/api/ota/upload", Person),
    ("get", "/api/ota/versions", Person),
    ("get", "/api/ota/firmware", Person),
    ("get", "/api/ota/firmware-types", Person),
    ("get", "/api/ota/stats", Person),
    ("delete", "/api/ota/delete/{key}", Change),
    ("post", "/api/ota/force-update/{id}", Change),
    ("get", "/device/update", Board),
    ("get", "/device/update/{update}/image", Board),
    ("get", "/device/update/{update}/patch", Board),
    ("post", "/device/update/{update}", Board),
    // Old boards have no token: who may is decided by the quarantine, and by the secret of a link.
    ("get", "/api/ota/check/{id}", Anybody),
    ("get", "/api/ota/download/{key}", Anybody),
    ("get", "/dashboards", Person),
    ("post", "/dashboards", Person),
    ("get", "/dashboards/{id}", Owner),
    ("patch", "/dashboards/{id}", Owner),
    ("delete", "/dashboards/{id}", Owner),
    ("put", "/dashboards/{id}/layout", Owner),
    ("post", "/dashboards/{id}/share", Owner),
    ("delete", "/dashboards/{id}/share", Owner),
    ("post", "/widgets", Person),
    ("get", "/widgets/{id}", Owner),
    ("patch", "/widgets/{id}", Owner),
    ("delete", "/widgets/{id}", Owner),
    ("post", "/widgets/{id}/state", Owner),
    ("get", "/screens/images", Person),
    ("post", "/screens/images", Person),
    ("delete", "/screens/images/{id}", Person),
    ("get", "/screens/images/{id}/preview.png", Person),
    ("get", "/screens/preview", Signed),
    ("get", "/screens/content", Person),
    ("post", "/screens/content", Person),
    ("put", "/screens/content/{id}", Person),
    ("delete", "/screens/content/{id}", Person),
    ("get", "/screens/sources", Person),
    ("get", "/devices/{id}/screen", SeeOrBe),
    ("put", "/devices/{id}/screen", Change),
    ("post", "/upload", Person),
    ("post", "/assign-device-images", Person),
    ("post", "/toggle-content-source", Person),
    // Boards without a token ask these, too; the stories of screens say who gets what.
    ("get", "/api/devices/{id}/content", Anybody),
    ("get", "/api/devices/{id}/images-sequence", Anybody),
    ("get", "/api/devices/{id}/preferences", Anybody),
    ("put", "/api/devices/{id}/preferences", Anybody),
    ("get", "/api/devices/{id}/dashboard", Anybody),
    ("get", "/uploads/{name}/bmp", Anybody),
    // Old boards have no token: whoever speaks without one waits in quarantine and is told nothing.
    ("post", "/api/devices/register", Anybody),
    ("post", "/api/devices/{id}/heartbeat", Anybody),
    ("post", "/api/devices/{id}/sensor-data", Anybody),
    ("post", "/api/devices/{id}/ping", Anybody),
    ("get", "/api/devices", Person),
    ("get", "/api/devices/{id}", SeeOrBe),
    ("delete", "/api/devices/{id}", Change),
    ("post", "/api/devices/{id}/unlink", Change),
    ("put", "/api/devices/{id}/nickname", Change),
    ("get", "/api/esp32-debug/{id}", See),
    ("get", "/devices/{id}/legacy", Change),
    ("put", "/devices/{id}/legacy", Change),
    ("get", "/quarantine", Admin),
    ("delete", "/quarantine/{id}", Admin),
    ("post", "/quarantine/{id}/claim", Admin),
    ("post", "/quarantine/{id}/block", Admin),
    ("get", "/quarantine/blocked", Admin),
    ("delete", "/quarantine/blocked/{id}", Admin),
    ("get", "/firmware/kits", Person),
    ("post", "/firmware/kits", Person),
    ("delete", "/firmware/kits/{id}", Change),
    ("get", "/firmware/kits/{id}/parts/{name}", Change),
    // A rollout is its owner's and the admins'; `ota_rollouts` shows that others do not see it.
    ("get", "/rollouts", Person),
    ("post", "/rollouts", Person),
    ("post", "/rollouts/preview", Person),
    ("get", "/rollouts/{id}", Person),
    ("patch", "/rollouts/{id}", Person),
    ("delete", "/rollouts/{id}", Person),
    ("post", "/rollouts/{id}/start", Person),
    ("post", "/rollouts/{id}/approve", Person),
    ("post", "/rollouts/{id}/pause", Person),
    ("post", "/rollouts/{id}/resume", Person),
    ("post", "/rollouts/{id}/abort", Person),
    ("post", "/rollouts/{id}/rollback", Person),
    ("get", "/rollouts/{id}/devices", Person),
    ("get", "/rollouts/{id}/events", Person),
    ("get", "/devices/{id}/updates", See),
    ("post", "/devices/{id}/update", Change),
    ("get", "/devices/{id}/time-zone", See),
    ("put", "/devices/{id}/time-zone", Change),
];

/// Everybody who asks. The viewer is somebody the device is shared with as viewer.
const ASKERS: [&str; 7] = [
    "anonymous",
    "other",
    "other device",
    "viewer",
    "device",
    "owner",
    "admin",
];

fn expected(rule: May, asker: &str) -> bool {
    let person = matches!(asker, "owner" | "viewer" | "other" | "admin");
    match rule {
        Anybody | Socket => true,
        Person => person,
        Signed => asker != "anonymous",
        See => matches!(asker, "owner" | "viewer" | "admin"),
        SeeOrBe => matches!(asker, "owner" | "viewer" | "admin" | "device"),
        Change => matches!(asker, "owner" | "admin"),
        Owner => asker == "owner",
        Admin => asker == "admin",
        Device => asker == "device",
        Board => matches!(asker, "device" | "other device"),
    }
}

/// One set of people and things, made for one request.
struct World {
    asker: Client,
    /// What stands for a parameter, by the path up to and with it.
    names: Vec<(&'static str, String)>,
}

async fn person(
    app: &TestApp,
    name: &str,
    n: usize,
    role: Role,
) -> (espalier_model::AccountId, Client) {
    let name = format!("{name}{n}");
    let email = format!("{name}@example.com");
    let made = identity::create_account_without_password(&app.app, &email, &name, role).await;
    let account = made.expect("an account");
    let token = identity::open_session(&app.app, account)
        .await
        .expect("a session");
    (account, app.anonymous().bearer(&token))
}

/// The owner's key, its key set, an image and a release of another: whoever deletes one is not held up by the other.
async fn firmware(owner: &Client, n: usize) -> Vec<(&'static str, String)> {
    let key = ota_kit::key(1);
    let id = ota_kit::trust(owner, &key).await;
    ota_kit::put_key_set(owner, 1, &[&key], &key)
        .await
        .expect(200);
    let image = |name: &str| ota_kit::image("made", name, &n.to_be_bytes());
    let one = ota_kit::keep(owner, &image("1"), &key).await;
    let other = ota_kit::keep(owner, &image("2"), &key).await;
    let release = json!({ "firmware": [other["id"]] });
    let release = owner.post("/releases", release).await.expect(201);
    let text = |value: &Value, key: &str| value[key].as_str().expect("an id").to_owned();
    let kit = ota_kits::Kit::new("base", &n.to_be_bytes()).signed(&key);
    let kit = kit.upload(owner).await.expect(201);
    vec![
        ("/firmware/kits/{id}", text(&kit, "id")),
        ("/parts/{name}", "app".to_owned()),
        ("/firmware/keys/{id}", id),
        ("/firmware/{id}", text(&one, "id")),
        ("/releases/{id}", text(&release, "id")),
        ("/api/ota/delete/{key}", text(&one, "key")),
    ]
}

async fn world(app: &TestApp, asker: &str, n: usize, path: &str) -> World {
    let (owner_id, owner) = person(app, "owner", n, Role::Member).await;
    let (viewer_id, viewer) = person(app, "viewer", n, Role::Member).await;
    let device = owner
        .post("/devices", json!({ "name": "board" }))
        .await
        .expect(200);
    let id = device["id"].as_str().unwrap().to_owned();
    let share = json!({ "role": "viewer" });
    owner
        .put(&format!("/devices/{id}/shares/viewer{n}"), share)
        .await
        .expect(200);
    let board = owner
        .post("/dashboards", json!({ "name": "b" }))
        .await
        .expect(200);
    let new = json!({ "dashboard_id": board["_id"], "device_id": id, "type": "led" });
    let widget = owner.post("/widgets", new).await.expect(200);
    let command = owner
        .post(
            &format!("/devices/{id}/commands"),
            json!({ "name": "blink" }),
        )
        .await
        .expect(202);
    let text = |value: &Value, key: &str| value[key].as_str().expect("an id").to_owned();
    let named = path.contains('{') || path.ends_with("/set");
    let about_firmware = ["/firmware/", "/releases/", "/api/ota/delete/"];
    let mut names = match named && about_firmware.iter().any(|part| path.starts_with(part)) {
        true => firmware(&owner, n).await,
        false => Vec::new(),
    };
    names.extend([
        ("/devices/{id}", id.clone()),
        ("/esp32-debug/{id}", id.clone()),
        ("/force-update/{id}", id.clone()),
        ("/devices/{device_id}", id),
        ("/commands/{command}", text(&command, "id")),
        ("/shares/{account}", viewer_id.to_string()),
        ("/admin/users/{id}", owner_id.to_string()),
        ("/dashboards/{id}", text(&board, "_id")),
        ("/widgets/{id}", text(&widget, "_id")),
    ]);
    let client = match asker {
        "owner" => owner,
        "viewer" => viewer,
        "device" => app.anonymous().bearer(&text(&device, "device_token")),
        "admin" => person(app, "admin", n, Role::Admin).await.1,
        "other" => person(app, "other", n, Role::Member).await.1,
        "other device" => {
            let other = person(app, "other", n, Role::Member).await.1;
            let device = other
                .post("/devices", json!({ "name": "elsewhere" }))
                .await
                .expect(200);
            app.anonymous().bearer(&text(&device, "device_token"))
        }
        _ => app.anonymous(),
    };
    World {
        asker: client,
        names,
    }
}

/// Fills the parameters of a path; without a world with ids of things that do not exist.
fn fill(method: &str, path: &str, world: Option<&World>) -> String {
    let mut filled = path.to_owned();
    for (pattern, value) in world.iter().flat_map(|world| &world.names) {
        // `GET /widgets/{id}` of the old contract names a dashboard.
        let board = world.and_then(|w| w.names.iter().find(|(p, _)| *p == "/dashboards/{id}"));
        let value = match board {
            Some((_, board)) if (method, path) == ("get", "/widgets/{id}") => board,
            _ => value,
        };
        let prefix = pattern.split('{').next().unwrap_or_default();
        filled = filled.replace(pattern, &format!("{prefix}{value}"));
    }
    while let (Some(start), Some(end)) = (filled.find('{'), filled.find('}')) {
        filled.replace_range(start..=end, "000000000000000000000000");
    }
    filled
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

/// Says what is wrong with the answer, if anything.
async fn check(rule: May, asker: &str, method: &str, path: &str, world: &World) -> Option<String> {
    let status = ask(&world.asker, method, &fill(method, path, Some(world))).await;
    let refused = matches!(status, 401 | 403 | 404);
    // Persons ask for things of theirs by ids that nothing has; that is no refusal of the person.
    let about_the_thing =
        status == 404 && matches!(rule, Person | Admin | Board) && path.contains('{');
    let right = if expected(rule, asker) {
        !refused || about_the_thing || rule == Anybody
    } else if matches!(status, 400 | 422) {
        // A wrong body may be told to anybody, as long as it says nothing about what exists.
        status == ask(&world.asker, method, &fill(method, path, None)).await
    } else {
        refused
    };
    (!right).then(|| format!("{method} {path}: {asker} got {status}, the rule is {rule:?}"))
}

story!(
    every_route_is_open_to_those_who_may_and_closed_to_all_others,
    |app| async move {
        let api = app.anonymous().get("/openapi.json").await.expect(200);
        let (mut wrong, mut n) = (Vec::new(), 0);
        for (path, operations) in api["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                let Some((_, _, rule)) = RULES.iter().find(|(m, p, _)| m == method && p == path)
                else {
                    wrong.push(format!("{method} {path}: say in RULES who may call it"));
                    continue;
                };
                for asker in ASKERS.iter().filter(|_| *rule != Socket) {
                    n += 1;
                    let world = world(&app, asker, n, path).await;
                    wrong.extend(check(*rule, asker, method, path, &world).await);
                }
            }
        }
        for (method, path, _) in RULES {
            if api["paths"][path][method].is_null() {
                wrong.push(format!("{method} {path}: is in RULES and not in the API"));
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
