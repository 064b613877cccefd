//! What a board's driver reads from a server that may be anybody: certificates, WebSocket frames, heads, bodies and dates of HTTP.
//! Everything that comes in pieces must mean the same whatever the pieces are.

use std::time::{Duration, UNIX_EPOCH};

use espalier_board::fuzz;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::{Target, Verdict, texts};

pub const DER: Target = Target {
    name: "board_der",
    run: der,
    seeds: certificates,
    words: &[
        b"\x30\x00",
        b"\x30\x80",
        b"\x30\x81\x80",
        b"\x30\x82\x01\x00",
        b"\x30\x83\x01\x00\x00",
        b"\x1f\x81\x00",
        b"\x05\x00",
    ],
};

pub const CERTIFICATE: Target = Target {
    name: "board_certificate",
    run: certificate,
    seeds: certificates,
    words: &[
        b"\x01\x01\xff",
        b"\x55\x1d\x13",
        b"\x55\x1d\x0f",
        b"\x55\x1d\x11",
        b"\x55\x1d\x25",
        b"\x17\x0d491231235960Z",
        b"\x18\x0f20500101000000Z",
        b"\x87\x04\x0a\x00\x00\x01",
        b"\x03\x02\x01\x06",
    ],
};

pub const FRAMES: Target = Target {
    name: "board_frames",
    run: frames,
    seeds: || {
        let long = [&b"\x81\x7e\x00\xc8"[..], &[b'x'; 200]].concat();
        vec![
            b"\x81\x05hello".to_vec(),
            b"\x01\x02he\x89\x06alive?\x80\x03llo\x88\x02\x03\xe8".to_vec(),
            b"\x82\x03bin\x81\x02{}".to_vec(),
            [&long[..], b"\x8a\x00\x81\x00"].concat(),
            b"\x81\x7f\0\0\0\0\0\0\0\x03abc".to_vec(),
        ]
    },
    words: &[
        b"\x81\x7e\x01\xff",
        b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x89\x7d",
        b"\x00\x00",
        b"\x80\x00",
        b"\x01\x7e\x01\xf0",
        b"\x81\x80\x01\x02\x03\x04",
    ],
};

pub const HEAD: Target = Target {
    name: "board_http_head",
    run: head,
    seeds: || {
        texts(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nhello",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nETag: \"a\"\r\n\r\n4\r\nWiki\r\n0\r\n\r\n",
            "HTTP/1.0 503 No\r\nRetry-After: 120\r\n\r\nuntil the end",
            "HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x01\x02{}",
        ])
    },
    words: &[
        b"HTTP/1.1 103 Early\r\n\r\n",
        b"Content-Length: 18446744073709551615\r\n",
        b"Content-Length: 18446744073709551616\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Retry-After: 4294967296\r\n",
        b"\r\n\r\n",
        b"\n",
        b": ",
    ],
};

pub const BODY: Target = Target {
    name: "board_http_body",
    run: body,
    seeds: || {
        texts(&[
            "C4\r\nWiki\r\n5;name=x\r\npedia\r\n0\r\nTrailer: yes\r\n\r\nrest",
            "C0\r\n\r\n",
            "CA \r\n0123456789\r\n00000000000000\r\n\r\n",
            "L\x05hello",
            "Ehello",
        ])
    },
    words: &[
        b"fffffffffffffff\r\n",
        b"ffffffffffffffff\r\n",
        b"\r\n0\r\n\r\n",
        b"\r\n",
        b"1;",
        b"\r\r\r",
        b"00",
    ],
};

pub const DATE: Target = Target {
    name: "board_http_date",
    run: date,
    seeds: || {
        texts(&[
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Tue, 29 Feb 2028 23:59:60 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ])
    },
    words: &[b"29 Feb 2100", b"0000", b"24:00:00", b"GMT", b", ", b"-1"],
};

fn certificates() -> Vec<Vec<u8>> {
    [
        &include_bytes!("../../crates/espalier-board/tests/data/authority.der")[..],
        include_bytes!("../../crates/espalier-board/tests/data/intermediate.der"),
        include_bytes!("../../crates/espalier-board/tests/data/server.der"),
    ]
    .map(<[u8]>::to_vec)
    .into()
}

/// The only way to write a value.
fn write(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("longer values are not read");
    let [high, low] = length.to_be_bytes();
    let mut out = match length {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    out.extend(content);
    out
}

/// Reads values and what is inside of them, and writes them again.
fn walk(bytes: &[u8], depth: usize) -> bool {
    let mut again = Vec::new();
    let complete = fuzz::der(bytes, |tag, content, whole| {
        assert_eq!(write(tag, content), whole);
        again.extend(whole);
        if tag & 0x20 != 0 && depth < 64 {
            walk(content, depth + 1);
        }
    });
    assert!(bytes.starts_with(&again), "values follow one another");
    assert_eq!(complete, again.len() == bytes.len());
    complete && !bytes.is_empty()
}

fn der(bytes: &[u8]) -> Verdict {
    verdict(walk(bytes, 0))
}

fn verdict(accepted: bool) -> Verdict {
    if accepted {
        Verdict::Accepted
    } else {
        Verdict::Refused
    }
}

fn certificate(bytes: &[u8]) -> Verdict {
    let Some(ours) = fuzz::certificate(bytes) else {
        return Verdict::Refused;
    };
    assert_eq!(ours.whole, bytes);
    assert!(walk(bytes, 0));
    let (may_sign, _) = ours.may;
    assert!(ours.is_authority || !may_sign);
    // What a second reader makes of it, when it takes it at all: it looks closer at parts that a board does not need.
    let Ok((rest, theirs)) = X509Certificate::from_der(bytes) else {
        return Verdict::Accepted;
    };
    assert!(rest.is_empty());
    // It stops at what is malformed inside of names and of unknown keys, which are only compared here as they are.
    assert!(ours.issuer.starts_with(theirs.issuer().as_raw()));
    assert!(ours.subject.starts_with(theirs.subject().as_raw()));
    assert!(ours.key_info.starts_with(theirs.public_key().raw));
    assert!(!ours.has_key || ours.key_info == theirs.public_key().raw);
    let seconds = |at: i64| u64::try_from(at).unwrap_or(0);
    let validity = theirs.validity();
    assert_eq!(ours.valid.0, seconds(validity.not_before.timestamp()));
    assert_eq!(ours.valid.1, seconds(validity.not_after.timestamp()));
    if let (Ok(limits), Ok(usage), Ok(extended)) = (
        theirs.basic_constraints(),
        theirs.key_usage(),
        theirs.extended_key_usage(),
    ) {
        assert_eq!(
            ours.is_authority,
            limits.as_ref().is_some_and(|l| l.value.ca)
        );
        let length = limits.and_then(|l| l.value.path_len_constraint);
        assert_eq!(ours.path_length.map(u32::from), length.map(|l| l.min(255)));
        let signs = usage.as_ref().is_none_or(|u| u.value.key_cert_sign());
        let serves = usage.is_none_or(|u| u.value.digital_signature());
        let servers = extended.is_none_or(|e| e.value.server_auth);
        let may = (ours.is_authority && signs && servers, serves && servers);
        assert_eq!(ours.may, may);
    }
    if let (Some(names), Ok(Some(theirs))) = (ours.names, theirs.subject_alternative_name()) {
        let theirs = &theirs.value.general_names;
        let named = |wanted: &str| {
            let is = |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(dns) if dns.eq_ignore_ascii_case(wanted));
            theirs.iter().any(is)
        };
        let addressed = |wanted: &[u8]| {
            let is = |name: &GeneralName<'_>| matches!(name, GeneralName::IPAddress(bytes) if *bytes == wanted);
            theirs.iter().any(is)
        };
        // Nobody is believed to be another one than a second reader sees.
        let us = |host| fuzz::is_named(names, host);
        assert!(!us("farm.example") || named("farm.example"));
        assert!(!us("b.farm.example") || named("*.farm.example") || named("b.farm.example"));
        assert!(!us("10.0.0.1") || addressed(&[10, 0, 0, 1]));
        let six = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert!(!us("[fd00::1]") || addressed(&six));
        assert!(!us(""));
    }
    Verdict::Accepted
}

/// Everything that comes out of frames, or how many things until they broke the rules.
fn arrive(bytes: &[u8], piece: usize) -> Result<Vec<(char, Vec<u8>)>, usize> {
    let (mut room, mut all) = ([0; 512], Vec::new());
    let done = fuzz::frames(bytes, piece, &mut room, |letter, payload| {
        all.push((letter, payload.to_vec()));
    });
    match done {
        Ok(()) => Ok(all),
        Err(_) => Err(all.len()),
    }
}

fn frames(bytes: &[u8]) -> Verdict {
    let whole = arrive(bytes, bytes.len());
    for piece in [1, 7, 100] {
        assert_eq!(whole, arrive(bytes, piece), "in pieces of {piece}");
    }
    let Ok(all) = whole else {
        return Verdict::Refused;
    };
    for (letter, payload) in &all {
        assert!(payload.len() <= if *letter == 'T' { 510 } else { 125 });
        let first = match letter {
            'T' => 0x81,
            'C' => 0x88,
            'P' => 0x89,
            'L' => continue,
            _ => 0x8a,
        };
        let mut again = vec![first];
        match u8::try_from(payload.len()) {
            Ok(short @ 0..126) => again.push(short),
            _ => {
                again.push(126);
                again.extend((payload.len() as u16).to_be_bytes());
            }
        }
        again.extend(payload);
        if again.len() <= 512 {
            assert_eq!(arrive(&again, 3), Ok(vec![(*letter, payload.clone())]));
        }
    }
    verdict(!all.is_empty())
}

fn head(bytes: &[u8]) -> Verdict {
    let mut buffer = bytes.to_vec();
    let Some((answer, rest)) = fuzz::answer(&mut buffer) else {
        return Verdict::Refused;
    };
    assert!(!matches!(answer.status, 100 | 102..=199));
    assert!(bytes.ends_with(rest));
    let mut again = format!("HTTP/1.1 {:03} Again\r\n", answer.status);
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            again += &format!("{name}: {value}\r\n");
        }
    };
    let (kind, length) = answer.framing;
    line("content-length", (kind == 'L').then(|| length.to_string()));
    line("transfer-encoding", (kind == 'C').then(|| "chunked".into()));
    line("retry-after", answer.retry_after_s.map(|s| s.to_string()));
    line("etag", answer.etag.map(str::to_owned));
    line(
        "sec-websocket-accept",
        answer.socket_accept.map(str::to_owned),
    );
    again += "\r\n";
    let mut again = [again.as_bytes(), rest].concat();
    let mut answer = answer;
    answer.date = None;
    assert_eq!(fuzz::answer(&mut again), Some((answer, rest)));
    unwrap_all(answer.framing, rest);
    Verdict::Accepted
}

/// What is in a body and whether it is whole, which must not depend on how it arrives.
fn unwrap_all(framing: (char, u64), bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
    let unwrap = |piece: usize| {
        let mut content = Vec::new();
        let mut bytes = bytes.to_vec();
        let whole = fuzz::body(framing, &mut bytes, piece, |part| content.extend(part));
        whole.ok().map(|whole| (content, whole))
    };
    let whole = unwrap(bytes.len());
    for piece in [1, 7] {
        assert_eq!(whole, unwrap(piece), "in pieces of {piece}");
    }
    whole
}

fn body(bytes: &[u8]) -> Verdict {
    let (framing, bytes) = match bytes {
        [b'L', length, rest @ ..] => (('L', u64::from(*length)), rest),
        [b'C', rest @ ..] => (('C', 0), rest),
        [b'E', rest @ ..] => (('E', 0), rest),
        _ => return Verdict::Refused,
    };
    let Some((content, whole)) = unwrap_all(framing, bytes) else {
        return Verdict::Refused;
    };
    assert!(content.len() <= bytes.len());
    match framing {
        ('L', length) => assert_eq!(content.len() as u64, length.min(bytes.len() as u64)),
        ('E', _) => assert_eq!(content, bytes),
        _ => {
            let mut again = Vec::new();
            for chunk in content.chunks(5) {
                again.extend(format!("{:x}\r\n", chunk.len()).bytes());
                again.extend(chunk);
                again.extend(b"\r\n");
            }
            again.extend(b"0\r\n\r\n");
            assert_eq!(unwrap_all(framing, &again), Some((content, true)));
        }
    }
    verdict(whole || framing.0 == 'E')
}

fn date(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    let Some(ms) = fuzz::date(text) else {
        return Verdict::Refused;
    };
    assert_eq!(ms % 1000, 0);
    // The year 0 to the first second of 10000.
    assert!((-62_167_219_200_000..=253_402_300_800_000).contains(&ms));
    if let Ok(theirs) = httpdate::parse_http_date(text) {
        let theirs = theirs.duration_since(UNIX_EPOCH).expect("after 1970");
        assert_eq!(u128::try_from(ms), Ok(theirs.as_millis()));
    }
    if let Ok(since) = u64::try_from(ms)
        && since < 253_402_300_800_000
    {
        let again = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(since));
        assert_eq!(fuzz::date(&again), Some(ms));
    }
    Verdict::Accepted
}
