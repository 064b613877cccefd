//! The story of one board, told by its serial line and by the server's API. Each part begins where the one before ended; the first
//! that fails ends the story.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::api::{self, Events, ask, get, text, upload};
use super::images::{Build, Images};
use super::machine::Machine;
use super::tls::Tls;
use crate::http_checks::server::Server;
use crate::process;
use crate::steps::Steps;

/// How the board reaches this machine.
pub const HOST: &str = "10.0.2.2";

/// Everything that the parts of the story share.
struct Story<'a> {
    images: &'a Images,
    program: &'a Path,
    server: Server,
    /// The owner's key that signs firmware.
    key: PathBuf,
    /// The same key for boards, in base64.
    public: String,
    flash: PathBuf,
    device: String,
    token: String,
}

/// Whom a board believes over https.
#[derive(Debug, Clone, Copy)]
enum Believes<'a> {
    /// The authority in this file, which is in its flash.
    Authority(&'a Path),
    /// The key of the server, as a person tells it.
    Pin(&'a str),
}

/// Plays the story.
pub fn play(steps: &mut Steps, images: &Images, program: &Path) {
    let made = steps.value("emulated board: a new board, a server", || {
        Story::begin(images, program)
    });
    let Some(mut story) = made else {
        return;
    };
    let _ = parts(steps, &mut story);
    steps.step("emulated board: the server stops cleanly", || {
        story.server.stop()
    });
}

fn parts(steps: &mut Steps, story: &mut Story<'_>) -> Option<()> {
    let mut board = steps.value("emulated board: provisioned over its serial line", || {
        story.provisioned()
    })?;
    let mut part = |name: &str, act: &mut dyn FnMut(&mut Machine) -> Result<()>| {
        let passed = steps.step(&format!("emulated board: {name}"), || act(&mut board));
        if !passed {
            println!("{}", board.said());
        }
        passed.then_some(())
    };
    part("delivers", &mut |_| story.delivers())?;
    part("obeys", &mut |board| story.obeys(board))?;
    part("a whole image", &mut |board| {
        story.updates(board, Build::Extra, "1.1.0", None)
    })?;
    part("a patch", &mut |board| {
        story.updates(board, Build::Plain, "1.2.0", Some("1.1.0"))
    })?;
    part("a power cut", &mut |board| story.loses_power(board))?;
    part("a bad image", &mut |board| story.refuses(board, "1.3.0"))?;
    steps
        .step("emulated board: switched off", || story.ends(board))
        .then_some(())?;
    steps
        .step("emulated board: TLS", || story.believes())
        .then_some(())
}

impl<'a> Story<'a> {
    fn begin(images: &'a Images, program: &'a Path) -> Result<Self> {
        let server = Server::start(program)?;
        let folder = server.folder().to_owned();
        let mut keygen = Command::new(program);
        process::run(
            keygen
                .args(["firmware", "keygen", "--out"])
                .arg(folder.join("owner")),
        )?;
        let public = std::fs::read_to_string(folder.join("owner.pub"))?;
        let body = json!({ "name": "owner", "public_key": public });
        ask(&server, "POST", "/firmware/keys", &body, 201)?;
        let mut lines = public.lines();
        let public = lines.find_map(|line| line.strip_prefix("key:"));
        let public = public.context("there is no key in owner.pub")?.to_owned();
        let flash = folder.join("flash.bin");
        let image = images.make(Build::Plain, "1.0.0", &folder)?;
        images.flash(&image, &flash, None)?;
        let device = ask(
            &server,
            "POST",
            "/devices",
            &json!({ "name": "Emulated board" }),
            200,
        )?;
        Ok(Story {
            images,
            program,
            key: folder.join("owner.key"),
            public,
            flash,
            device: text(&device, "id")?,
            token: text(&device, "device_token")?,
            server,
        })
    }

    fn power_on(&self) -> Result<Machine> {
        Machine::power_on(&self.images.loader, &self.flash, &[])
    }

    fn path(&self, rest: &str) -> String {
        format!("/devices/{}{rest}", self.device)
    }

    fn provisioned(&self) -> Result<Machine> {
        let url = format!("http://{HOST}:{}", self.server.address.port());
        // It is told no key: it will keep the first that its server names.
        self.provisioned_with("provision", &url, None)
    }

    fn provisioned_with(&self, command: &str, url: &str, pin: Option<&str>) -> Result<Machine> {
        let mut board = self.power_on()?;
        board.hears("the board does not know its server yet")?;
        board.types(command)?;
        for (question, answer) in [
            ("Device ID:", self.device.as_str()),
            ("Device Token:", &self.token),
            ("API URL:", url),
        ] {
            board.hears(question)?;
            board.types(answer)?;
        }
        if let Some(pin) = pin {
            board.hears("It must be given for an https server")?;
            board.types(pin)?;
        }
        board.hears("Saved.")?;
        // It starts again with what it was told, and shows it to nobody.
        board.hears("was started because of restart")?;
        board.hears("the board has the address")?;
        ensure!(!board.has_said(&self.token), "the board shows its token");
        Ok(board)
    }

    fn latest(&self, key: &str) -> Result<Value> {
        Ok(get(&self.server, &self.path("/telemetry/latest"))?["data"][key].clone())
    }

    fn delivers(&mut self) -> Result<()> {
        let mut events = Events::listen(&self.server)?;
        let first = events.until("telemetry", || Ok(self.latest("temperature")?.as_f64()))?;
        ensure!((20.0..21.0).contains(&first), "the temperature is {first}");
        // Not just once.
        events.until("more telemetry", || {
            let now = self.latest("temperature")?.as_f64();
            Ok(now.filter(|now| *now != first))
        })?;
        let online = get(&self.server, &self.path(""))?;
        ensure!(online["online"] == true, "the server shows {online}");
        Ok(())
    }

    fn obeys(&mut self, board: &mut Machine) -> Result<()> {
        let mut events = Events::listen(&self.server)?;
        ask(
            &self.server,
            "PUT",
            &self.path("/desired"),
            &json!({ "relay1": true }),
            200,
        )?;
        board.hears("relay1: true")?;
        events.until("the report of the relay", || {
            let state = get(&self.server, &self.path("/state"))?;
            Ok((state["state"]["relay1"]["reported"] == true).then_some(()))
        })?;
        events.until("the relay in telemetry", || {
            Ok((self.latest("relay1")? == true).then_some(()))
        })?;
        let command = self.path("/commands?wait=30");
        let done = ask(
            &self.server,
            "POST",
            &command,
            &json!({ "name": "identify" }),
            200,
        )?;
        ensure!(done["status"] == "done", "the command is {done}");
        board.hears("here I am")
    }

    /// Signs an image and puts it into the library; returns its file and its id.
    fn publish(&self, build: Build, version: &str) -> Result<(PathBuf, String)> {
        let image = self.images.make(build, version, self.server.folder())?;
        let mut sign = Command::new(self.program);
        process::run(
            sign.args(["firmware", "sign", "--key"])
                .arg(&self.key)
                .arg(&image),
        )?;
        let id = upload(&self.server, &image)?;
        Ok((image, id))
    }

    /// Rolls an image out; returns the board's update when it has ended.
    fn roll_out(&self, firmware: &str, version: &str) -> Result<Value> {
        let body = json!({ "version": version, "firmware": [firmware] });
        let release = text(&ask(&self.server, "POST", "/releases", &body, 201)?, "id")?;
        let plan = json!({ "waves": [{ "count": 1 }], "health": { "window_s": 1 }, "limit": { "count": 1 },
            "max_attempts": 1, "confirm_within_s": 30 });
        let target = json!({ "devices": [self.device] });
        let body = json!({ "release_id": release, "target": target, "plan": plan });
        let rollout = text(&ask(&self.server, "POST", "/rollouts", &body, 201)?, "id")?;
        let mut events = Events::listen(&self.server)?;
        ask(
            &self.server,
            "POST",
            &format!("/rollouts/{rollout}/start"),
            &Value::Null,
            200,
        )?;
        events.until("the end of the rollout", || {
            let now = get(&self.server, &format!("/rollouts/{rollout}"))?;
            let over = matches!(now["state"].as_str(), Some("finished" | "halted"));
            Ok(over.then_some(()))
        })?;
        let updates = get(&self.server, &self.path("/updates"))?;
        let all = updates["data"].as_array().or(updates.as_array());
        let mut all = all.into_iter().flatten();
        let update = all.find(|one| one["rollout_id"] == rollout.as_str());
        update
            .cloned()
            .with_context(|| format!("the board has no update of this rollout: {updates}"))
    }

    /// Asks for an update as another board would that runs the image in `from`, until the server has made a patch: the first
    /// board that asks is never made to wait for one.
    fn scout(&self, from: &Path, firmware: &str) -> Result<()> {
        let device = ask(
            &self.server,
            "POST",
            "/devices",
            &json!({ "name": "Scout" }),
            200,
        )?;
        let (id, token) = (text(&device, "id")?, text(&device, "device_token")?);
        let body = json!({ "firmware_id": firmware });
        ask(
            &self.server,
            "POST",
            &format!("/devices/{id}/update"),
            &body,
            202,
        )?;
        api::patch_for(&self.server, &token, from)
    }

    fn updates(
        &mut self,
        board: &mut Machine,
        build: Build,
        version: &str,
        old: Option<&str>,
    ) -> Result<()> {
        let (_, firmware) = self.publish(build, version)?;
        if let Some(old) = old {
            let from = self.server.folder().join(format!("{old}.bin"));
            self.scout(&from, &firmware)?;
        }
        let update = self.roll_out(&firmware, version)?;
        ensure!(update["state"] == "confirmed", "the update is {update}");
        ensure!(
            update["patch"] == old.is_some(),
            "the board should have been given {}: {update}",
            if old.is_some() {
                "a patch"
            } else {
                "the whole image"
            }
        );
        board.hears(&format!("version {version} runs"))?;
        self.runs(version)?;
        let extra = matches!(build, Build::Extra);
        if extra {
            let mut events = Events::listen(&self.server)?;
            events.until("what only the new firmware measures", || {
                Ok(self.latest("pressure")?.as_f64())
            })?;
        }
        // The relay is as it was before both restarts.
        ensure!(self.latest("relay1")? == true, "the relay went off");
        Ok(())
    }

    /// Checks what the server knows of the image that runs.
    fn runs(&self, version: &str) -> Result<()> {
        let board = get(&self.server, &self.path("/firmware"))?;
        ensure!(
            board["version"] == version && board["trial"] == false,
            "the board should run {version}: {board}"
        );
        Ok(())
    }

    fn loses_power(&mut self, board: &mut Machine) -> Result<()> {
        let mut events = Events::listen(&self.server)?;
        *board = self.power_on_again(board)?;
        board.hears("was started because of power_on")?;
        board.hears("version 1.2.0 runs")?;
        // The switch is what it was, before the server says anything.
        board.hears("relay1: true")?;
        events.until("the board after the power cut", || {
            let firmware = get(&self.server, &self.path("/firmware"))?;
            Ok((firmware["boot_reason"] == "power_on").then_some(()))
        })
    }

    fn power_on_again(&self, board: &mut Machine) -> Result<Machine> {
        board.cut_power();
        self.power_on()
    }

    fn refuses(&mut self, board: &mut Machine, version: &str) -> Result<()> {
        let (_, firmware) = self.publish(Build::Crash, version)?;
        let update = self.roll_out(&firmware, version)?;
        ensure!(update["state"] == "rolled_back", "the update is {update}");
        board.hears(&format!("version {version} runs"))?;
        board.hears("this firmware crashes on purpose")?;
        board.hears("the image before this one is started again")?;
        board.hears("version 1.2.0 runs")?;
        self.runs("1.2.0")
    }

    /// Lets another board reach the server in TLS; it believes an authority that it was flashed with, or a pin that it is told. It is
    /// told the owner's key, too.
    fn in_tls(&mut self, name: &str, port: u16, believes: Believes<'_>) -> Result<Machine> {
        let device = ask(
            &self.server,
            "POST",
            "/devices",
            &json!({ "name": name }),
            200,
        )?;
        (self.device, self.token) = (text(&device, "id")?, text(&device, "device_token")?);
        let folder = self.server.folder();
        self.flash = folder.join(format!("{name}.flash"));
        let image = folder.join("1.0.0.bin");
        let (authority, pin) = match believes {
            Believes::Authority(authority) => (Some(authority), None),
            Believes::Pin(pin) => (None, Some(pin)),
        };
        self.images.flash(&image, &self.flash, authority)?;
        let command = format!("provision {}", self.public);
        self.provisioned_with(&command, &format!("https://{HOST}:{port}"), pin)
    }

    /// The same in TLS, with certificates and a server of OpenSSL's.
    fn believes(&mut self) -> Result<()> {
        let tls = Tls::before(self.server.address.port(), self.server.folder())?;
        let pin = Tls::pin(self.server.folder())?;
        for (name, believes) in [
            ("believes", Believes::Authority(&tls.authority)),
            ("pinned", Believes::Pin(&pin)),
        ] {
            let mut good = self.in_tls(name, tls.port, believes)?;
            let passed = self.delivers().and_then(|()| self.obeys(&mut good));
            passed.with_context(|| good.said())?;
        }
        let mut other = self.in_tls("doubts", tls.port, Believes::Authority(&tls.other))?;
        other.hears("TLS: the certificate was not signed by the pinned authority")?;
        let seen = get(&self.server, &self.path(""))?;
        ensure!(
            seen["online"] == false && seen["last_active"].is_null(),
            "the board talks to a server that it does not believe: {seen}"
        );
        Ok(())
    }

    fn ends(&mut self, board: Machine) -> Result<()> {
        let command = self.path("/commands");
        ask(
            &self.server,
            "POST",
            &command,
            &json!({ "name": "power_off" }),
            202,
        )?;
        let code = board.ends()?;
        ensure!(code == Some(0), "QEMU ended with {code:?}");
        Ok(())
    }
}
