//! Every frame and body by example. This file is the documentation of the protocol: each text is parsed, compared with
//! the value beside it, and written back byte for byte.

use espalier_wire::app::{ClientMessage, DesiredProgress, Presence, ServerMessage};
use espalier_wire::device::{
    Command, CommandResult, Down, Firmware, Heartbeat, Hello, Samples, StateMap, Telemetry, Up,
    WireError, write_refusals,
};
use espalier_wire::http::{HeartbeatPost, Latest, PendingCommands, ResultPost, TelemetryPost};
use espalier_wire::json::{Json, Text};

fn up(text: &str, value: &Up<'_>) {
    assert_eq!(Up::parse(text).as_ref(), Ok(value));
    assert_eq!(value.to_json(), text);
}

fn down(text: &str, value: &Down<'_>) {
    assert_eq!(Down::parse(text).as_ref(), Ok(value));
    assert_eq!(value.to_json(), text);
}

fn json(text: &str) -> Json<'_> {
    Json::parse(text).unwrap()
}

#[test]
fn frames_from_the_device() {
    up(
        r#"{"type":"hello","token":"0f3a","proto":1,"firmware":{"version":"1.2.0","sha256":"ab","trial":true},"chip":"esp32c3","board":"weather","expected_interval_s":10,"boot_reason":"ota","boots":7}"#,
        &Up::Hello(Hello {
            token: Some("0f3a".into()),
            proto: 1,
            firmware: Some(Firmware {
                version: "1.2.0".into(),
                sha256: Some("ab".into()),
                trial: true,
            }),
            chip: Some("esp32c3".into()),
            board: Some("weather".into()),
            expected_interval_s: Some(10),
            boot_reason: Some("ota".into()),
            boots: Some(7),
        }),
    );
    up(
        r#"{"type":"telemetry","id":7,"data":{"temperature":21.5,"relay1":true}}"#,
        &Up::Telemetry {
            id: 7,
            telemetry: Telemetry::Now {
                ts: None,
                data: json(r#"{"temperature":21.5,"relay1":true}"#),
            },
        },
    );
    up(
        r#"{"type":"telemetry","id":8,"ts":1763683200000,"data":{"humidity":40}}"#,
        &Up::Telemetry {
            id: 8,
            telemetry: Telemetry::Now {
                ts: Some(1_763_683_200_000),
                data: json(r#"{"humidity":40}"#),
            },
        },
    );
    let samples = r#"[{"ts":1763683200000,"data":{"humidity":40}},{"ts":1763683210000,"data":{"humidity":41}}]"#;
    up(
        &format!(r#"{{"type":"telemetry","id":9,"samples":{samples}}}"#),
        &Up::Telemetry {
            id: 9,
            telemetry: Telemetry::Batch(Samples::check(json(samples)).unwrap()),
        },
    );
    let state = r#"{"relay1":{"value":true,"version":4},"brightness":{"value":70,"version":0}}"#;
    up(
        &format!(r#"{{"type":"reported","id":10,"state":{state}}}"#),
        &Up::Reported {
            id: 10,
            state: StateMap::check(json(state)).unwrap(),
        },
    );
    let refusal = r#"{"led_mode":{"value":null,"version":4,"error":"there is no \"LED\""}}"#;
    up(
        &format!(r#"{{"type":"reported","id":11,"state":{refusal}}}"#),
        &Up::Reported {
            id: 11,
            state: StateMap::check(json(refusal)).unwrap(),
        },
    );
    let mut out = String::new();
    write_refusals(
        &mut out,
        [("led_mode", Json::NULL, 4, "there is no \"LED\"")],
    )
    .unwrap();
    assert_eq!(out, refusal);
    let entry = StateMap::check(json(refusal))
        .unwrap()
        .iter()
        .next()
        .unwrap();
    assert_eq!(entry.error.unwrap().to_cow(), "there is no \"LED\"");
    up(
        r#"{"type":"heartbeat","uptime_s":3600,"heap_free":120000,"rssi":-61,"boot_reason":"power_on"}"#,
        &Up::Heartbeat(Heartbeat {
            id: None,
            uptime_s: 3600,
            heap_free: Some(120_000),
            rssi: Some(-61),
            boot_reason: Some("power_on".into()),
            sha256: None,
        }),
    );
    up(
        r#"{"type":"heartbeat","id":4,"uptime_s":60,"sha256":"00ff"}"#,
        &Up::Heartbeat(Heartbeat {
            id: Some(4),
            uptime_s: 60,
            sha256: Some("00ff".into()),
            ..Heartbeat::default()
        }),
    );
    up(
        r#"{"type":"command_result","id":"c-1","ok":true,"result":{"ms":12}}"#,
        &Up::CommandResult(CommandResult {
            id: "c-1".into(),
            ok: true,
            result: Some(json(r#"{"ms":12}"#)),
            error: None,
        }),
    );
    up(
        r#"{"type":"command_result","id":"c-2","ok":false,"error":"the pump is dry"}"#,
        &Up::CommandResult(CommandResult {
            id: "c-2".into(),
            ok: false,
            result: None,
            error: Some("the pump is dry".into()),
        }),
    );
    up(r#"{"type":"ping"}"#, &Up::Ping);
}

#[test]
fn frames_from_the_server() {
    down(
        r#"{"type":"welcome","device_id":"65a1f0c2b3d4e5f601234567","time":1763683200000,"heartbeat_s":30}"#,
        &Down::Welcome {
            device_id: "65a1f0c2b3d4e5f601234567".into(),
            time: 1_763_683_200_000,
            heartbeat_s: 30,
        },
    );
    down(r#"{"type":"ack","id":7}"#, &Down::Ack { id: 7 });
    down(
        r#"{"type":"error","id":7,"code":"unavailable","detail":"the disk is full","retry_after_ms":5000}"#,
        &Down::Error {
            id: Some(7),
            code: "unavailable".into(),
            detail: "the disk is full".into(),
            retry_after_ms: Some(5000),
        },
    );
    let state = r#"{"relay1":{"value":true,"version":4}}"#;
    down(
        &format!(r#"{{"type":"desired","state":{state}}}"#),
        &Down::Desired {
            state: StateMap::check(json(state)).unwrap(),
        },
    );
    down(
        r#"{"type":"command","id":"c-1","name":"identify","params":{"seconds":5},"expires_at":1763683260000}"#,
        &Down::Command(Command {
            id: "c-1".into(),
            name: "identify".into(),
            params: json(r#"{"seconds":5}"#),
            expires_at: 1_763_683_260_000,
        }),
    );
    down(r#"{"type":"pong"}"#, &Down::Pong { time: None });
    down(
        r#"{"type":"pong","time":1763683200000}"#,
        &Down::Pong {
            time: Some(1_763_683_200_000),
        },
    );
    down(r#"{"type":"update"}"#, &Down::Update);
}

#[test]
fn http_bodies() {
    let body =
        r#"{"device_token":"0f3a","data":{"v0":1},"reported":{"v0":{"value":1,"version":3}}}"#;
    let post = TelemetryPost::parse(body).unwrap();
    assert_eq!(post.reported.unwrap().iter().next().unwrap().version, 3);
    let mut out = String::new();
    post.write(&mut out).unwrap();
    assert_eq!(out, body);
    let body = r#"{"device_token":"0f3a","firmware":{"version":"1.0.0","sha256":"00ff","trial":true},"chip":"esp32c3","board":"weather","expected_interval_s":60,"boots":7,"uptime_s":3600,"heap_free":120000,"rssi":-61,"boot_reason":"panic"}"#;
    let post = HeartbeatPost::parse(body).unwrap();
    assert_eq!(post.hello.boot_reason, post.heartbeat.boot_reason);
    let mut out = String::new();
    post.write(&mut out).unwrap();
    assert_eq!(out, body);
    assert!(HeartbeatPost::parse(r#"{"chip":"esp32c3"}"#).is_err());

    let latest =
        Latest::parse(r#"{"device_id":"x","data":{"v0":1},"desired":{},"timestamp":null}"#)
            .unwrap();
    assert_eq!((latest.data.as_str(), latest.time), (r#"{"v0":1}"#, None));

    let body = r#"{"commands":[{"id":"c-1","name":"identify","params":{},"expires_at":5}]}"#;
    let mut out = String::new();
    PendingCommands::write(PendingCommands::parse(body).unwrap().iter(), &mut out).unwrap();
    assert_eq!(out, body);

    let body = r#"{"ok":false,"error":"no such pin"}"#;
    let mut out = String::new();
    ResultPost::parse(body).unwrap().write(&mut out).unwrap();
    assert_eq!(out, body);
}

#[test]
fn app_messages() {
    let text = r#"{"type":"status_update","device_id":"d1","status":"online","timestamp":"2026-01-01T00:00:00Z"}"#;
    let message: ServerMessage = serde_json::from_str(text).unwrap();
    assert!(matches!(
        message,
        ServerMessage::StatusUpdate {
            status: Presence::Online,
            ..
        }
    ));
    assert_eq!(serde_json::to_string(&message).unwrap(), text);

    let text = r#"{"type":"desired_update","device_id":"d1","key":"v0","value":1,"version":2,"reported_version":1,"state":"pending"}"#;
    let message: ServerMessage = serde_json::from_str(text).unwrap();
    assert!(matches!(
        message,
        ServerMessage::DesiredUpdate {
            state: DesiredProgress::Pending,
            ..
        }
    ));
    assert_eq!(serde_json::to_string(&message).unwrap(), text);

    let auth: ClientMessage = serde_json::from_str(r#"{"type":"auth","token":"s3cret"}"#).unwrap();
    assert!(!format!("{auth:?}").contains("s3cret"));
}

#[test]
fn unknown_fields_are_ignored_and_null_is_absent() {
    let frame = r#" { "id" : 3.0 , "future":[{}], "ts":null, "data" : {} , "type":"telemetry" } "#;
    assert_eq!(
        Up::parse(frame),
        Ok(Up::Telemetry {
            id: 3,
            telemetry: Telemetry::Now {
                ts: None,
                data: json("{}")
            }
        })
    );
}

#[test]
fn what_is_refused_and_how_it_says_so() {
    let says = |frame: &str| Up::parse(frame).unwrap_err().to_string();
    assert_eq!(
        says(r#"{"type":"telemetry","id":1}"#),
        "the field \"data\" is missing"
    );
    assert_eq!(
        says(r#"{"type":"telemetry","id":-1,"data":{}}"#),
        "the field \"id\" must be a whole number in range"
    );
    assert_eq!(
        says(r#"{"type":"telemetry","id":1,"id":2,"data":{}}"#),
        "the field \"id\" stands twice"
    );
    assert_eq!(
        says(r#"{"type":"telemetry","id":1,"data":[]}"#),
        "the field \"data\" must be an object"
    );
    assert_eq!(
        says(r#"{"type":"fly"}"#),
        "the message has an unknown \"type\""
    );
    assert_eq!(says("[]"), "a message must be a JSON object");
    assert_eq!(
        says(r#"{"type":"ping""#),
        "not valid JSON at byte 14: the text ends inside a value"
    );
    assert_eq!(
        Up::peek_id(r#"{"type":"telemetry","id":12,"data":3}"#),
        Some(12)
    );
    let deep = format!(
        r#"{{"type":"telemetry","id":1,"data":{{"a":{}1{}}}}}"#,
        "[".repeat(60),
        "]".repeat(60)
    );
    assert!(says(&deep).ends_with("the value nests too deep"));
}

#[test]
fn secrets_stay_hidden_and_escapes_are_decoded() {
    let frame = r#"{"type":"hello","token":"s3cret","board":"caf\u00e9 \ud83c\udf31 \"x\"\n"}"#;
    let Ok(Up::Hello(hello)) = Up::parse(frame) else {
        panic!()
    };
    assert!(!format!("{hello:?}").contains("s3cret"));
    assert_eq!(hello.board.unwrap(), "café 🌱 \"x\"\n");
    assert_eq!(Text::new("a\"b\\\u{1}").to_string(), "a\"b\\\u{1}");
    assert_eq!(
        Up::parse(r#"{"type":"\ud83c"}"#).map_err(|e| matches!(e, WireError::Json(_))),
        Err(true)
    );
}

#[test]
fn bodies_of_the_update_routes() {
    use espalier_wire::ota::{Offer, Report, Stage};
    let text = r#"{"update":"0190d3c0-0000-7000-8000-000000000000","attempt":1,"sha256":"ab","size":729568,"version":"1.2.0","manifest":"espalier-firmware-manifest-v1\n","patch_size":57955,"confirm_within_s":300}"#;
    let offer = Offer::parse(text).unwrap();
    assert_eq!((offer.attempt, offer.size), (1, 729_568));
    assert_eq!(offer.patch_size, Some(57_955));
    let mut written = String::new();
    offer.write(&mut written).unwrap();
    assert_eq!(written, text);
    let text =
        r#"{"attempt":2,"stage":"rolled_back","patch":true,"running":"cd","reason":"no_server"}"#;
    let report = Report::parse(text).unwrap();
    assert_eq!((report.stage, report.patch), (Stage::RolledBack, true));
    let mut written = String::new();
    report.write(&mut written).unwrap();
    assert_eq!(written, text);
    assert!(Report::parse(r#"{"attempt":1,"stage":"finished"}"#).is_err());
}
