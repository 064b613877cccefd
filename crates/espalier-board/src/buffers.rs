//! The memory of the driver, in one struct that a board puts where it has room. Not the queue of samples, which is the core's.

use espalier_wire::limits::MAX_DOWN_BYTES;

/// Bytes of the largest TLS record with its header, and so of a buffer that can take whatever a server sends.
pub const FULL_RECORD: usize = 16_640;
/// Bytes of the larger buffers: what a server of ours sends at once, and as much for what comes with it. Heads of answers grow on
/// their way through other servers.
const ROOMY: usize = 2 * MAX_DOWN_BYTES;
/// Bytes that [`Buffers`] need for messages besides [`MAX_DOWN_BYTES`]: the head of a message, and a whole control frame.
pub(crate) const BESIDE_MESSAGE: usize = 160;
/// Bytes before the text of an outgoing WebSocket frame.
pub const FRAME_HEADER: usize = 8;

/// All buffers. Without TLS, `RECORD_IN` and `RECORD_OUT` may be 0.
///
/// | size | holds | default |
/// |---|---|---|
/// | `RECORD_IN` | one incoming TLS record, twice (link and exchange) | [`FULL_RECORD`] |
/// | `RECORD_OUT` | one outgoing TLS record, twice; at least 512 | 2,048 |
/// | `MESSAGE` | one incoming frame of the socket, or its parts; at least [`MAX_DOWN_BYTES`] and 160 | 4,096 |
/// | `OUT` | one outgoing frame: at least the core's `FRAME` and [`FRAME_HEADER`] | 2,056 |
/// | `ANSWER` | the head of an answer, then its body or a piece of a download; at least [`MAX_DOWN_BYTES`] | 4,096 |
#[derive(Debug)]
pub struct Buffers<
    const RECORD_IN: usize = FULL_RECORD,
    const RECORD_OUT: usize = 2048,
    const MESSAGE: usize = ROOMY,
    const OUT: usize = 2056,
    const ANSWER: usize = ROOMY,
> {
    pub(crate) link: Records<RECORD_IN, RECORD_OUT>,
    pub(crate) exchange: Records<RECORD_IN, RECORD_OUT>,
    pub(crate) message: [u8; MESSAGE],
    pub(crate) out: [u8; OUT],
    pub(crate) answer: [u8; ANSWER],
}

/// The records of one TLS connection.
#[derive(Debug)]
pub(crate) struct Records<const IN: usize, const OUT: usize> {
    pub incoming: [u8; IN],
    pub outgoing: [u8; OUT],
}

impl<
    const RECORD_IN: usize,
    const RECORD_OUT: usize,
    const MESSAGE: usize,
    const OUT: usize,
    const ANSWER: usize,
> Buffers<RECORD_IN, RECORD_OUT, MESSAGE, OUT, ANSWER>
{
    /// Makes empty buffers, in a static or wherever there is room.
    pub const fn new() -> Self {
        Buffers {
            link: Records::new(),
            exchange: Records::new(),
            message: [0; MESSAGE],
            out: [0; OUT],
            answer: [0; ANSWER],
        }
    }

    /// Memory that nobody needs before the first connection.
    pub(crate) const fn scratch(&mut self) -> &mut [u8] {
        &mut self.link.incoming
    }
}

impl<
    const RECORD_IN: usize,
    const RECORD_OUT: usize,
    const MESSAGE: usize,
    const OUT: usize,
    const ANSWER: usize,
> Default for Buffers<RECORD_IN, RECORD_OUT, MESSAGE, OUT, ANSWER>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<const IN: usize, const OUT: usize> Records<IN, OUT> {
    const fn new() -> Self {
        Records {
            incoming: [0; IN],
            outgoing: [0; OUT],
        }
    }

    pub const fn slices(&mut self) -> RecordSlices<'_> {
        RecordSlices {
            incoming: &mut self.incoming,
            outgoing: &mut self.outgoing,
        }
    }
}

/// The same without their sizes.
#[derive(Debug)]
pub(crate) struct RecordSlices<'a> {
    pub incoming: &'a mut [u8],
    pub outgoing: &'a mut [u8],
}

impl RecordSlices<'_> {
    /// The same for a shorter time.
    pub const fn again(&mut self) -> RecordSlices<'_> {
        RecordSlices {
            incoming: self.incoming,
            outgoing: self.outgoing,
        }
    }
}
