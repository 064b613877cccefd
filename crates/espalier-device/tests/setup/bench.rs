//! A board on a bench: the set-up machine, its flash, and whoever sits at its serial line or its page. Not a radio.

use espalier_device::records::{REGION, Records};
use espalier_device::settings::Settings;
use espalier_device::setup::portal::{Answer, Request};
use espalier_device::setup::{About, Input, Output, Seen, Setup};

use crate::flash::{Nor, OFFSET};

pub struct Bench {
    pub nor: Nor,
    pub setup: Setup,
    pub now: u64,
    /// What the serial line said.
    pub heard: Vec<u8>,
    pub joins: Vec<(String, String)>,
    pub scans: u32,
    pub changes: u32,
    pub restarts: u32,
    pub halts: u32,
    pub used: u32,
    /// How often the portal was wanted.
    pub wanted: u32,
}

pub fn records(nor: &Nor) -> Records<Nor> {
    Records::new(nor.clone(), OFFSET, REGION).unwrap()
}

pub fn open(nor: &Nor) -> Setup {
    let about = About::new(
        "espalier-base",
        "1.2.3",
        "ESP32-C3",
        [2, 0, 0, 0xab, 0xcd, 0xef],
    );
    Setup::open(about, &mut records(nor), |_| None, [7; 16])
}

impl Bench {
    /// A board without settings.
    pub fn new() -> Self {
        Bench::with(Nor::new())
    }

    pub fn with(nor: Nor) -> Self {
        Bench {
            setup: open(&nor),
            nor,
            now: 1_000,
            heard: Vec::new(),
            joins: Vec::new(),
            scans: 0,
            changes: 0,
            restarts: 0,
            halts: 0,
            used: 0,
            wanted: 0,
        }
    }

    /// A board with these settings.
    pub fn set(json: &str) -> Self {
        let nor = Nor::new();
        Settings::parse(json)
            .unwrap()
            .store(&mut records(&nor))
            .unwrap();
        Bench::with(nor)
    }

    pub fn step(&mut self, input: Input<'_>) {
        self.setup.step(self.now, input, &mut records(&self.nor));
        self.drain();
    }

    pub fn drain(&mut self) {
        while let Some(output) = self.setup.poll() {
            match output {
                Output::Serial(bytes) => self.heard.extend_from_slice(bytes),
                Output::Scan => self.scans += 1,
                Output::Join(network) => self
                    .joins
                    .push((network.ssid().to_owned(), network.password().to_owned())),
                Output::Changed => self.changes += 1,
                Output::PortalUsed => self.used += 1,
                Output::WantPortal => self.wanted += 1,
                Output::Restart => self.restarts += 1,
                Output::Halt => {
                    assert!(self.setup.is_leaving());
                    self.halts += 1;
                }
            }
        }
    }

    pub fn wait(&mut self, ms: u64) {
        self.now += ms;
        self.step(Input::Tick);
    }

    /// Sends text over the serial line and returns what it says.
    pub fn types(&mut self, text: &str) -> String {
        self.heard.clear();
        self.step(Input::Serial(text.as_bytes()));
        String::from_utf8(self.heard.clone()).unwrap()
    }

    /// Sends a request and returns the whole answer, taken in pieces of a size.
    pub fn ask_in_pieces(&mut self, request: &str, size: usize) -> String {
        let mut reader = Request::default();
        assert!(reader.feed(self.now, request.as_bytes()), "{request}");
        let answer = self.setup.http(self.now, &reader, &mut records(&self.nor));
        let text = self.sent(&answer, size);
        self.drain();
        text
    }

    pub fn sent(&self, answer: &Answer, size: usize) -> String {
        let (mut all, mut piece) = (Vec::new(), vec![0; size]);
        loop {
            match self.setup.answer(answer, all.len(), &mut piece) {
                Some(0) => return String::from_utf8(all).unwrap(),
                Some(len) => all.extend_from_slice(&piece[..len]),
                None => panic!("the answer is stale"),
            }
        }
    }

    pub fn ask(&mut self, request: &str) -> String {
        self.ask_in_pieces(request, 512)
    }

    pub fn get(&mut self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: 192.168.4.1\r\n\r\n"))
    }

    pub fn submit(&mut self, form: &str) -> String {
        self.ask(&format!(
            "POST /submit HTTP/1.1\r\nHost: 192.168.4.1\r\nOrigin: http://192.168.4.1\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ))
    }

    /// What would be read after a power cut now.
    pub fn stored(&self) -> Settings {
        Settings::load(&mut records(&self.nor)).unwrap().unwrap()
    }
}

pub const HOSTILE: &str = "<script>alert('1')</script>\"&";

pub fn seen() -> [Seen<'static>; 5] {
    let one = |ssid, rssi, encryption| Seen {
        ssid,
        rssi,
        encryption,
    };
    [
        one("Garden", -70, 3),
        one("Café", -40, 3),
        one(HOSTILE, -85, 0),
        one("Garden", -50, 3),
        one("", -10, 3),
    ]
}
