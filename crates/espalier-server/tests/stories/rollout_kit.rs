//! What the stories of rollouts share: a library with two versions, and boards that ask, install and report.

use espalier_db::params;
use espalier_server::devices::Device;
use espalier_server::identity;
use espalier_server::ota::fleet::{self, Running};
use espalier_server::ota::rollouts::{self, Decision, Offer};
use espalier_testkit::{Client, Person, TestApp};
use espalier_wire::ota::{Report, Stage};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// An app with somebody who has two images, v1 and v2, and a release of each.
pub struct Lab {
    pub app: TestApp,
    pub ada: Person,
    client: Mutex<Client>,
    /// Releases of v1 and v2.
    pub releases: [String; 2],
    /// Their images.
    pub firmware: [String; 2],
}

pub const OLD: [u8; 32] = [1; 32];
pub const NEW: [u8; 32] = [2; 32];

fn uuid(n: u128) -> String {
    format!(
        "{:08x}-0000-7000-8000-{:012x}",
        n >> 48,
        n & 0xffff_ffff_ffff
    )
}

/// Puts an image and a release with it into somebody's library, as if they had been uploaded.
async fn publish(
    app: &TestApp,
    person: &Person,
    n: u8,
    version: &'static str,
    secure: i64,
) -> (String, String) {
    let (firmware, release) = (uuid(0x1000 + u128::from(n)), uuid(0x2000 + u128::from(n)));
    let (f, r, owner) = (
        firmware.clone(),
        release.clone(),
        person.account.to_string(),
    );
    let at = app.clock.now_ms();
    app.app
        .db
        .write(move |c| {
            c.execute(
                "insert into firmware (id, owner_id, sha256, md5, size, chip, project, version, secure_version, elf_sha256, facts, \
                 legacy_key, filename, description, manifest, created_by, created_at) values ($1, $2, $3, $4, 1000000, 'esp32c3', 'p', \
                 $5, $6, $7, '{}', $8, 'a.bin', '', 'signed', $9, $10)",
                params![&f, &owner, vec![n; 32], vec![n; 16], version, secure, vec![n; 32], format!("K{n}"), &owner, at],
            )?;
            c.execute(
                "insert into firmware_release (id, owner_id, version, channel, notes, created_by, created_at) \
                 values ($1, $2, $3, 'stable', '', $4, $5)",
                params![&r, &owner, version, &owner, at],
            )?;
            c.execute(
                "insert into firmware_release_image (release_id, firmware_id) values ($1, $2)",
                params![&r, &f],
            )?;
            Ok::<_, espalier_db::Error>(())
        })
        .await
        .expect("the library is filled");
    (firmware, release)
}

impl Lab {
    pub async fn new(mut app: TestApp) -> Self {
        let ada = app.person("ada").await;
        let (old, first) = publish(&app, &ada, 1, "1.0.0", 1).await;
        let (new, second) = publish(&app, &ada, 2, "2.0.0", 1).await;
        app.restart().await;
        let client = Mutex::new(app.anonymous().bearer(&ada.token));
        Self {
            app,
            ada,
            client,
            releases: [first, second],
            firmware: [old, new],
        }
    }

    /// The owner's client.
    pub fn client(&self) -> Client {
        self.client.lock().expect("nobody panicked").clone()
    }

    /// Signs the owner in again: after a restart, and when the session has expired.
    pub async fn sign_in(&self) {
        let token = identity::open_session(&self.app.app, self.ada.account)
            .await
            .expect("a session");
        *self.client.lock().expect("nobody panicked") = self.app.anonymous().bearer(&token);
    }

    /// So many boards that run v1.
    pub async fn boards(&self, n: usize) -> Vec<Board> {
        let mut boards = Vec::new();
        for i in 0..n {
            boards.push(self.board(&format!("board {i}")).await);
        }
        boards
    }

    /// A board that said nothing yet.
    pub async fn silent(&self, name: &str) -> Board {
        let made = espalier_server::devices::create(&self.app.app, self.ada.account, name).await;
        let (device, token) = made.expect("a device");
        Board {
            device,
            token,
            boots: 10,
        }
    }

    /// A board that runs v1.
    pub async fn board(&self, name: &str) -> Board {
        let board = self.silent(name).await;
        board.runs(self, OLD, false);
        board
    }

    /// Makes a rollout of v2 and starts it; returns its id.
    pub async fn rollout(&self, plan: Value) -> String {
        let id = self.draft(plan, json!("everything")).await;
        self.act(&id, "start").await;
        id
    }

    pub async fn draft(&self, plan: Value, target: Value) -> String {
        let body =
            json!({ "name": "v2", "release_id": self.releases[1], "target": target, "plan": plan });
        let made = self.client().post("/rollouts", body).await.expect(201);
        made["id"].as_str().expect("an id").to_owned()
    }

    pub async fn act(&self, id: &str, verb: &str) -> Value {
        self.client()
            .post(&format!("/rollouts/{id}/{verb}"), json!({}))
            .await
            .expect(200)
    }

    pub async fn tick(&self) {
        rollouts::tick(&self.app.app).await.expect("a tick");
    }

    /// Moves the clock and lets the server look at it.
    pub async fn pass(&self, seconds: i64) {
        self.app.clock.advance(seconds * 1000);
        self.tick().await;
        if seconds >= 600 {
            self.sign_in().await;
        }
    }

    pub async fn show(&self, id: &str) -> Value {
        self.tick().await;
        self.client()
            .get(&format!("/rollouts/{id}"))
            .await
            .expect(200)
    }

    pub async fn state(&self, id: &str) -> String {
        self.show(id).await["state"]
            .as_str()
            .expect("a state")
            .to_owned()
    }

    pub async fn devices(&self, id: &str, query: &str) -> Vec<Value> {
        let list = self
            .client()
            .get(&format!("/rollouts/{id}/devices?limit=500{query}"))
            .await
            .expect(200);
        list["data"].as_array().expect("a list").clone()
    }

    /// The boards that are offered something now, by their place.
    pub fn offered(&self, boards: &[Board]) -> Vec<usize> {
        let asked = boards.iter().enumerate();
        asked
            .filter(|(_, board)| matches!(board.asks(self), Decision::Offer(_)))
            .map(|(n, _)| n)
            .collect()
    }
}

pub struct Board {
    pub device: Arc<Device>,
    pub token: String,
    pub boots: u32,
}

impl Board {
    pub fn oid(&self) -> String {
        self.device.oid.to_string()
    }

    /// The board says what runs on it.
    pub fn runs(&self, lab: &Lab, sha256: [u8; 32], trial: bool) -> Arc<Running> {
        self.says(lab, |running| {
            running.sha256 = Some(sha256);
            running.trial = trial;
        })
    }

    pub fn says(&self, lab: &Lab, change: impl FnOnce(&mut Running)) -> Arc<Running> {
        let app = &lab.app.app;
        let device = app.devices.get(self.device.id).expect("the device");
        let running = fleet::heard(app, &device, |running| {
            running.native = true;
            running.chip = Some("esp32c3".to_owned());
            running.slot_bytes = Some(1_310_720);
            running.secure_version = Some(0);
            running.boots = Some(self.boots);
            change(running);
        });
        rollouts::observed(app, &device, &running);
        running
    }

    pub fn asks(&self, lab: &Lab) -> Decision {
        let app = &lab.app.app;
        let device = app.devices.get(self.device.id).expect("the device");
        let running = app
            .ota
            .fleet
            .get(self.device.id)
            .expect("it said what it runs");
        rollouts::decide(app, &device, &running)
    }

    /// The board asks and takes what it is offered.
    pub async fn takes(&self, lab: &Lab) -> Option<Offer> {
        let Decision::Offer(offer) = self.asks(lab) else {
            return None;
        };
        let taken = rollouts::offered(&lab.app.app, &self.device, &offer).await;
        taken.expect("the offer is noted");
        Some(offer)
    }

    pub async fn tells(&self, lab: &Lab, offer: &Offer, stage: Stage, reason: Option<&str>) {
        let report = Report {
            attempt: offer.attempt,
            stage,
            bytes: None,
            patch: false,
            running: None,
            reason: reason.map(Into::into),
        };
        let noted = rollouts::report(&lab.app.app, &self.device, offer.update, report).await;
        noted.expect("the report is noted");
    }

    /// The board asks, installs and confirms; returns whether there was anything.
    pub async fn updates(&mut self, lab: &Lab) -> bool {
        let Some(offer) = self.takes(lab).await else {
            return false;
        };
        self.tells(lab, &offer, Stage::Downloading, None).await;
        self.tells(lab, &offer, Stage::Written, None).await;
        self.boots += 1;
        self.runs(lab, offer.firmware.sha256, true);
        self.tells(lab, &offer, Stage::Confirmed, None).await;
        self.runs(lab, offer.firmware.sha256, false);
        true
    }

    /// The board asks, installs, and the image crashes; returns whether there was anything.
    pub async fn crashes(&mut self, lab: &Lab) -> bool {
        let Some(offer) = self.takes(lab).await else {
            return false;
        };
        let before = lab
            .app
            .app
            .ota
            .fleet
            .get(self.device.id)
            .and_then(|r| r.sha256)
            .expect("an image");
        self.tells(lab, &offer, Stage::Written, None).await;
        self.boots += 1;
        self.runs(lab, offer.firmware.sha256, true);
        self.boots += 1;
        self.runs(lab, before, false);
        self.tells(lab, &offer, Stage::RolledBack, Some("crash_loop"))
            .await;
        true
    }
}

/// A plan without a health window, as most stories want it.
pub fn plan(changes: Value) -> Value {
    let mut plan =
        json!({ "health": { "window_s": 0 }, "limit": {}, "waves": [{ "percent": 100 }] });
    for (key, value) in changes.as_object().expect("an object") {
        plan[key] = value.clone();
    }
    plan
}
