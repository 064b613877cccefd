//! What the server counts: atomic counters and histograms, read as JSON or in the Prometheus text format.
//!
//! Names follow Prometheus' rules (base units, `_total` for counters). Counting never allocates or locks on
//! the hot path; labels are fixed sets.

use crate::AppState;
use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the latency histograms, seconds: from half a millisecond, where a good answer lies, to
/// ten seconds, where a client has given up.
const LATENCY: [f64; 13] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 10.0,
];

/// What kind of request it is, as far as its latency goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A board sends or polls.
    Ingest,
    /// A socket or stream was opened.
    Stream,
    /// Everything else.
    Api,
}

impl Class {
    /// The class of a request.
    pub fn of(method: &Method, path: &str) -> Self {
        if path.ends_with("/telemetry") && *method == Method::POST || path == "/telemetry/latest" {
            return Self::Ingest;
        }
        if path.starts_with("/ws") || path.ends_with("/stream") {
            Self::Stream
        } else {
            Self::Api
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Stream => "stream",
            Self::Api => "api",
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByClass {
    class: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByClassAndStatus {
    class: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

const CLASSES: [Class; 3] = [Class::Ingest, Class::Stream, Class::Api];
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters of a server.
pub struct Metrics {
    registry: Registry,
    durations: [Histogram; 3],
    requests: [[Counter; 5]; 3],
    /// Points that were acknowledged to whoever sent them.
    pub points_accepted: Counter,
    /// Points that were new; the others repeated or replaced one.
    pub points_stored: Counter,
    refused: Family<ByReason, Counter>,
    refusals: AtomicU64,
    dropped: Family<ByKind, Counter>,
    sockets: Family<ByKind, Gauge>,
    cut_off: Family<ByKind, Counter>,
    frames_refused: Family<ByKind, Counter>,
    gauges: Sampled,
}

/// Values that are read from the features when somebody asks for the metrics.
struct Sampled {
    devices: Gauge,
    uptime: Gauge<f64, AtomicU64>,
    memory: Gauge,
    commits: Gauge,
    head_points: Gauge,
    queued_points: Gauge,
    stored_bytes: Gauge,
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("espalier");
        let r = &mut registry;
        let latencies =
            Family::<ByClass, Histogram>::new_with_constructor(|| Histogram::new(LATENCY));
        r.register_with_unit(
            "http_request_duration",
            "Time to answer a request",
            Unit::Seconds,
            latencies.clone(),
        );
        let answered = Family::<ByClassAndStatus, Counter>::default();
        r.register("http_requests", "Requests answered", answered.clone());
        let durations = CLASSES.map(|c| {
            latencies
                .get_or_create(&ByClass { class: c.name() })
                .clone()
        });
        let requests = CLASSES.map(|c| {
            STATUSES.map(|status| {
                answered
                    .get_or_create(&ByClassAndStatus {
                        class: c.name(),
                        status,
                    })
                    .clone()
            })
        });
        let (points_accepted, points_stored) = (Counter::default(), Counter::default());
        r.register(
            "telemetry_points_accepted",
            "Points acknowledged",
            points_accepted.clone(),
        );
        r.register(
            "telemetry_points_stored",
            "Points acknowledged that were new",
            points_stored.clone(),
        );
        let (refused, dropped) = (
            Family::<ByReason, Counter>::default(),
            Family::<ByKind, Counter>::default(),
        );
        r.register(
            "telemetry_refused",
            "Telemetry messages refused, by reason",
            refused.clone(),
        );
        r.register(
            "live_dropped",
            "Live frames dropped because a reader was too slow, by kind",
            dropped.clone(),
        );
        let sockets = Family::<ByKind, Gauge>::default();
        r.register(
            "live_connections",
            "Open sockets and streams, by kind",
            sockets.clone(),
        );
        let (cut_off, frames_refused) = (
            Family::<ByKind, Counter>::default(),
            Family::<ByKind, Counter>::default(),
        );
        r.register(
            "live_cut_off",
            "Sockets and streams ended because they did not read, by kind",
            cut_off.clone(),
        );
        r.register(
            "live_frames_refused",
            "Frames refused because a socket sent too many, by kind",
            frames_refused.clone(),
        );
        let gauges = Sampled::register(r);
        Self {
            registry,
            durations,
            requests,
            points_accepted,
            points_stored,
            refused,
            refusals: AtomicU64::new(0),
            dropped,
            sockets,
            cut_off,
            frames_refused,
            gauges,
        }
    }

    /// Counts an answered request.
    pub fn request(&self, class: Class, status: StatusCode, took: Duration) {
        let class = class as usize;
        let status = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.durations[class].observe(took.as_secs_f64());
        self.requests[class][status].inc();
    }

    /// Counts telemetry that was refused; `reason` is one of a fixed set of words.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ByReason { reason }).inc();
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts frames that a slow reader did not get; `kind` is one of a fixed set of words.
    pub fn dropped(&self, kind: &'static str, frames: u64) {
        self.dropped.get_or_create(&ByKind { kind }).inc_by(frames);
    }

    /// Counts a frame that came too soon; `kind` is `app` or `device`.
    pub fn frame_refused(&self, kind: &'static str) {
        self.frames_refused.get_or_create(&ByKind { kind }).inc();
    }

    fn frames_refused_total(&self) -> u64 {
        ["app", "device"]
            .map(|kind| self.frames_refused.get_or_create(&ByKind { kind }).get())
            .iter()
            .sum()
    }

    fn refused_total(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    fn total(&self, status: usize) -> u64 {
        self.requests
            .iter()
            .map(|by_status| by_status[status].get())
            .sum()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Sampled {
    fn register(r: &mut Registry) -> Self {
        let sampled = Self {
            devices: Gauge::default(),
            uptime: Gauge::default(),
            memory: Gauge::default(),
            commits: Gauge::default(),
            head_points: Gauge::default(),
            queued_points: Gauge::default(),
            stored_bytes: Gauge::default(),
        };
        r.register("devices", "Devices that exist", sampled.devices.clone());
        r.register_with_unit(
            "uptime",
            "Time since the start",
            Unit::Seconds,
            sampled.uptime.clone(),
        );
        r.register_with_unit(
            "resident_memory",
            "Memory of the process",
            Unit::Bytes,
            sampled.memory.clone(),
        );
        r.register(
            "telemetry_commits",
            "Durable commits since the start",
            sampled.commits.clone(),
        );
        r.register(
            "telemetry_head_points",
            "Points not yet sealed into chunks",
            sampled.head_points.clone(),
        );
        r.register(
            "telemetry_queued_points",
            "Points that wait for a commit",
            sampled.queued_points.clone(),
        );
        r.register_with_unit(
            "telemetry_stored",
            "Size of the telemetry store",
            Unit::Bytes,
            sampled.stored_bytes.clone(),
        );
        sampled
    }
}

/// Reads what the features know into the gauges.
async fn sample(app: &AppState) {
    let gauges = &app.ops.metrics.gauges;
    let open = [
        ("app", app.live.watchers()),
        ("device", app.live.connected_devices()),
    ];
    for (kind, number) in open {
        app.ops
            .metrics
            .sockets
            .get_or_create(&ByKind { kind })
            .set(count(number as u64));
    }
    for (kind, number) in app.live.cut_off() {
        let counter = app.ops.metrics.cut_off.get_or_create(&ByKind { kind });
        // The features count; this is the copy that is shown.
        counter.inner().store(number, Ordering::Relaxed);
    }
    gauges.devices.set(count(app.devices.count() as u64));
    #[expect(
        clippy::cast_precision_loss,
        reason = "an uptime in milliseconds fits a double"
    )]
    gauges
        .uptime
        .set((app.clock.now_ms() - app.ops.started_at) as f64 / 1000.0);
    gauges.memory.set(count(resident_bytes()));
    if let Ok(stats) = app.tsdb.stats().await {
        gauges.commits.set(count(stats.commits));
        gauges.head_points.set(count(stats.head_points));
        gauges.queued_points.set(count(stats.queue_depth));
        gauges.stored_bytes.set(count(stats.stored_bytes));
    }
}

/// How many sockets and streams of any kind are open.
pub fn connections(app: &AppState) -> i64 {
    count((app.live.watchers() + app.live.connected_devices()) as u64)
}

fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The memory of this process that is in RAM, bytes; 0 where the system does not tell.
pub fn resident_bytes() -> u64 {
    // Linux, proc(5): the second number of statm is the resident set in pages.
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// The metrics in the Prometheus text format.
///
/// # Errors
/// Fails when a value cannot be written, which does not happen for a string.
pub async fn prometheus(app: &AppState) -> Result<String, std::fmt::Error> {
    sample(app).await;
    let mut text = String::new();
    encode(&mut text, &app.ops.metrics.registry)?;
    Ok(text)
}

/// The older text format (0.0.4) of an OpenMetrics text: there the description of a counter carries its `_total` too.
pub fn classic(openmetrics: &str) -> String {
    let counters: std::collections::HashSet<&str> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines().filter(|line| *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(keyword @ ("HELP" | "TYPE")), Some(name), Some(rest))
                if counters.contains(name) =>
            {
                text.extend(["# ", keyword, " ", name, "_total ", rest]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// The metrics as JSON, for people and small programs.
pub async fn json(app: &AppState) -> Value {
    sample(app).await;
    let m = &app.ops.metrics;
    let g = &m.gauges;
    json!({
        "uptime_seconds": g.uptime.get(),
        "requests": {
            "total": (0..5).map(|s| m.total(s)).sum::<u64>(),
            "client_errors": m.total(3),
            "server_errors": m.total(4),
        },
        "telemetry": {
            "points_accepted": m.points_accepted.get(),
            "points_stored": m.points_stored.get(),
            "messages_refused": m.refused_total(),
            "queued_points": g.queued_points.get(),
            "head_points": g.head_points.get(),
            "stored_bytes": g.stored_bytes.get(),
            "commits": g.commits.get(),
        },
        "live": {
            "connections": connections(app),
            "cut_off": app.live.cut_off().iter().map(|(_, number)| number).sum::<u64>(),
            "frames_refused": m.frames_refused_total(),
        },
        "devices": g.devices.get(),
        "memory_bytes": g.memory.get(),
    })
}

#[cfg(test)]
mod tests {
    use super::classic;

    #[test]
    fn the_older_format_describes_a_counter_by_its_full_name() {
        let openmetrics = "# HELP a_requests Requests so far.\n# TYPE a_requests counter\na_requests_total 3\n\
                           # HELP a_boards Boards now.\n# TYPE a_boards gauge\na_boards 2\n# EOF\n";
        assert_eq!(
            classic(openmetrics),
            "# HELP a_requests_total Requests so far.\n# TYPE a_requests_total counter\na_requests_total 3\n\
             # HELP a_boards Boards now.\n# TYPE a_boards gauge\na_boards 2\n"
        );
    }
}
