//! The device core: a deterministic state machine without I/O; no_std.
