//! A board on the host: tokio's sockets as its network, memory as its flash, a relay and two sensors as its hardware.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use embedded_io_adapters::tokio_1::FromTokio;
use embedded_nal_async::{AddrType, Dns, TcpConnect};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use espalier_board::hardware::{Done, Hardware, Sample, Vitals};
use espalier_board::{Board, Buffers, Fetch, FetchNothing, NetError, Trust, run_with};
use espalier_device::update::{BootReason, Gate, Layout, Part, gate};
use espalier_device::{Config, Core, Slot, Storage, UpdatePolicy};
use espalier_image::chip::Chip;
use espalier_image::keys::{PrivateKey, sign};
use espalier_image::make::Make;
use espalier_image::manifest;
use espalier_image::otadata::OtaData;
use espalier_wire::json::{Json, Value};
use rand_core::OsRng;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::certificates::HOST;
use crate::server::{DEVICE, TOKEN};

pub const OTADATA: u32 = 0xd000;
const SLOTS: [Part; 2] = [
    Part {
        offset: 0x1_0000,
        size: 0x8_0000,
    },
    Part {
        offset: 0x9_0000,
        size: 0x8_0000,
    },
];
/// Where a whole board keeps its records.
pub const RECORDS: Part = Part {
    offset: 0x11_0000,
    size: 0x2_0000,
};
const SIZE: usize = 0x13_0000;

/// The sockets of the host.
pub struct Net;

impl TcpConnect for Net {
    type Error = io::Error;
    type Connection<'a> = FromTokio<TcpStream>;

    async fn connect<'a>(&'a self, to: SocketAddr) -> io::Result<Self::Connection<'a>> {
        Ok(FromTokio::new(TcpStream::connect(to).await?))
    }
}

impl Dns for Net {
    type Error = io::Error;

    async fn get_host_by_name(&self, host: &str, _: AddrType) -> io::Result<IpAddr> {
        if host == HOST {
            return Ok([127, 0, 0, 1].into());
        }
        Err(io::ErrorKind::NotFound.into())
    }

    async fn get_host_by_address(&self, _: IpAddr, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Flash whose bits are only set by erasing.
pub struct Flash(Vec<u8>);

impl Flash {
    /// Makes a flash with version 1.0.0 in its first slot.
    pub fn new() -> Self {
        let mut flash = Flash(vec![0xff; SIZE]);
        let (first, _) = image("1.0.0");
        let at = SLOTS[0].offset as usize;
        flash.0[at..at + first.len()].copy_from_slice(&first);
        flash
    }
}

#[derive(Debug)]
pub struct Misused;

impl NorFlashError for Misused {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::NotAligned
    }
}

impl ErrorType for Flash {
    type Error = Misused;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 4;

    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), Misused> {
        let at = at as usize;
        into.copy_from_slice(self.0.get(at..at + into.len()).ok_or(Misused)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        SIZE
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Misused> {
        if !(from.is_multiple_of(4096) && to.is_multiple_of(4096)) {
            return Err(Misused);
        }
        self.0
            .get_mut(from as usize..to as usize)
            .ok_or(Misused)?
            .fill(0xff);
        Ok(())
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Misused> {
        if !(at.is_multiple_of(4) && bytes.len().is_multiple_of(4)) {
            return Err(Misused);
        }
        let at = at as usize;
        let cells = self.0.get_mut(at..at + bytes.len()).ok_or(Misused)?;
        cells
            .iter_mut()
            .zip(bytes)
            .for_each(|(cell, byte)| *cell &= byte);
        Ok(())
    }
}

#[derive(Default)]
pub struct Records(HashMap<Slot, Vec<u8>>);

impl Storage for Records {
    type Error = Infallible;

    fn read(&mut self, slot: Slot, into: &mut [u8]) -> Result<usize, Infallible> {
        let Some(bytes) = self.0.get(&slot) else {
            return Ok(0);
        };
        into[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write(&mut self, slot: Slot, parts: &[&[u8]]) -> Result<(), Infallible> {
        self.0.insert(slot, parts.concat());
        Ok(())
    }
}

/// What a test sees of the hardware.
#[derive(Default)]
pub struct Seen {
    pub relay: bool,
    pub errors: Vec<NetError>,
    /// Whether the sensors never answer.
    pub stuck: bool,
    /// When the driver said last that it is alive, and the longest time in which it did not.
    alive_at: Option<Instant>,
    longest: Duration,
}

impl Seen {
    /// Returns the longest time in which the driver did not say that it is alive.
    pub fn longest_silence(&self) -> Duration {
        let now = self.alive_at.map(|at| at.elapsed());
        self.longest.max(now.unwrap_or_default())
    }
}

pub struct Pins(Rc<RefCell<Seen>>);

impl Hardware for Pins {
    async fn measure(&mut self, sample: &mut Sample) {
        if self.0.borrow().stuck {
            std::future::pending::<()>().await;
        }
        sample.add("temperature", Value::Float(21.5));
        sample.add("relay1", Value::Bool(self.0.borrow().relay));
    }

    async fn apply(&mut self, key: &str, value: Json<'_>) -> bool {
        let known = key == "relay1";
        self.0.borrow_mut().relay = value.as_str() == "true";
        known
    }

    async fn run(&mut self, name: &str, _: Json<'_>) -> Done {
        match name {
            "identify" => Done::Ok,
            "measure" => Done::Measure,
            "restart" => Done::Restart,
            _ => Done::Failed("this board does not know the command"),
        }
    }

    async fn self_test(&mut self) -> bool {
        true
    }

    fn vitals(&mut self) -> Vitals {
        Vitals {
            heap_free: None,
            rssi: Some(-60),
        }
    }

    fn log(&mut self, error: NetError) {
        self.0.borrow_mut().errors.push(error);
    }

    fn alive(&mut self) {
        let seen = &mut *self.0.borrow_mut();
        seen.longest = seen.longest_silence();
        seen.alive_at = Some(Instant::now());
    }
}

pub fn layout() -> Layout {
    Layout::new(OTADATA, &SLOTS).unwrap()
}

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

/// An image of some hundred kilobytes, and its signed manifest.
pub fn image(version: &str) -> (Vec<u8>, String) {
    let payload: Vec<u8> = (0..200_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let image = Make {
        chip: Chip::Esp32C3,
        project: "test-board",
        version,
        payload: &payload[..300_000],
        ..Make::default()
    }
    .bytes();
    let manifest = sign(&manifest::of(&image).unwrap(), &key()).unwrap();
    (image, manifest)
}

/// A board: what is left of it without power, and what a test sees.
pub struct TestBoard {
    pub url: String,
    pub trust: Trust<'static>,
    /// How often it measures; half as often it asks for firmware.
    pub every_ms: u32,
    pub flash: Flash,
    pub storage: Records,
    pub seen: Rc<RefCell<Seen>>,
}

impl TestBoard {
    /// Makes a board with version 1.0.0 in its first slot.
    pub fn new(url: String, trust: Trust<'static>) -> Self {
        TestBoard {
            url,
            trust,
            every_ms: 150,
            flash: Flash::new(),
            storage: Records::default(),
            seen: Rc::default(),
        }
    }

    /// The slot that a bootloader would start.
    pub fn selected(&mut self) -> u8 {
        OtaData::read(&mut self.flash, OTADATA).unwrap().selected(2)
    }

    /// What a slot begins with.
    pub fn slot(&self, slot: u8, len: usize) -> &[u8] {
        &self.flash.0[SLOTS[usize::from(slot)].offset as usize..][..len]
    }

    /// Starts the board and runs it until it wants to restart.
    pub async fn power_on(&mut self, reason: BootReason) {
        self.power_on_with(reason, &mut FetchNothing).await;
    }

    /// The same, for a board that fetches something beside.
    pub async fn power_on_with(&mut self, reason: BootReason, beside: &mut impl Fetch) {
        self.power_on_in(&Net, reason, beside).await;
    }

    /// The same, in a network of the test's own.
    pub async fn power_on_in(
        &mut self,
        net: &(impl TcpConnect + Dns),
        reason: BootReason,
        beside: &mut impl Fetch,
    ) {
        let booted = self.selected();
        let Gate::Go(boot) = gate(
            &mut self.storage,
            &mut self.flash,
            &layout(),
            booted,
            reason,
        ) else {
            panic!("the gate took the image back");
        };
        let policy = UpdatePolicy {
            check_interval_ms: 2 * self.every_ms,
            retry_ms: 2 * self.every_ms,
            settle_ms: 100,
            allow_unsigned: false,
        };
        let config = Config::new(&self.url, DEVICE, TOKEN)
            .and_then(|c| c.with_names("test", "esp32c3", ""))
            .and_then(|c| c.with_intervals(self.every_ms, self.every_ms))
            .and_then(|c| c.with_updates(policy, &[*key().public().bytes()]))
            .unwrap();
        let mut core: Core<4096, 1024> = Core::new(config, 9);
        core.declare_switch("relay1", Value::Bool(false));
        core.restore(&mut self.storage, &mut vec![0; 8192]);
        core.booted(boot);
        let mut buffers = Box::new(Buffers::<16_640, 2048, 2304, 1032, 2048>::new());
        let board = Board {
            core: &mut core,
            net,
            hardware: &mut Pins(Rc::clone(&self.seen)),
            storage: &mut self.storage,
            flash: &mut self.flash,
            rng: &mut OsRng,
            trust: &self.trust,
        };
        run_with(board, &mut buffers, beside).await;
    }
}
