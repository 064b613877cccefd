//! The flash chip of a board: sectors of 4 kB that are erased as a whole, programs that only clear bits, wear, and a power
//! supply that may fail in the middle of an operation. It lives in memory, where equal sectors of a whole fleet are kept once,
//! or in a file.
//!
//! | module | holds |
//! |---|---|
//! | [`bootloader`] | which slot starts, as the real one decides it |

pub mod bootloader;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use espalier_device::records::Records;
use espalier_device::update::table;
pub use espalier_device::update::table::{OTADATA, RECORDS, SLOTS, layout};

/// Bytes of a sector.
pub const SECTOR: usize = 4096;
/// Bytes of the chip.
pub const SIZE: usize = table::FLASH as usize;

/// Takes the records of a board, which lie in its chip and so in its file.
///
/// # Panics
/// Never: the region is made of whole sectors and within the chip.
pub fn records(flash: &Flash) -> Records<Flash> {
    Records::new(flash.clone(), RECORDS.offset, RECORDS.size).expect("a region of whole sectors")
}

type Sector = [u8; SECTOR];

/// Sectors that many boards share: a thousand boards with the same image hold it once.
#[derive(Debug, Clone, Default)]
pub struct Pool(Arc<Mutex<Known>>);

/// The sectors of a pool by their hash. One that no board holds any more keeps its memory until it is forgotten here.
#[derive(Debug, Default)]
struct Known {
    sectors: HashMap<u64, Weak<Sector>>,
    /// How many must be there before the next look for those that nobody holds.
    most: usize,
}

impl Known {
    /// Forgets what nobody holds, when as many came as were held the last time.
    fn clean(&mut self) {
        if self.sectors.len() >= self.most {
            self.sectors.retain(|_, sector| sector.strong_count() > 0);
            self.most = 2 * self.sectors.len() + 256;
        }
    }
}

impl Pool {
    fn share(&self, sector: Arc<Sector>) -> Arc<Sector> {
        let mut hasher = DefaultHasher::new();
        sector.hash(&mut hasher);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.clean();
        let place = known.sectors.entry(hasher.finish()).or_default();
        match place.upgrade() {
            Some(same) if same == sector => same,
            // Two contents with one hash: the second is simply not shared.
            Some(_) => sector,
            None => {
                *place = Arc::downgrade(&sector);
                sector
            }
        }
    }
}

#[derive(Debug)]
enum Backing {
    Memory(HashMap<u32, Arc<Sector>>, Pool),
    File(File),
}

#[derive(Debug)]
struct Chip {
    backing: Backing,
    wear: HashMap<u32, u32>,
    operations: u64,
    /// The operation in which the power fails, and what that leaves behind.
    cut: Option<(u64, u64)>,
    dead: bool,
}

/// Why an operation was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashError {
    /// The power has failed; nothing happens until it returns.
    NoPower,
    /// The operation does not fit sectors or words.
    NotAligned,
    /// The operation reaches beyond the end.
    OutOfBounds,
    /// The file cannot be read or written.
    File,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            FlashError::NotAligned => NorFlashErrorKind::NotAligned,
            FlashError::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            _ => NorFlashErrorKind::Other,
        }
    }
}

/// A handle on a chip; clones are the same chip.
#[derive(Debug, Clone)]
pub struct Flash(Arc<Mutex<Chip>>);

impl Flash {
    fn new(backing: Backing) -> Self {
        Flash(Arc::new(Mutex::new(Chip {
            backing,
            wear: HashMap::new(),
            operations: 0,
            cut: None,
            dead: false,
        })))
    }

    /// Makes an erased chip in memory.
    pub fn in_memory(pool: &Pool) -> Self {
        Flash::new(Backing::Memory(HashMap::new(), pool.clone()))
    }

    /// Opens the chip in a file, which is made and erased when there is none. The flag says whether it was there.
    ///
    /// # Errors
    /// When the file cannot be opened, or has another size.
    pub fn in_file(path: &Path) -> std::io::Result<(Self, bool)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let len = file.metadata()?.len();
        if len == 0 {
            let erased = [0xff; SECTOR];
            for at in (0..SIZE as u64).step_by(SECTOR) {
                file.write_all_at(&erased, at)?;
            }
        } else if len != SIZE as u64 {
            return Err(std::io::Error::other(format!(
                "{} is no flash of a simulated board: it has {len} bytes, not {SIZE}",
                path.display()
            )));
        }
        Ok((Flash::new(Backing::File(file)), len > 0))
    }

    fn chip(&self) -> MutexGuard<'_, Chip> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the power fail in the `operation`th erase or write from now on, counted from 0. `noise` decides which bits of
    /// it still change.
    pub fn cut_power_at(&self, operation: u64, noise: u64) {
        let mut chip = self.chip();
        chip.cut = Some((chip.operations + operation, noise));
    }

    /// Lets the power return, and stay.
    pub fn power_on(&self) {
        let mut chip = self.chip();
        (chip.cut, chip.dead) = (None, false);
    }

    /// Says whether the power has failed.
    pub fn is_dead(&self) -> bool {
        self.chip().dead
    }

    /// Returns the number of erases and writes so far.
    pub fn operations(&self) -> u64 {
        self.chip().operations
    }

    /// Returns how often the sector that was erased most was erased.
    pub fn most_erases(&self) -> u32 {
        self.chip().wear.values().copied().max().unwrap_or(0)
    }

    /// Puts an image where a factory would: erased, written, not counted.
    ///
    /// # Errors
    /// When it does not fit, or the file cannot be written.
    pub fn burn(&self, at: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let mut chip = self.chip();
        for (n, part) in bytes.chunks(SECTOR).enumerate() {
            let at = at + u32::try_from(n * SECTOR).map_err(|_| FlashError::OutOfBounds)?;
            check(at, SECTOR, SECTOR)?;
            let mut sector = [0xff; SECTOR];
            sector[..part.len()].copy_from_slice(part);
            chip.backing.put(at, Arc::new(sector))?;
        }
        Ok(())
    }
}

fn check(at: u32, len: usize, unit: usize) -> Result<(), FlashError> {
    let at = at as usize;
    if !at.is_multiple_of(unit) || !len.is_multiple_of(unit) {
        return Err(FlashError::NotAligned);
    }
    match at.checked_add(len) {
        Some(end) if end <= SIZE => Ok(()),
        _ => Err(FlashError::OutOfBounds),
    }
}

impl Backing {
    fn get(&self, at: u32) -> Result<Arc<Sector>, FlashError> {
        match self {
            Backing::Memory(sectors, _) => Ok(sectors
                .get(&at)
                .cloned()
                .unwrap_or_else(|| Arc::new([0xff; SECTOR]))),
            Backing::File(file) => {
                let mut sector = [0; SECTOR];
                file.read_exact_at(&mut sector, u64::from(at))
                    .map_err(|_| FlashError::File)?;
                Ok(Arc::new(sector))
            }
        }
    }

    fn put(&mut self, at: u32, sector: Arc<Sector>) -> Result<(), FlashError> {
        match self {
            Backing::Memory(sectors, _) if sector.iter().all(|b| *b == 0xff) => {
                sectors.remove(&at);
            }
            Backing::Memory(sectors, pool) => {
                sectors.insert(at, pool.share(sector));
            }
            Backing::File(file) => file
                .write_all_at(&*sector, u64::from(at))
                .map_err(|_| FlashError::File)?,
        }
        Ok(())
    }
}

impl Chip {
    /// Changes bytes within one sector, or some of their bits when the power fails now.
    fn change(
        &mut self,
        at: u32,
        len: usize,
        new: impl Fn(usize, u8) -> u8,
        torn: Option<&mut u64>,
    ) -> Result<(), FlashError> {
        let within = at as usize % SECTOR;
        let start = at - within as u32;
        let mut sector = self.backing.get(start)?;
        let bytes = &mut Arc::make_mut(&mut sector)[within..within + len];
        match torn {
            None => {
                for (i, byte) in bytes.iter_mut().enumerate() {
                    *byte = new(i, *byte);
                }
            }
            Some(noise) => tear(bytes, new, noise),
        }
        self.backing.put(start, sector)
    }

    /// Counts an operation and says whether the power fails in it, with the noise.
    fn begin(&mut self) -> Result<Option<u64>, FlashError> {
        if self.dead {
            return Err(FlashError::NoPower);
        }
        let now = self.operations;
        self.operations += 1;
        let torn = self
            .cut
            .filter(|(at, _)| now >= *at)
            .map(|(_, noise)| noise);
        self.dead = torn.is_some();
        Ok(torn)
    }
}

/// What an operation leaves behind that the power cuts: a part that is done, one that is not, and a few words in between.
fn tear(bytes: &mut [u8], new: impl Fn(usize, u8) -> u8, noise: &mut u64) {
    let mut random = || {
        *noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        *noise >> 33
    };
    let done = (random() as usize) % (bytes.len() + 1);
    let blurred = done + (random() as usize) % 16;
    for (i, byte) in bytes.iter_mut().enumerate() {
        let mask = match i {
            _ if i < done => 0xff,
            _ if i < blurred => random() as u8,
            _ => 0,
        };
        *byte = (*byte & !mask) | (new(i, *byte) & mask);
    }
}

impl ErrorType for Flash {
    type Error = FlashError;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 4;

    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashError> {
        check(at, into.len(), Self::READ_SIZE)?;
        let chip = self.chip();
        if chip.dead {
            return Err(FlashError::NoPower);
        }
        let mut at = at as usize;
        let mut left = into;
        while !left.is_empty() {
            let within = at % SECTOR;
            let count = left.len().min(SECTOR - within);
            let (now, rest) = left.split_at_mut(count);
            let sector = chip.backing.get((at - within) as u32)?;
            now.copy_from_slice(&sector[within..within + count]);
            (left, at) = (rest, at + count);
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        SIZE
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let len = to.checked_sub(from).ok_or(FlashError::OutOfBounds)? as usize;
        check(from, len, SECTOR)?;
        let mut chip = self.chip();
        for at in (from..to).step_by(SECTOR) {
            let mut torn = chip.begin()?;
            *chip.wear.entry(at).or_default() += 1;
            chip.change(at, SECTOR, |_, _| 0xff, torn.as_mut())?;
            if torn.is_some() {
                return Err(FlashError::NoPower);
            }
        }
        Ok(())
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check(at, bytes.len(), Self::WRITE_SIZE)?;
        let mut chip = self.chip();
        let mut done = 0;
        while done < bytes.len() {
            let at = at as usize + done;
            let part = &bytes[done..];
            let part = &part[..part.len().min(SECTOR - at % SECTOR)];
            let mut torn = chip.begin()?;
            let new = |i: usize, old: u8| old & part[i];
            chip.change(at as u32, part.len(), new, torn.as_mut())?;
            if torn.is_some() {
                return Err(FlashError::NoPower);
            }
            done += part.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_only_clear_bits_and_erases_take_whole_sectors() {
        let pool = Pool::default();
        let mut flash = Flash::in_memory(&pool);
        flash.write(8, &[0xf0; 4]).unwrap();
        flash.write(8, &[0x3c; 4]).unwrap();
        let mut four = [0; 4];
        flash.read(8, &mut four).unwrap();
        assert_eq!(four, [0x30; 4]);
        assert_eq!(flash.write(2, &[0; 4]), Err(FlashError::NotAligned));
        assert_eq!(flash.erase(4, 4096), Err(FlashError::NotAligned));
        assert_eq!(
            flash.read(SIZE as u32, &mut four),
            Err(FlashError::OutOfBounds)
        );
        flash.erase(0, 4096).unwrap();
        flash.read(8, &mut four).unwrap();
        assert_eq!((four, flash.most_erases()), ([0xff; 4], 1));
    }

    #[test]
    fn contents_that_nobody_holds_are_forgotten() {
        let pool = Pool::default();
        let mut flash = Flash::in_memory(&pool);
        for word in 0..2_000_u32 {
            flash.erase(0, 4096).unwrap();
            flash.write(0, &word.to_le_bytes()).unwrap();
        }
        assert!(pool.0.lock().unwrap().sectors.len() < 300);
    }

    #[test]
    fn nothing_happens_without_power_and_the_last_operation_is_torn() {
        let mut flash = Flash::in_memory(&Pool::default());
        flash.cut_power_at(1, 77);
        flash.write(0, &[0; 64]).unwrap();
        assert_eq!(flash.write(64, &[0; 2048]), Err(FlashError::NoPower));
        assert_eq!(flash.read(0, &mut [0; 4]), Err(FlashError::NoPower));
        assert_eq!(flash.erase(0, 4096), Err(FlashError::NoPower));
        flash.power_on();
        let mut bytes = [0; 4096];
        flash.read(0, &mut bytes).unwrap();
        assert_eq!(bytes[..64], [0; 64]);
        assert!(bytes[64..2112].contains(&0xff) && bytes[64..2112].contains(&0));
        assert_eq!(bytes[2112..], [0xff; 4096 - 2112]);
    }

    #[test]
    fn equal_sectors_are_kept_once_and_files_keep_them_over_restarts() {
        let pool = Pool::default();
        let boards: Vec<_> = (0..50).map(|_| Flash::in_memory(&pool)).collect();
        for flash in &boards {
            flash.burn(0x10000, &[7; 3 * SECTOR]).unwrap();
        }
        assert_eq!(pool.0.lock().unwrap().sectors.len(), 1);
        let dir = std::env::temp_dir().join(format!("espalier-flash-{}", std::process::id()));
        let (mut flash, there) = Flash::in_file(&dir).unwrap();
        assert!(!there);
        flash.write(0x20000, &[1, 2, 3, 4]).unwrap();
        let (mut again, there) = Flash::in_file(&dir).unwrap();
        let mut four = [0; 4];
        again.read(0x20000, &mut four).unwrap();
        std::fs::remove_file(&dir).unwrap();
        assert_eq!((there, four), (true, [1, 2, 3, 4]));
    }
}
