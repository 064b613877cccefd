//! A live view of a fleet for a terminal or a log. Not a format for machines: those read [`Summary`].

use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::fleet::FleetHandle;
use crate::summary::{FirmwareView, Summary};

/// Lines of one block.
const LINES: usize = 7;

/// Renders a block every so often until the token is cancelled; on a terminal each block replaces the one before.
///
/// # Errors
/// When the output cannot be written, for example because a pipe was closed.
pub async fn watch(
    fleet: &FleetHandle,
    out: &mut (impl Write + Send),
    every: Duration,
    terminal: bool,
    cancel: &CancellationToken,
) -> std::io::Result<()> {
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(50)));
    let mut before = (Duration::ZERO, Summary::default());
    let mut drawn = false;
    loop {
        let stop = tokio::select! {
            () = cancel.cancelled() => true,
            _ = ticks.tick() => false,
        };
        let now = (fleet.elapsed(), fleet.summary());
        if terminal && drawn {
            // Up to the first line of the block, and clear to the end of the screen.
            write!(out, "\x1b[{LINES}A\x1b[J")?;
        }
        let text = render(&before, &now) + &render_firmware(&now.1, &fleet.firmware());
        out.write_all(text.as_bytes())?;
        out.flush()?;
        drawn = true;
        before = now;
        if stop {
            return Ok(());
        }
    }
}

/// Renders one block; rates are those since the block before.
pub fn render(before: &(Duration, Summary), now: &(Duration, Summary)) -> String {
    let (elapsed, s) = now;
    let span = elapsed.saturating_sub(before.0).as_secs_f64();
    let rate = |new: u64, old: u64| {
        if span > 0.0 {
            new.saturating_sub(old) as f64 / span
        } else {
            0.0
        }
    };
    let seconds = elapsed.as_secs();
    let (h, m, sec) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    // Writing into a `String` cannot fail.
    let _ = writeln!(
        text,
        "boards    {:>7} of {} connected   {h:02}:{m:02}:{sec:02}",
        s.connected, s.boards
    );
    let _ = writeln!(
        text,
        "points    {:>7} acknowledged, {:.0}/s   {} samples queued, {} dropped, {} refused",
        s.points_acked,
        rate(s.points_acked, before.1.points_acked),
        s.queued,
        s.dropped,
        s.refused
    );
    let _ = writeln!(
        text,
        "ack time  {:>7} p50   {} p99",
        millis(s.ack_p50),
        millis(s.ack_p99)
    );
    let _ = writeln!(
        text,
        "control   {:>7} desired values applied, {} reported, {} commands",
        s.desired_applied, s.reports_acked, s.commands
    );
    let _ = writeln!(
        text,
        "trouble   {:>7} reconnects, {} failed connections, {} restarts, {} errors",
        s.reconnects, s.failures, s.restarts, s.errors
    );
    text
}

/// Renders what runs on the boards, and how their updates go.
pub fn render_firmware(s: &Summary, view: &FirmwareView) -> String {
    let versions = |all: &FirmwareView| {
        let shown = all.versions.iter().rev().take(4);
        let texts: Vec<_> = shown.map(|(v, count)| format!("{count} × {v}")).collect();
        let more = all.versions.len().saturating_sub(4);
        let rest = if more > 0 {
            format!(", {more} more versions")
        } else {
            String::new()
        };
        texts.join(", ") + &rest
    };
    let [_, loading, written, trial, returning] = view.states;
    format!(
        "firmware  {}   slots {} / {}\n\
         updates   {loading:>7} loading, {written} written, {trial} on trial, {returning} going back   \
         {} confirmed, {} rolled back, {} failed, {} bricked\n",
        versions(view),
        view.slots[0],
        view.slots[1],
        s.updates_confirmed,
        s.updates_rolled_back,
        s.updates_failed,
        s.bricked
    )
}

fn millis(d: Option<Duration>) -> String {
    match d {
        None => "–".to_owned(),
        Some(d) if d < Duration::from_millis(10) => format!("{:.1} ms", d.as_secs_f64() * 1e3),
        Some(d) => format!("{:.0} ms", d.as_secs_f64() * 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_shows_rates_and_has_the_announced_height() {
        let before = (
            Duration::from_secs(10),
            Summary {
                points_acked: 100,
                ..Summary::default()
            },
        );
        let after = Summary {
            boards: 12,
            connected: 11,
            points_acked: 400,
            ..Summary::default()
        };
        let text = render(&before, &(Duration::from_secs(3_672), after));
        let firmware = render_firmware(&after, &FirmwareView::default());
        assert_eq!((text.clone() + &firmware).lines().count(), LINES);
        assert!(text.contains("11 of 12 connected   01:01:12"), "{text}");
        let text = render(&before, &(Duration::from_secs(20), after));
        assert!(text.contains("400 acknowledged, 30/s"), "{text}");
    }
}
