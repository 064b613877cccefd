//! The device core as the network and the flash see it: whatever a server says and whatever a torn write left behind.

use espalier_device::queue::{Queue, Stamp};
use espalier_device::{Config, Core, Endpoint, Input, Method, Output};
use espalier_wire::device::{Down, Up};
use espalier_wire::json::{Json, Value};

use crate::wire::WORDS;
use crate::{Target, Verdict, texts};

pub const CORE: Target = Target {
    name: "device_core",
    run: core,
    seeds: || {
        texts(&[
            "O\nF{\"type\":\"welcome\",\"device_id\":\"65f0c0ffee65f0c0ffee65f0\",\"time\":1700000000000,\"heartbeat_s\":30}\nS\nF{\"type\":\"ack\",\"id\":1}\nF{\"type\":\"ack\",\"id\":2}\nT",
            "O\nF{\"type\":\"desired\",\"state\":{\"relay1\":{\"value\":true,\"version\":4}}}\nP\nF{\"type\":\"command\",\"id\":\"c1\",\"name\":\"identify\",\"params\":{},\"expires_at\":1900000000000}\nR\nT",
            "X\nX\nX\nS\nA200{\"data\":{\"relay1\":true},\"desired\":{\"relay1\":{\"value\":false,\"version\":5}},\"time\":1700000000000}\nA200{\"commands\":[]}\nF{\"type\":\"pong\"}",
            "O\nS\nF{\"type\":\"error\",\"id\":2,\"code\":\"too_large\",\"detail\":\"x\",\"retry_after_ms\":500}\nC\nA429{}\nA503\nE\nF{\"type\":\"pong\"}",
        ])
    },
    words: WORDS,
};

pub const QUEUE: Target = Target {
    name: "device_queue",
    run: queue,
    seeds: || {
        let mut queue = Queue::<QUEUE_BYTES>::default();
        let mut images = vec![queue.image().to_vec()];
        for stamp in [
            Stamp::Wall(1_700_000_000_000),
            Stamp::Uptime(5_000),
            Stamp::Unknown,
        ] {
            let pushed = queue.push(stamp, 1, QUEUE_BYTES, |out| out.write_str("{\"t\":21.5}"));
            assert!(pushed.is_ok(), "an empty queue takes three samples");
            images.push(queue.image().to_vec());
        }
        images
    },
    words: &[b"\0\0", b"\x0a\0\x01\0", b"{\"t\":1}"],
};

pub const SERVER_URL: Target = Target {
    name: "device_server_url",
    run: server_url,
    seeds: || {
        texts(&[
            "http://192.168.1.7:8000",
            "https://espalier.example/fleet/",
            "ws://[fe80::1]:80",
            "wss://a.b",
        ])
    },
    words: &[b"://", b":", b"/", b"[", b"]", b"@", b"65536", b"http"],
};

const QUEUE_BYTES: usize = 512;
const FRAME_BYTES: usize = 1024;
/// Between two lines of a script; a script of a page passes every time-out of the core.
const STEP_MS: u64 = 1_700;
/// What one input may make the core do; more would be a loop without end.
const MAX_OUTPUTS: usize = 1_000;

/// Reads an input as a script, one event a line, the first byte saying which.
fn core(bytes: &[u8]) -> Verdict {
    let Ok(script) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    let Ok(config) = Config::new("http://server:8000", "65a1f0c2b3d4e5f601234567", "secret") else {
        unreachable!("a constant configuration is valid");
    };
    let mut core: Core<QUEUE_BYTES, FRAME_BYTES> = Core::new(config, 42);
    core.declare_switch("relay1", Value::Bool(false));
    let mut now = 0;
    let mut verdict = Verdict::Refused;
    for line in script.lines() {
        now += STEP_MS;
        let (event, text) = line.split_at(line.chars().next().map_or(0, char::len_utf8));
        if event == "F" && Down::parse(text).is_ok() {
            verdict = Verdict::Accepted;
        }
        core.step(now, input(event, text));
        drain(&mut core);
        assert!(
            core.wake_in_ms() <= 24 * 3_600_000,
            "the core would sleep for more than a day"
        );
    }
    verdict
}

fn input<'a>(event: &str, text: &'a str) -> Input<'a> {
    match event {
        "O" => Input::Opened,
        "X" => Input::OpenFailed {
            status: text.parse().ok(),
        },
        "C" => Input::Closed,
        "E" => Input::RequestFailed,
        "F" => Input::Frame(text),
        "S" => Input::Sample(&[("t", Value::Float(21.5))]),
        "P" => Input::Applied {
            key: "relay1",
            ok: text.is_empty(),
        },
        "L" => Input::LocalChange {
            key: "relay1",
            value: Value::Bool(true),
        },
        "R" => Input::CommandDone {
            id: "c1",
            outcome: Ok(None),
        },
        "A" => {
            let (status, body) = text.split_at_checked(3).unwrap_or(("500", text));
            let status = status.parse().unwrap_or(200);
            Input::Answer {
                status,
                body,
                date: None,
                retry_after_s: Some(2),
            }
        }
        _ => Input::Tick,
    }
}

/// Takes everything the core wants done, and checks that the server would understand what it says.
fn drain(core: &mut Core<QUEUE_BYTES, FRAME_BYTES>) {
    for _ in 0..MAX_OUTPUTS {
        match core.poll() {
            None => return,
            Some(Output::Send { frame, .. }) => {
                assert!(frame.len() <= FRAME_BYTES);
                Up::parse(frame)
                    .unwrap_or_else(|error| panic!("the device says {frame}: {error:?}"));
            }
            Some(Output::Request {
                method: Method::Post,
                body,
                path,
            }) => {
                Json::parse(body)
                    .unwrap_or_else(|error| panic!("the device posts {body} to {path}: {error:?}"));
            }
            Some(_) => {}
        }
    }
    panic!("one input made the core do more than {MAX_OUTPUTS} things");
}

fn queue(image: &[u8]) -> Verdict {
    let mut queue = Queue::<QUEUE_BYTES>::default();
    let found = queue.restore(image) as usize;
    assert_eq!(queue.iter().count(), found);
    // Whatever was in it, it works: what comes now is the last one out.
    let pushed = queue.push(Stamp::Unknown, 1, QUEUE_BYTES, |out| {
        out.write_str("{\"new\":1}")
    });
    assert!(pushed.is_ok(), "a restored queue takes nothing");
    assert_eq!(
        queue.iter().last().map(|record| record.data),
        Some("{\"new\":1}")
    );
    queue.mark_sent(1, 7);
    queue.acknowledge(7);
    queue.return_sent(None);
    let left = queue.iter().count();
    let mut again = Queue::<QUEUE_BYTES>::default();
    assert_eq!(
        again.restore(queue.image()) as usize,
        left,
        "its own image does not come back"
    );
    if found > 0 || image.is_empty() {
        Verdict::Accepted
    } else {
        Verdict::Refused
    }
}

fn server_url(bytes: &[u8]) -> Verdict {
    let Ok(url) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    let Ok(endpoint) = Endpoint::parse(url) else {
        return Verdict::Refused;
    };
    let scheme = if endpoint.tls { "https" } else { "http" };
    let written = format!(
        "{scheme}://{}:{}{}",
        endpoint.host, endpoint.port, endpoint.base
    );
    assert_eq!(Endpoint::parse(&written), Ok(endpoint), "{written}");
    Verdict::Accepted
}
