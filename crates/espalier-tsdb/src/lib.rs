//! The telemetry engine: journal, head, sealed chunks, range reads, roll-ups, retention.
