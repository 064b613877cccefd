//! Applying patches where both images fit into memory: on a server that tries what it offers, and in tests.

use super::{BoardPatcher, Failed, Images, PatchError};

/// Both images in memory.
#[derive(Debug)]
pub struct Memory<'a> {
    /// The image that there is.
    pub old: &'a [u8],
    /// The one that is made of it, as far as it is.
    pub new: Vec<u8>,
}

impl Images for Memory<'_> {
    fn read_old(&mut self, at: u32, into: &mut [u8]) -> Result<(), Failed> {
        let at = usize::try_from(at).map_err(|_| Failed)?;
        let end = at.checked_add(into.len()).ok_or(Failed)?;
        into.copy_from_slice(self.old.get(at..end).ok_or(Failed)?);
        Ok(())
    }

    fn write_new(&mut self, at: u32, bytes: &[u8]) -> Result<(), Failed> {
        if usize::try_from(at) != Ok(self.new.len()) {
            return Err(Failed);
        }
        self.new.extend_from_slice(bytes);
        Ok(())
    }
}

/// Makes the new image of the old one and a patch, as our boards do.
///
/// # Errors
/// When it is no patch for our boards, or none for this image.
pub fn apply(old: &[u8], patch: &[u8]) -> Result<Vec<u8>, PatchError> {
    let mut images = Memory {
        old,
        new: Vec::new(),
    };
    // No image that a patch names has more than 4 GB.
    let size = u32::try_from(old.len()).unwrap_or(u32::MAX);
    let mut patcher = Box::new(BoardPatcher::new(size, u32::MAX));
    patcher.push(&mut images, patch)?;
    patcher.finish()?;
    Ok(images.new)
}
