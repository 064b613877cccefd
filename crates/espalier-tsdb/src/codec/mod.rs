//! How points become bytes: bit packing, integers, numbers, texts, and whole chunks built from them.
//!
//! Nothing here does I/O. Every decoder treats its input as hostile: it answers [`Damaged`] and never panics or
//! allocates more than the input can justify.

pub(crate) mod bytes;
pub(crate) mod chunk;
pub(crate) mod ints;
pub(crate) mod numbers;
pub(crate) mod texts;

/// Bytes that no encoder of ours wrote; the text says which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged(pub(crate) &'static str);

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}
