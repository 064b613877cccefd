//! One board and one server in memory, in virtual time: the device core, its flash, the bootloader, a network that may drop
//! anything, and a server that wants one image on the board and gives it another attempt whenever one has failed.

use std::collections::HashMap;

use crate::agreement::Model;
use embedded_storage::nor_flash::ReadNorFlash;
use espalier_device::records::{Records, RecordsError};
use espalier_device::rng::Rng;
use espalier_device::update::{BootReason, Gate, UpdateState, gate};
use espalier_device::{Config, Core, Input, Method, Output, Slot, Storage, UpdatePolicy};
use espalier_image::app;
use espalier_image::chip::Chip;
use espalier_image::keys::{PrivateKey, sign};
use espalier_image::manifest;
use espalier_image::otadata::{OtaData, State};
use espalier_sim::firmware::{Behaviour, Fault};
use espalier_sim::flash::{
    Flash, FlashError, OTADATA, Pool, RECORDS, SIZE, SLOTS, bootloader, layout, records,
};
use espalier_wire::device::{Down, Up};
use espalier_wire::json::Text;
use espalier_wire::ota::{Offer, Report, Stage};
use sha2::{Digest, Sha256};

pub type Sha = [u8; 32];
type SmallCore = Core<2048, 1024>;

pub fn sha(bytes: &[u8]) -> Sha {
    Sha256::digest(bytes).into()
}

pub fn hex(sha: &Sha) -> String {
    sha.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key that the boards trust from the factory.
pub fn key() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

/// The signed manifest of an image.
pub fn signed(image: &[u8], key: &PrivateKey) -> String {
    sign(&manifest::of(image).unwrap(), key).unwrap()
}

/// The server: what it wants on the board, and what the board has said.
pub struct Server {
    pub images: HashMap<String, Vec<u8>>,
    pub patches: HashMap<(String, String), Vec<u8>>,
    /// The image that the board should run, and its manifest.
    pub wanted: Option<(String, Option<String>)>,
    pub keys: Option<String>,
    pub attempt: u32,
    pub reports: Vec<(u32, Stage, String)>,
    /// What runs, as the board said last.
    pub running: String,
    pub questions: u32,
    pub downloads: Vec<(String, u32)>,
    pub served: u64,
    /// Whether it lets sockets through.
    pub sockets: bool,
    /// Whether a failed attempt is followed by another one.
    pub tries_again: bool,
    pub confirm_within_s: u32,
    /// Whether it answers at all.
    pub up: bool,
    /// What it says instead of an image.
    pub image_status: Option<u16>,
    /// Offers also what runs already.
    pub insists: bool,
    /// Something between board and server answers every request with a page of its own.
    pub portal: bool,
    /// Flips a byte of what it sends at this place.
    pub corrupt_at: Option<usize>,
    /// The machine of the real server decides which attempt is offered, and keeps what it hears.
    pub model: Option<Model>,
}

impl Server {
    pub fn add(&mut self, image: &[u8]) -> String {
        let name = hex(&sha(image));
        self.images.insert(name.clone(), image.to_vec());
        name
    }

    /// Wants an image, signed with the key of the boards.
    pub fn want(&mut self, image: &[u8]) -> String {
        self.want_with(image, Some(signed(image, &key())))
    }

    /// Wants an image with this manifest.
    pub fn want_with(&mut self, image: &[u8], manifest: Option<String>) -> String {
        let name = self.add(image);
        self.wanted = Some((name.clone(), manifest));
        self.attempt += 1;
        name
    }

    fn offer(&self, running: &str) -> Option<String> {
        let (name, manifest) = self.wanted.as_ref()?;
        if name == running && !self.insists {
            return None;
        }
        let patch = self.patches.get(&(running.to_owned(), name.clone()));
        let mut body = String::new();
        Offer {
            update: Text::new("update-1"),
            attempt: self.attempt,
            sha256: Text::new(name),
            size: self.images[name].len() as u32,
            version: Text::new("new"),
            manifest: manifest.as_deref().map(Text::new),
            patch_size: patch.map(|patch| patch.len() as u32),
            confirm_within_s: self.confirm_within_s,
            keys: self.keys.as_deref().map(Text::new),
        }
        .write(&mut body)
        .unwrap();
        Some(body)
    }

    fn answer(&mut self, now: u64, method: Method, path: &str, body: &str) -> (u16, String) {
        if self.portal {
            return (200, "<html>Welcome to the hotel</html>".to_owned());
        }
        if let Some(query) = path.strip_prefix("/device/update?running=") {
            assert_eq!(method, Method::Get);
            self.questions += 1;
            query[..64].clone_into(&mut self.running);
            if let Some(model) = &mut self.model {
                match model.asked(now, query) {
                    Some(attempt) => self.attempt = attempt,
                    None => return (204, String::new()),
                }
            }
            return match self.offer(&query[..64]) {
                Some(offer) => (200, offer),
                None => (204, String::new()),
            };
        }
        match path {
            _ if path.starts_with("/devices/") && path.ends_with("/telemetry") => {
                return (200, r#"{"status":"ok"}"#.to_owned());
            }
            "/devices/dev1/heartbeat" => return (200, r#"{"message":"ok","time":1}"#.to_owned()),
            _ if path.starts_with("/telemetry/latest") => {
                return (200, r#"{"data":{}}"#.to_owned());
            }
            _ if path.ends_with("/commands/pending") => {
                return (200, r#"{"commands":[]}"#.to_owned());
            }
            _ => {}
        }
        assert_eq!((method, path), (Method::Post, "/device/update/update-1"));
        let report = Report::parse(body).unwrap();
        if let Some(model) = &mut self.model {
            model.told(now, body);
        }
        let reason = report.reason.map(Text::to_owned_string).unwrap_or_default();
        self.running = report.running.unwrap().to_owned_string();
        self.reports.push((report.attempt, report.stage, reason));
        if matches!(report.stage, Stage::RolledBack | Stage::Failed)
            && report.attempt == self.attempt
            && self.tries_again
        {
            self.attempt += 1;
        }
        (200, "{}".to_owned())
    }

    pub fn stages(&self) -> Vec<(u32, Stage, &str)> {
        let all = self.reports.iter();
        let all = all.filter(|r| r.1 != Stage::Downloading);
        all.map(|(attempt, stage, why)| (*attempt, *stage, why.as_str()))
            .collect()
    }
}

/// What the core asked for, copied out of its buffers.
enum Wish {
    Open,
    Close,
    Frame(String),
    Request(Method, String, String),
    Download(String, u32, u32),
    Work,
    Persist,
    SelfTest,
    Restart,
    Abandon,
    Nothing,
}

pub struct World {
    pub flash: Flash,
    records: Records<Flash>,
    core: Option<Box<SmallCore>>,
    behaviour: Behaviour,
    pub now: u64,
    started: u64,
    pub server: Server,
    pub rng: Rng,
    policy: UpdatePolicy,
    /// Where the board's server is, who it is there, and how it proves that.
    pub identity: [String; 3],
    /// The keys of its settings.
    pub keys: Vec<[u8; 32]>,
    /// The images that may ever run.
    pub allowed: Vec<Sha>,
    /// Whether other firmware has left something beside the slots, the OTA data and the records.
    pub surroundings_differ: bool,
    pub booted: Sha,
    pub boots: u32,
    pub chip: Chip,
    restart: Option<BootReason>,
    /// The bytes of a download that are still to come.
    transfer: Option<Vec<u8>>,
    /// The power fails in one of so many steps.
    pub cut_one_in: Option<u64>,
    /// The connection breaks in one of so many pieces.
    pub break_one_in: Option<u64>,
    pub power_cuts: u64,
    /// A frame is lost with its connection, before or after the server has heard it, one in so many.
    pub lose_frame_one_in: Option<u64>,
    /// The server hears a request twice, one in so many.
    pub twice_one_in: Option<u64>,
    /// Records can be read and not written.
    pub storage_broken: bool,
}

/// The records of a board, which may be broken.
struct Breakable<'a>(&'a mut Records<Flash>, bool);

impl Storage for Breakable<'_> {
    type Error = RecordsError<FlashError>;

    fn read(&mut self, slot: Slot, into: &mut [u8]) -> Result<usize, Self::Error> {
        self.0.read(slot, into)
    }

    fn write(&mut self, slot: Slot, parts: &[&[u8]]) -> Result<(), Self::Error> {
        if self.1 {
            return Err(RecordsError::NotKept);
        }
        self.0.write(slot, parts)
    }
}

impl World {
    /// A board that runs an image from the factory.
    pub fn new(image: &[u8], seed: u64) -> Self {
        let flash = Flash::in_memory(&Pool::default());
        flash.burn(SLOTS[0].offset, image).unwrap();
        let mut world = World {
            records: records(&flash),
            flash,
            core: None,
            behaviour: Behaviour::of(image).unwrap(),
            now: 0,
            started: 0,
            server: Server {
                images: HashMap::new(),
                patches: HashMap::new(),
                wanted: None,
                keys: None,
                attempt: 0,
                reports: Vec::new(),
                running: String::new(),
                questions: 0,
                downloads: Vec::new(),
                served: 0,
                sockets: true,
                tries_again: true,
                confirm_within_s: 120,
                up: true,
                image_status: None,
                insists: false,
                portal: false,
                corrupt_at: None,
                model: None,
            },
            rng: Rng::new(seed),
            policy: UpdatePolicy {
                check_interval_ms: 600_000,
                retry_ms: 10_000,
                settle_ms: 5_000,
                allow_unsigned: false,
            },
            identity: ["http://server:8000", "dev1", "token"].map(str::to_owned),
            keys: vec![*key().public().bytes()],
            allowed: vec![sha(image)],
            surroundings_differ: false,
            booted: [0; 32],
            boots: 0,
            chip: app::parse(image).unwrap().head.chip,
            restart: Some(BootReason::PowerOn),
            transfer: None,
            cut_one_in: None,
            break_one_in: None,
            power_cuts: 0,
            lose_frame_one_in: None,
            twice_one_in: None,
            storage_broken: false,
        };
        world.server.add(image);
        world
    }

    pub fn policy(&mut self, change: impl FnOnce(&mut UpdatePolicy)) {
        change(&mut self.policy);
    }

    fn config(&self) -> Config {
        let [server, device, token] = &self.identity;
        Config::new(server, device, token)
            .unwrap()
            .with_intervals(3_600_000, 5_000)
            .unwrap()
            .with_updates(self.policy, &self.keys)
            .unwrap()
    }

    /// Puts the wanted image among those that may run.
    pub fn allow(&mut self, image: &[u8]) {
        self.allowed.push(sha(image));
    }

    /// One start: the bootloader, the gate, the core. Says whether the board is up.
    fn boot(&mut self, reason: BootReason) {
        (self.core, self.transfer) = (None, None);
        self.boots += 1;
        let started = match bootloader::start(&mut self.flash, self.chip) {
            Ok(Some(started)) => started,
            Ok(None) => panic!("bricked: no slot holds an image that starts"),
            Err(_) => return self.lose_power(),
        };
        self.booted = sha(&started.image);
        assert!(
            self.allowed.contains(&self.booted),
            "an image runs that nobody wants"
        );
        self.behaviour = Behaviour::of(&started.image).unwrap();
        self.check_surroundings();
        let found = gate(
            &mut Breakable(&mut self.records, self.storage_broken),
            &mut self.flash,
            &layout(),
            started.slot,
            reason,
        );
        if self.flash.is_dead() {
            return self.lose_power();
        }
        let Gate::Go(boot) = found else {
            self.restart = Some(BootReason::Restart);
            return;
        };
        assert_eq!(boot.running().unwrap().sha256, self.booted);
        if self.behaviour.fault == Fault::Crash {
            self.restart = Some(BootReason::Panic);
            return;
        }
        self.started = self.now;
        let mut core = Box::new(SmallCore::new(self.config(), self.rng.next_u64()));
        core.restore(&mut self.records, &mut [0; 4096]);
        core.booted(boot);
        core.step(0, Input::Tick);
        self.core = Some(core);
    }

    /// Nothing is ever written beside the slots, the OTA data and the records.
    fn check_surroundings(&mut self) {
        if self.surroundings_differ {
            return;
        }
        let [first, last] = SLOTS;
        let end = last.offset + last.size;
        for (from, to) in [
            (0, OTADATA),
            (OTADATA + 0x2000, first.offset),
            (end, RECORDS.offset),
            (RECORDS.offset + RECORDS.size, SIZE as u32),
        ] {
            let mut bytes = vec![0; (to - from) as usize];
            self.flash.read(from, &mut bytes).unwrap();
            assert!(bytes.iter().all(|b| *b == 0xff), "{from:#x} was written");
        }
    }

    fn lose_power(&mut self) {
        self.power_cuts += 1;
        (self.core, self.transfer) = (None, None);
        self.flash.power_on();
        self.restart = Some(BootReason::PowerOn);
    }

    fn has_network(&self) -> bool {
        let lost = self.behaviour.fault == Fault::LosesWifi && self.now >= self.started + 3_000;
        self.server.up && !lost
    }

    /// Lets the board do one thing, or time pass until it wants to.
    pub fn turn(&mut self) {
        if let Some(reason) = self.restart.take() {
            return self.boot(reason);
        }
        if self.cut_one_in.is_some_and(|n| self.rng.up_to(n - 1) == 0) {
            return self.lose_power();
        }
        let Some(core) = &mut self.core else {
            return self.boot(BootReason::PowerOn);
        };
        let wish = next_wish(core);
        match wish {
            Some(wish) => self.grant(wish),
            None if self.transfer.is_some() => {
                let rest = self.transfer.take().unwrap_or_default();
                self.transfer(rest);
            }
            None => {
                self.now += core.wake_in_ms().max(1);
                self.step(Input::Tick);
            }
        }
        if self.flash.is_dead() {
            self.lose_power();
        }
    }

    pub fn step(&mut self, input: Input<'_>) {
        let now = self.now - self.started;
        if let Some(core) = &mut self.core {
            core.step(now, input);
        }
    }

    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Open if self.has_network() && self.server.sockets => self.step(Input::Opened),
            Wish::Open => {
                let status = self.has_network().then_some(404);
                self.step(Input::OpenFailed { status });
            }
            Wish::Close | Wish::Nothing => {}
            Wish::Frame(_) if !self.has_network() => self.step(Input::Closed),
            Wish::Frame(frame) => match self.chance(self.lose_frame_one_in) {
                true if self.chance(Some(2)) => self.step(Input::Closed),
                true => {
                    self.hear(&frame);
                    self.step(Input::Closed);
                }
                false => self.hear(&frame),
            },
            Wish::Request(..) if !self.has_network() || self.breaks() => {
                self.step(Input::RequestFailed);
            }
            Wish::Request(method, path, body) => {
                if self.chance(self.twice_one_in) {
                    self.server.answer(self.now, method, &path, &body);
                }
                let (status, body) = self.server.answer(self.now, method, &path, &body);
                self.now += 20;
                if self.breaks() {
                    return self.step(Input::RequestFailed);
                }
                self.step(Input::Answer {
                    status,
                    body: &body,
                    date: None,
                    retry_after_s: None,
                });
            }
            Wish::Download(path, from, len) => self.download(&path, from, len),
            Wish::Work => {
                if let Some(core) = &mut self.core {
                    let mut records = Breakable(&mut self.records, self.storage_broken);
                    core.work(&mut records, &mut self.flash);
                }
            }
            Wish::Persist => {
                if let Some(core) = &mut self.core {
                    core.persist(&mut self.records);
                }
            }
            Wish::SelfTest => match self.behaviour.fault {
                Fault::NeverConfirms => {}
                fault => self.step(Input::SelfTested {
                    ok: fault != Fault::SelfTest,
                }),
            },
            Wish::Abandon => self.transfer = None,
            Wish::Restart => self.restart = Some(BootReason::Restart),
        }
    }

    fn breaks(&mut self) -> bool {
        self.chance(self.break_one_in)
    }

    pub fn chance(&mut self, one_in: Option<u64>) -> bool {
        one_in.is_some_and(|n| self.rng.up_to(n - 1) == 0)
    }

    fn hear(&mut self, frame: &str) {
        let answer = match Up::parse(frame).unwrap() {
            Up::Hello(hello) => {
                let firmware = hello.firmware.unwrap();
                self.server.running = firmware.sha256.unwrap().to_owned_string();
                assert_eq!(self.server.running, hex(&self.booted));
                assert!(hello.boots.unwrap() > 0 && hello.boot_reason.is_some());
                if let Some(model) = &mut self.server.model {
                    model.hello(self.now, &self.server.running, firmware.trial, hello.boots);
                }
                Some(Down::Welcome {
                    device_id: Text::new("dev1"),
                    time: 1_763_683_200_000,
                    heartbeat_s: 30,
                })
            }
            Up::Telemetry { id, .. } | Up::Reported { id, .. } => Some(Down::Ack { id }),
            Up::Heartbeat(heartbeat) => {
                if let Some(model) = &mut self.server.model {
                    model.seen(self.now);
                }
                heartbeat.id.map(|id| Down::Ack { id })
            }
            Up::CommandResult(_) => None,
            Up::Ping => Some(Down::Pong { time: None }),
        };
        if let Some(answer) = answer {
            self.step(Input::Frame(&answer.to_json()));
        }
    }

    fn download(&mut self, path: &str, from: u32, len: u32) {
        self.server.downloads.push((path.to_owned(), from));
        let Some((name, _)) = self.server.wanted.clone() else {
            return self.ended(Some(404));
        };
        let file = match path.rsplit_once('/').unwrap().1 {
            "patch" => self.server.patches.get(&(hex(&self.booted), name)).cloned(),
            _ => Some(self.server.images[&name].clone()),
        };
        let file = file.filter(|_| self.server.image_status.is_none());
        let Some(mut file) = file else {
            return self.ended(Some(self.server.image_status.unwrap_or(404)));
        };
        if let Some(byte) = self.server.corrupt_at.and_then(|at| file.get_mut(at)) {
            *byte ^= 1;
        }
        let rest = file[from as usize..][..len as usize].to_vec();
        self.transfer = Some(rest);
    }

    /// The next bytes of the download arrive, or it breaks off.
    fn transfer(&mut self, mut rest: Vec<u8>) {
        if rest.is_empty() || !self.has_network() || self.breaks() {
            return self.ended(Some(206));
        }
        let count = (self.rng.up_to(3000) as usize + 1).min(rest.len());
        let later = rest.split_off(count);
        self.server.served += count as u64;
        self.now += 10;
        self.transfer = Some(later);
        if let Some(core) = &mut self.core {
            core.receive(&rest, &mut self.records, &mut self.flash);
        }
        self.step(Input::Tick);
    }

    fn ended(&mut self, status: Option<u16>) {
        self.step(Input::Downloaded {
            status,
            retry_after_s: None,
        });
    }

    /// Cuts the power now.
    pub fn cut(&mut self) {
        self.lose_power();
    }

    pub fn nudge(&mut self) {
        self.step(Input::Frame(&Down::Update.to_json()));
    }

    pub fn state(&self) -> Option<UpdateState> {
        self.core.as_ref().map(|core| core.update_state())
    }

    /// Whether the board rests: it runs an image that is confirmed, and has nothing to say.
    pub fn rests(&self) -> bool {
        let idle = self.state() == Some(UpdateState::Idle);
        idle && self.restart.is_none()
    }

    pub fn ota_state(&self) -> (u8, State) {
        let data = OtaData::read(&mut self.flash.clone(), OTADATA).unwrap();
        (data.selected(2), data.state())
    }

    /// Runs until a condition holds; panics when it never does.
    pub fn until(&mut self, what: &str, condition: impl Fn(&World) -> bool) {
        for _ in 0..200_000 {
            if condition(self) {
                return;
            }
            self.turn();
        }
        panic!("never: {what}; reports {:?}", self.server.reports);
    }

    /// Runs until the board runs this image for good and the server knows.
    pub fn until_runs(&mut self, image: &[u8]) {
        let wanted = sha(image);
        self.until("the wanted image runs and is confirmed", |w| {
            w.rests()
                && w.booted == wanted
                && w.server.running == hex(&wanted)
                && w.ota_state().1 == State::Valid
                && w.server
                    .reports
                    .last()
                    .is_none_or(|r| r.1 == Stage::Confirmed)
        });
    }
}

fn next_wish(core: &mut SmallCore) -> Option<Wish> {
    Some(match core.poll()? {
        Output::OpenSocket => Wish::Open,
        Output::CloseSocket => Wish::Close,
        Output::Send { frame, .. } => Wish::Frame(frame.to_owned()),
        Output::Request { method, path, body } => {
            Wish::Request(method, path.to_owned(), body.to_owned())
        }
        Output::Download { path, from, len } => Wish::Download(path.to_owned(), from, len),
        Output::Work => Wish::Work,
        Output::Persist => Wish::Persist,
        Output::SelfTest => Wish::SelfTest,
        Output::Restart => Wish::Restart,
        Output::Abandon => Wish::Abandon,
        _ => Wish::Nothing,
    })
}
