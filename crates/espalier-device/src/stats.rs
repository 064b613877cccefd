//! What the device has done since it started, as plain counters.

/// Counters since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Samples taken.
    pub samples_taken: u64,
    /// Samples that the server has acknowledged.
    pub samples_acked: u64,
    /// Values in the acknowledged samples.
    pub points_acked: u64,
    /// Samples pushed out of the full queue.
    pub samples_dropped: u64,
    /// Samples that the server refused for good, or that no frame can carry.
    pub samples_refused: u64,
    /// Values of switches whose report the server has acknowledged.
    pub reports_acked: u64,
    /// Desired values that took effect.
    pub desired_applied: u64,
    /// Desired values for which there is no switch, or that did not take effect.
    pub desired_refused: u64,
    /// Commands handed to the board.
    pub commands_run: u64,
    /// Times the server has welcomed the device.
    pub welcomes: u64,
    /// Connections lost or not established.
    pub failures: u64,
    /// Errors that the server has sent.
    pub errors: u64,
    /// Frames and answers that were not understood.
    pub not_understood: u64,
    /// Jumps of the clock.
    pub clock_jumps: u64,
    /// Failed writes to storage.
    pub storage_errors: u64,
    /// Updates whose image proved itself, and the server has heard of it.
    pub updates_confirmed: u64,
    /// Updates whose image was taken back, and the server has heard of it.
    pub updates_rolled_back: u64,
    /// Updates that ended before their image ran, and the server has heard of it.
    pub updates_failed: u64,
}
