//! The messages of devices and apps, as `espalier-wire` reads them.

use espalier_wire::app::ServerMessage;
use espalier_wire::device::{Down, Up};
use espalier_wire::http::{Latest, PendingCommands, ResultPost, TelemetryPost};
use espalier_wire::json::{Json, JsonFault};

use crate::{Target, Verdict, texts};

/// Pieces of JSON and of the messages.
pub const WORDS: &[&[u8]] = &[
    b"{}",
    b"[]",
    b"null",
    b"true",
    b"1e300",
    b"-1.5e-7",
    b"\"\\u00e9\"",
    b",",
    b":",
    b"{\"a\":",
    b"[[",
    b"]}",
    b" ",
    b"\n",
    b"\"id\":1,",
    b"\"id\":4294967296,",
    b"\"ts\":1700000000000,",
    b"\"data\":{\"t\":1},",
    b"\"samples\":[],",
    b"\"state\":{},",
    b"\"type\":\"ping\",",
    b"\"v\":-1",
    b"\"device_token\":\"x\",",
];

pub const JSON: Target = Target {
    name: "wire_json",
    run: json,
    seeds: || {
        texts(&[
            r#"{"a":[1,-2.5e3,true,null,"x\n\u00e9\ud83c\udf31"],"b":{"c":{}},"":0}"#,
            r#"[[[[[1]]]],"",[],{},1e-7,0.0]"#,
            r#""text""#,
        ])
    },
    words: WORDS,
};

pub const DEVICE_UP: Target = Target {
    name: "wire_device_up",
    run: device_up,
    seeds: || {
        texts(&[
            r#"{"type":"hello","token":"secret","proto":1,"firmware":{"version":"1.2.0","sha256":"00"},"chip":"esp32c3","board":"weather","expected_interval_s":10}"#,
            r#"{"type":"telemetry","id":7,"data":{"temperature":21.5,"relay1":true,"name":"a","pos":{"x":1}}}"#,
            r#"{"type":"telemetry","id":8,"ts":1700000000000,"data":{"t":-40}}"#,
            r#"{"type":"telemetry","id":9,"samples":[{"ts":1700000000000,"data":{"t":1}},{"ts":1700000001000,"data":{"t":2}}]}"#,
            r#"{"type":"reported","id":3,"state":{"relay1":{"value":true,"version":4}}}"#,
            r#"{"type":"heartbeat","id":1,"uptime_s":3600,"heap_free":120000,"rssi":-61,"boot_reason":"power_on"}"#,
            r#"{"type":"command_result","id":"c1","ok":false,"result":{"a":1},"error":"no \"such\" pin"}"#,
            r#"{"type":"ping"}"#,
        ])
    },
    words: WORDS,
};

pub const DEVICE_DOWN: Target = Target {
    name: "wire_device_down",
    run: device_down,
    seeds: || {
        texts(&[
            r#"{"type":"welcome","device_id":"65f0c0ffee65f0c0ffee65f0","time":1700000000000,"heartbeat_s":30}"#,
            r#"{"type":"ack","id":7}"#,
            r#"{"type":"error","id":7,"code":"too_large","detail":"a \u00e9","retry_after_ms":500}"#,
            r#"{"type":"desired","state":{"relay1":{"value":true,"version":4}}}"#,
            r#"{"type":"command","id":"c1","name":"identify","params":{"seconds":3},"expires_at":1700000000000}"#,
            r#"{"type":"pong"}"#,
        ])
    },
    words: WORDS,
};

pub const DEVICE_HTTP: Target = Target {
    name: "wire_device_http",
    run: device_http,
    seeds: || {
        texts(&[
            r#"{"device_token":"secret","data":{"t":21.5},"reported":{"relay1":{"value":true,"version":4}}}"#,
            r#"{"samples":[{"ts":1700000000000,"data":{"t":1}}]}"#,
            r#"{"data":{"relay1":true},"desired":{"relay1":{"value":false,"version":5}},"time":1700000000000}"#,
            r#"{"commands":[{"id":"c1","name":"identify","params":{},"expires_at":1700000000000}]}"#,
            r#"{"ok":true,"result":[1,2]}"#,
        ])
    },
    words: WORDS,
};

pub const APP_MESSAGE: Target = Target {
    name: "wire_app_message",
    run: app_message,
    seeds: || {
        texts(&[
            r#"{"type":"connected","message":"hello","timestamp":"2026-01-01T00:00:00Z"}"#,
            r#"{"type":"telemetry_update","device_id":"a","timestamp":"2026-01-01T00:00:00Z","data":{"t":1}}"#,
            r#"{"type":"subscribed","channels":["devices"]}"#,
            r#"{"type":"error","message":"no","code":"x"}"#,
        ])
    },
    words: WORDS,
};

fn verdict(accepted: bool) -> Verdict {
    if accepted {
        Verdict::Accepted
    } else {
        Verdict::Refused
    }
}

/// Our reader and serde_json must agree on what JSON is, but for what ours bounds on purpose.
fn json(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    let other = serde_json::from_str::<serde_json::Value>(text);
    match Json::parse(text) {
        Ok(json) => {
            visit(json);
            // Numbers beyond f64 are well-formed text, which serde_json's Value cannot hold.
            let too_big = other
                .as_ref()
                .is_err_and(|error| error.to_string().starts_with("number out of range"));
            assert!(other.is_ok() || too_big, "only ours accepts it: {other:?}");
            Verdict::Accepted
        }
        Err(error) => {
            assert!(error.at <= text.len(), "the error points behind the end");
            assert!(
                other.is_err() || error.fault == JsonFault::TooDeep,
                "only ours refuses it: {error:?}"
            );
            Verdict::Refused
        }
    }
}

/// Reads every value in every way.
fn visit(json: Json) {
    let _ = (
        json.kind(),
        json.as_bool(),
        json.as_f64(),
        json.as_i64(),
        json.as_u64(),
        json.depth(),
    );
    if let Some(text) = json.as_text() {
        assert_eq!(text.chars().count(), text.to_cow().chars().count());
    }
    json.members()
        .into_iter()
        .flatten()
        .for_each(|(_, value)| visit(value));
    json.elements().into_iter().flatten().for_each(visit);
}

fn device_up(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    let id = Up::peek_id(text);
    let Ok(frame) = Up::parse(text) else {
        return Verdict::Refused;
    };
    if let Up::Telemetry { id: own, .. } | Up::Reported { id: own, .. } = frame {
        assert_eq!(id, Some(own), "an error would name another message");
    }
    let written = frame.to_json();
    let again =
        Up::parse(&written).unwrap_or_else(|error| panic!("refuses its own {written}: {error:?}"));
    assert_eq!(again.to_json(), written);
    Verdict::Accepted
}

fn device_down(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    let Ok(frame) = Down::parse(text) else {
        return Verdict::Refused;
    };
    let written = frame.to_json();
    let again = Down::parse(&written)
        .unwrap_or_else(|error| panic!("refuses its own {written}: {error:?}"));
    assert_eq!(again.to_json(), written);
    Verdict::Accepted
}

fn device_http(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    let mut accepted = Latest::parse(text).is_ok();
    if let Ok(post) = TelemetryPost::parse(text) {
        let mut written = String::new();
        post.write(&mut written).unwrap();
        TelemetryPost::parse(&written)
            .unwrap_or_else(|error| panic!("refuses its own {written}: {error:?}"));
        accepted = true;
    }
    if let Ok(commands) = PendingCommands::parse(text) {
        let mut written = String::new();
        PendingCommands::write(commands.iter(), &mut written).unwrap();
        let again = PendingCommands::parse(&written)
            .unwrap_or_else(|error| panic!("refuses its own {written}: {error:?}"));
        assert_eq!(again.iter().count(), commands.iter().count());
        accepted = true;
    }
    if let Ok(result) = ResultPost::parse(text) {
        let mut written = String::new();
        result.write(&mut written).unwrap();
        ResultPost::parse(&written)
            .unwrap_or_else(|error| panic!("refuses its own {written}: {error:?}"));
        accepted = true;
    }
    verdict(accepted)
}

fn app_message(bytes: &[u8]) -> Verdict {
    let Ok(message) = serde_json::from_slice::<ServerMessage>(bytes) else {
        return Verdict::Refused;
    };
    let written = serde_json::to_string(&message).unwrap();
    let again: ServerMessage = serde_json::from_str(&written)
        .unwrap_or_else(|error| panic!("refuses its own {written}: {error}"));
    assert_eq!(again, message);
    Verdict::Accepted
}
