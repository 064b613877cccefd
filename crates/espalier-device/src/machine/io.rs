//! What goes into the machine and what comes out: the whole contract between the core and a binding.

use espalier_wire::json::{Json, Value};

/// Something that happened. Time comes beside it.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Nothing but the passing of time.
    Tick,
    /// The socket that was asked for is open; the token went with the handshake.
    Opened,
    /// The socket could not be opened; with the HTTP status when a server answered.
    OpenFailed {
        /// HTTP status of the handshake.
        status: Option<u16>,
    },
    /// A text frame arrived.
    Frame(&'a str),
    /// A frame arrived that is longer than the device can hold; it was thrown away.
    FrameTooLong,
    /// The socket closed without being asked to.
    Closed,
    /// The answer to a request.
    Answer {
        /// HTTP status.
        status: u16,
        /// The body, cut to what the device can hold.
        body: &'a str,
        /// The server's time from its `Date` header, in milliseconds UTC.
        date: Option<i64>,
        /// Seconds from its `Retry-After` header.
        retry_after_s: Option<u32>,
    },
    /// The request failed without an answer.
    RequestFailed,
    /// Values that were just measured.
    Sample(&'a [(&'a str, Value<'a>)]),
    /// The outcome of [`Output::Apply`].
    Applied {
        /// The switch.
        key: &'a str,
        /// Whether the value took effect.
        ok: bool,
    },
    /// The outcome of [`Output::Apply`]: the device will not take this value, now or later.
    Refused {
        /// The switch.
        key: &'a str,
        /// Why, in one sentence without a full stop.
        why: &'a str,
    },
    /// A switch was changed at the device.
    LocalChange {
        /// The switch.
        key: &'a str,
        /// Its new value.
        value: Value<'a>,
    },
    /// The outcome of [`Output::Run`].
    CommandDone {
        /// The id of the command.
        id: &'a str,
        /// What it returned, or one sentence that says why it failed.
        outcome: Result<Option<Value<'a>>, &'a str>,
    },
    /// The [`Output::Download`] has ended, completely or not.
    Downloaded {
        /// HTTP status; none when the server did not answer. A download that breaks off after it began has its status.
        status: Option<u16>,
        /// Seconds from its `Retry-After` header.
        retry_after_s: Option<u32>,
    },
    /// The outcome of [`Output::SelfTest`].
    SelfTested {
        /// Whether the hardware works with this image.
        ok: bool,
    },
    /// Vital signs for the next heartbeat.
    Vitals {
        /// Free heap in bytes.
        heap_free: Option<u32>,
        /// Wi-Fi signal strength in dBm.
        rssi: Option<i32>,
    },
}

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET, without a body.
    Get,
    /// POST with a JSON body.
    Post,
}

/// Something to do. Texts are valid until the next call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Output<'a> {
    /// Connect to `/ws/device` of the configured server with the token as Bearer; answer with `Opened` or `OpenFailed`.
    OpenSocket,
    /// Drop the socket, also one that is opening, and report nothing more about it.
    CloseSocket,
    /// Send a text frame.
    Send {
        /// The id that the server will acknowledge, when it will.
        id: Option<u32>,
        /// The frame.
        frame: &'a str,
    },
    /// Send a request with the token as Bearer; answer with `Answer` or `RequestFailed`.
    /// A request that is still on its way was given up: drop it and report nothing more about it.
    Request {
        /// The method.
        method: Method,
        /// The path with its query, below the configured server.
        path: &'a str,
        /// The body of a POST.
        body: &'a str,
    },
    /// Read the sensors and answer with a sample.
    Measure,
    /// Set a switch and answer with `Applied`.
    Apply {
        /// The switch.
        key: &'a str,
        /// The value it should have.
        value: Json<'a>,
    },
    /// Run a command and answer with `CommandDone`.
    Run {
        /// The id for the answer.
        id: &'a str,
        /// What to do.
        name: &'a str,
        /// An object of parameters.
        params: Json<'a>,
    },
    /// The server has kept the frame with this id.
    Acked {
        /// The id of the frame.
        id: u32,
        /// Samples in it.
        samples: u32,
        /// Values in these samples.
        points: u32,
    },
    /// Call [`super::Core::persist`] when it suits, soon.
    Persist,
    /// Call [`super::Core::work`] soon: flash or storage is to be read or written for an update.
    Work,
    /// GET a part of a file with the token as Bearer and `Range: bytes=FROM-(FROM+LEN-1)`. Hand its bytes to
    /// [`super::Core::receive`] as they come, then answer with `Downloaded`. Of an answer that is not 206 hand over nothing,
    /// except of a 200 when `from` is 0: then the first `len` bytes.
    /// A download that is still on its way was given up: drop it and report nothing more about it.
    Download {
        /// The path, below the configured server.
        path: &'a str,
        /// The first byte.
        from: u32,
        /// How many bytes; at least one.
        len: u32,
    },
    /// Drop the request or download that is on its way, and report nothing more about it.
    Abandon,
    /// Check that the hardware works with the image that runs, which is on trial; answer with `SelfTested`.
    SelfTest,
    /// Restart the board: another image is chosen, or [`super::Core::want_restart`] was called. Persist before.
    Restart,
}

/// What the status LED should show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Led {
    /// Asleep: dark.
    Off,
    /// Connecting: slow blinking.
    Searching,
    /// Refused by the server: fast blinking.
    Refused,
    /// Connected: steady.
    Steady,
}
