//! Bytes on their way into the other slot: whole images and patches, page by page, each page checked, erased, written and
//! added to the digest. Where the bytes come from and whether they are wanted is decided elsewhere.

use core::fmt;

use embedded_storage::nor_flash::NorFlash;
use espalier_image::chip::Chip;
use espalier_image::delta::{BoardPatcher, Failed, Images};
use espalier_wire::ota::reasons;
use sha2::{Digest, Sha256};

use super::journal::{Job, Reason, cut};
use super::layout::{PAGE, Part, Sha};
use super::offer::check_head;

/// Largest unit of a write that flash may ask for.
const MAX_WRITE: usize = 64;

/// What turns the bytes of a download into pages.
#[expect(
    clippy::large_enum_variant,
    reason = "both hold a page, and there is no heap to put it on"
)]
enum Source {
    Whole { page: [u8; PAGE], filled: usize },
    Patch(BoardPatcher),
}

/// Where a load reads and writes, and what the image must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub old: Part,
    pub new: Part,
    pub chip: Chip,
    /// The lowest secure version that the board takes.
    pub secure_version: u32,
}

/// One download.
pub(crate) struct Load {
    source: Source,
    /// Bytes of the download that were taken in, and all of them.
    pub fetched: u32,
    pub total: u32,
    /// Bytes of the image that are in flash, and all of them.
    pub written: u32,
    size: u32,
    sha: Sha256,
    /// The secure version that the image names.
    pub secure_version: u32,
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load")
            .field("fetched", &self.fetched)
            .field("total", &self.total)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Load {
    /// Begins, or goes on after `job.bytes` whose digest so far is `sha`. `patch` is the size of the patch, if there is one.
    pub fn new(job: &Job, patch: Option<u32>, old_size: u32, room: u32, sha: Sha256) -> Self {
        let written = job.bytes;
        let (source, fetched, total) = match patch {
            Some(total) => (
                Source::Patch(BoardPatcher::resume(old_size, room, written)),
                0,
                total,
            ),
            None => (
                Source::Whole {
                    page: [0; PAGE],
                    filled: 0,
                },
                written,
                job.size,
            ),
        };
        Load {
            source,
            fetched,
            total,
            written,
            size: job.size,
            sha,
            secure_version: job.secure_version,
        }
    }

    /// Whether every byte of the download is here.
    pub const fn is_complete(&self) -> bool {
        self.fetched >= self.total
    }

    /// Takes in the next bytes; more than the download has are an error of the server and count as such.
    pub fn take<F: NorFlash>(
        &mut self,
        bytes: &[u8],
        flash: &mut F,
        place: &Place,
    ) -> Result<(), Reason> {
        let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if count > self.total.saturating_sub(self.fetched) {
            return Err(cut(reasons::DIGEST));
        }
        self.fetched += count;
        let mut pages = Pages {
            flash,
            place,
            sha: &mut self.sha,
            size: self.size,
            written: &mut self.written,
            secure_version: &mut self.secure_version,
            why: None,
        };
        match &mut self.source {
            Source::Patch(patcher) => {
                let pushed = patcher.push(&mut pages, bytes);
                pushed.map_err(|_| pages.why.take().unwrap_or_else(|| cut(reasons::PATCH)))
            }
            Source::Whole { page, filled } => fill(page, filled, bytes, &mut pages),
        }
    }

    /// Checks the image after the last byte.
    pub fn finish(&self, wanted: &Sha) -> Result<(), Reason> {
        let wrong = match &self.source {
            Source::Patch(patcher) => {
                patcher.finish().map_err(|_| cut(reasons::PATCH))?;
                reasons::PATCH
            }
            Source::Whole { .. } => reasons::DIGEST,
        };
        let sha: Sha = self.sha.clone().finalize().into();
        if self.written == self.size && sha == *wanted {
            Ok(())
        } else {
            Err(cut(wrong))
        }
    }
}

/// Collects a whole image into pages.
fn fill<F: NorFlash>(
    page: &mut [u8; PAGE],
    filled: &mut usize,
    mut bytes: &[u8],
    pages: &mut Pages<'_, F>,
) -> Result<(), Reason> {
    while !bytes.is_empty() {
        let left = usize::try_from(pages.size - *pages.written).unwrap_or(0);
        let end = left.min(PAGE);
        if end == 0 {
            return Err(cut(reasons::DIGEST));
        }
        let (now, rest) = bytes.split_at(bytes.len().min(end.saturating_sub(*filled)));
        if let Some(space) = page.get_mut(*filled..*filled + now.len()) {
            space.copy_from_slice(now);
        }
        *filled += now.len();
        bytes = rest;
        if *filled == end {
            pages.put(*pages.written, &page[..end])?;
            *filled = 0;
        }
    }
    Ok(())
}

/// The two images in flash.
struct Pages<'a, F> {
    flash: &'a mut F,
    place: &'a Place,
    sha: &'a mut Sha256,
    size: u32,
    written: &'a mut u32,
    secure_version: &'a mut u32,
    /// Why a page was not written.
    why: Option<Reason>,
}

impl<F: NorFlash> Pages<'_, F> {
    fn put(&mut self, at: u32, bytes: &[u8]) -> Result<(), Reason> {
        let flash = || cut(reasons::FLASH);
        let len = u32::try_from(bytes.len()).map_err(|_| flash())?;
        let end = at.checked_add(len).ok_or_else(flash)?;
        if end > self.size {
            return Err(cut(reasons::PATCH));
        }
        if at == 0 {
            *self.secure_version = check_head(bytes, self.place.chip, self.place.secure_version)?;
        }
        let (new, step) = (self.place.new, PAGE as u32);
        let from = new.offset.checked_add(at).ok_or_else(flash)?;
        if end > new.size || !at.is_multiple_of(step) {
            return Err(flash());
        }
        self.flash.erase(from, from + step).map_err(|_| flash())?;
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % F::WRITE_SIZE);
        if !whole.is_empty() {
            self.flash.write(from, whole).map_err(|_| flash())?;
        }
        if !rest.is_empty() {
            let mut last = [0xff; MAX_WRITE];
            let last = last.get_mut(..F::WRITE_SIZE).ok_or_else(flash)?;
            last.get_mut(..rest.len())
                .ok_or_else(flash)?
                .copy_from_slice(rest);
            let at = from + u32::try_from(whole.len()).map_err(|_| flash())?;
            self.flash.write(at, last).map_err(|_| flash())?;
        }
        self.sha.update(bytes);
        *self.written = end;
        Ok(())
    }
}

impl<F: NorFlash> Images for Pages<'_, F> {
    fn read_old(&mut self, at: u32, into: &mut [u8]) -> Result<(), Failed> {
        let old = self.place.old;
        let mut block = [0; 128];
        // Reads are aligned; what lies behind the image does not matter.
        let len = into.len().next_multiple_of(F::READ_SIZE);
        let from = old.offset.checked_add(at).ok_or(Failed)?;
        let block = block.get_mut(..len).ok_or(Failed)?;
        self.flash.read(from, block).map_err(|_| Failed)?;
        into.copy_from_slice(block.get(..into.len()).ok_or(Failed)?);
        Ok(())
    }

    fn write_new(&mut self, at: u32, bytes: &[u8]) -> Result<(), Failed> {
        self.put(at, bytes).map_err(|why| {
            self.why = Some(why);
            Failed
        })
    }
}
