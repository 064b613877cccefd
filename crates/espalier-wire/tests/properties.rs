//! Property tests: what is written is parsed back, what serde_json refuses we refuse, and no text panics.

use espalier_wire::device::{
    Command, CommandResult, Down, Firmware, Heartbeat, Hello, StateMap, Telemetry, Up, write_state,
};
use espalier_wire::http::{HeartbeatPost, Latest, PendingCommands, TelemetryPost};
use espalier_wire::json::{Json, Text, Value, write_object};
use espalier_wire::limits::{MAX_EXACT_INTEGER, check_key};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e12..1e12).prop_map(|x: f64| x.into()),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Into::into),
            vec((any::<String>(), inner), 0..5)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = String> {
    vec(("[a-z]{1,8}", any_json()), 0..5)
        .prop_map(|m| serde_json::Value::Object(m.into_iter().collect()).to_string())
}

proptest! {
    #[test]
    fn json_agrees_with_serde(text in any_json().prop_map(|v| v.to_string())) {
        let ours = Json::parse(&text).unwrap();
        prop_assert_eq!(ours.as_str(), &text);
        let theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
        match theirs {
            serde_json::Value::Object(map) => {
                prop_assert_eq!(ours.members().unwrap().count(), map.len());
                for (name, value) in ours.members().unwrap() {
                    let name = name.to_cow();
                    let want = map.get(&*name).unwrap();
                    let got: serde_json::Value = serde_json::from_str(value.as_str()).unwrap();
                    prop_assert_eq!(&got, want);
                }
            }
            serde_json::Value::Array(list) => prop_assert_eq!(ours.elements().unwrap().count(), list.len()),
            serde_json::Value::String(s) => prop_assert_eq!(ours.as_text().unwrap(), s.as_str()),
            _ => {}
        }
    }

    #[test]
    fn mutated_json_is_judged_as_serde_judges_it(text in object(), at in any::<prop::sample::Index>(), with in "[\\[\\]{}\",:0-9eE.+\\-\\\\a-z \u{1}]") {
        let mut chars: Vec<char> = text.chars().collect();
        let i = at.index(chars.len());
        chars[i] = with.chars().next().unwrap();
        let text: String = chars.into_iter().collect();
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok()
            && serde_json::from_str::<serde_json::Value>(&text).is_ok();
        // A number that overflows a float is valid JSON; serde refuses it only when it builds the value.
        if theirs {
            prop_assert!(Json::parse(&text).is_ok(), "{}", text);
        } else if Json::parse(&text).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).unwrap_err().to_string().contains("out of range"), "{}", text);
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>(), frame in "[\\[\\]{}\",:0-9eE.+\\\\a-z ]{0,60}") {
        for t in [&text, &frame] {
            let _ = (Up::parse(t), Down::parse(t), TelemetryPost::parse(t), Latest::parse(t), PendingCommands::parse(t), HeartbeatPost::parse(t), Up::peek_id(t));
        }
    }

    #[test]
    fn texts_survive(s in any::<String>()) {
        let mut out = String::new();
        Text::new(&s).write_json(&mut out).unwrap();
        prop_assert_eq!(&serde_json::from_str::<String>(&out).unwrap(), &s);
        let back = Json::parse(&out).unwrap().as_text().unwrap();
        prop_assert_eq!(back, s.as_str());
        prop_assert_eq!(back.to_cow(), s.as_str());
        prop_assert_eq!(back.len(), s.len());
    }

    #[test]
    fn numbers_survive(i in -MAX_EXACT_INTEGER..=MAX_EXACT_INTEGER, x in any::<f64>()) {
        let mut out = String::new();
        let wrote = write_object(&mut out, [("i", Value::Int(i)), ("x", Value::Float(x))]);
        prop_assert_eq!(wrote.is_ok(), x.is_finite());
        if x.is_finite() {
            let values: Vec<_> = Json::parse(&out).unwrap().members().unwrap().collect();
            prop_assert_eq!(values[0].1.as_i64(), Some(i));
            prop_assert_eq!(values[1].1.as_f64(), Some(x));
        }
    }

    #[test]
    fn up_frames_survive(
        id in any::<u32>(), ts in option::of(0..MAX_EXACT_INTEGER), data in object(), text in any::<String>(),
        more in option::of(any::<String>()), n in option::of(any::<u32>()), rssi in option::of(-120..0i32),
        uptime in 0..(1u64 << 53), ok in any::<bool>(), result in option::of(object()),
        state in vec(("[a-z0-9]{1,6}", any::<f64>().prop_filter("finite", |x| x.is_finite()), 0..(1u64 << 53)), 0..4),
    ) {
        let more = more.as_deref().map(Text::new);
        let json = Json::parse(&data).unwrap();
        let mut map = String::new();
        write_state(&mut map, state.iter().map(|(k, v, n)| (k.as_str(), Value::Float(*v), *n))).unwrap();
        let map = StateMap::check(Json::parse(&map).unwrap()).unwrap();
        prop_assert_eq!(map.iter().map(|e| e.version).collect::<Vec<_>>(), state.iter().map(|s| s.2).collect::<Vec<_>>());
        let firmware = more.map(|version| Firmware { version, sha256: None, trial: false });
        let frames = [
            Up::Hello(Hello { token: more.map(espalier_wire::json::Secret::new), proto: id, firmware, chip: more, board: Some(Text::new(&text)), expected_interval_s: n, boot_reason: more, boots: n }),
            Up::Telemetry { id, telemetry: Telemetry::Now { ts, data: json } },
            Up::Reported { id, state: map },
            Up::Heartbeat(Heartbeat { id: n, uptime_s: uptime, heap_free: n, rssi, boot_reason: more, sha256: more }),
            Up::CommandResult(CommandResult { id: Text::new(&text), ok, result: result.as_deref().map(|r| Json::parse(r).unwrap()), error: more }),
        ];
        for frame in frames {
            let written = frame.to_json();
            prop_assert_eq!(Up::parse(&written), Ok(frame));
        }
    }

    #[test]
    fn down_frames_survive(id in any::<u32>(), opt in option::of(any::<u32>()), text in any::<String>(), time in 0..MAX_EXACT_INTEGER, params in object()) {
        let t = Text::new(&text);
        let frames = [
            Down::Welcome { device_id: t, time, heartbeat_s: id },
            Down::Ack { id },
            Down::Pong { time: opt.map(i64::from) },
            Down::Error { id: opt, code: t, detail: t, retry_after_ms: opt },
            Down::Command(Command { id: t, name: t, params: Json::parse(&params).unwrap(), expires_at: time }),
        ];
        for frame in frames {
            let written = frame.to_json();
            prop_assert_eq!(Down::parse(&written), Ok(frame));
        }
    }

    #[test]
    fn keys_are_printable(key in "\\PC{0,140}") {
        let fine = (1..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-/ ".contains(&b));
        prop_assert_eq!(check_key(&key).is_ok(), fine);
    }
}
