//! The captive portal: its routes, its form, what it escapes, and requests that mean no good.

use espalier_device::setup::portal::{
    MAX_BODY, MAX_HEAD, Method, REQUEST_TIMEOUT_MS, Refusal, Request,
};
use espalier_device::setup::{Facts, Input, RESTART_AFTER_MS};
use espalier_wire::json::Json;
use proptest::prelude::*;

use crate::bench::{Bench, HOSTILE, records, seen};

const SET: &str = r#"{"v":1,"name":"Kit\"chen<","server":"http://old:8000","device":"dev1","token":"t0ken-secret","networks":[{"ssid":"Home","password":"wifi-secret"}],"portal":"portal-secret"}"#;

fn body(answer: &str) -> &str {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head.split("Content-Length: ").nth(1).unwrap();
    let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
    assert_eq!(body.len(), length, "{head}");
    body
}

fn status(answer: &str) -> u16 {
    let line = answer.split("\r\n").next().unwrap();
    line.strip_prefix("HTTP/1.1 ").unwrap()[..3]
        .parse()
        .unwrap()
}

#[test]
fn the_page_comes_in_pieces_of_any_size() {
    let mut bench = Bench::set(SET);
    bench.step(Input::Scanned(&seen()));
    let request = "GET / HTTP/1.1\r\nHost: 192.168.4.1\r\n\r\n";
    let whole = bench.ask_in_pieces(request, 20_000);
    assert_eq!(status(&whole), 200);
    let page = body(&whole);
    assert!(page.len() < 9_500, "{} bytes", page.len());
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    for size in [1, 7, 64, 512, 1460] {
        assert_eq!(bench.ask_in_pieces(request, size), whole);
    }
    assert_eq!((bench.used, bench.scans), (1 + 5, 0));
    let head = bench.ask("HEAD / HTTP/1.1\r\nHost: 192.168.4.1\r\n\r\n");
    assert_eq!(
        head,
        format!("{}\r\n\r\n", whole.split_once("\r\n\r\n").unwrap().0)
    );
}

#[test]
fn what_comes_from_elsewhere_is_escaped_and_secrets_stay() {
    let mut bench = Bench::set(SET);
    bench.step(Input::Scanned(&seen()));
    let page = bench.get("/");
    assert!(page.contains("value=\"Kit&quot;chen&lt;\""));
    assert!(!page.contains(HOSTILE) && !page.contains("<script>alert"));
    assert!(page.contains(
        "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp; (open) (weak)</option>"
    ));
    // The strongest first, each name once, none without a name.
    let order = ["Café", "Garden", "&lt;script&gt;", "Other network"];
    let at = order.map(|name| page.find(&format!("\">{name}")).unwrap());
    assert!(at.is_sorted(), "{at:?}");
    assert_eq!(page.matches("<option ").count(), 5, "with the saved one");
    assert!(!page.contains("secret"), "a secret is shown");
    assert!(page.contains("placeholder=\"saved\""));
    let networks = bench.get("/scan");
    let json = Json::parse(body(&networks)).unwrap();
    let all: Vec<_> = json.elements().unwrap().map(|e| e.to_string()).collect();
    assert_eq!(all[0], r#"{"ssid":"Café","rssi":-40,"encryption":3}"#);
    assert_eq!(all.len(), 3);
    let hostile = json
        .elements()
        .unwrap()
        .nth(2)
        .unwrap()
        .members()
        .unwrap()
        .next()
        .unwrap();
    assert!(hostile.1.as_text().unwrap() == HOSTILE);
}

#[test]
fn a_form_is_stored_before_the_answer_and_the_board_restarts() {
    let mut bench = Bench::new();
    let answer = bench.submit(
        "device_name=Kitchen+%E2%98%80&occupation=Cook&wifi_ssid=Home%26Garden&custom_wifi_ssid=&wifi_password=p%40ss+word&\
         server_url=http%3A%2F%2Ffarm%3A8000&device_id=dev1&device_token=abc&ota_username=u&ota_password=p&prefs=jokes",
    );
    assert_eq!(status(&answer), 200);
    assert!(
        body(&answer).contains("joins Home&amp;Garden. "),
        "{answer}"
    );
    assert!(!answer.contains("no device id"));
    let stored = bench.stored();
    assert_eq!(
        (stored.name(), stored.server()),
        ("Kitchen ☀", "http://farm:8000")
    );
    assert_eq!((stored.device(), stored.token()), ("dev1", "abc"));
    let network = &stored.networks()[0];
    assert_eq!(
        (network.ssid(), network.password()),
        ("Home&Garden", "p@ss word")
    );
    assert_eq!((bench.changes, bench.restarts), (1, 0));
    bench.wait(RESTART_AFTER_MS);
    assert_eq!(bench.restarts, 1);
}

#[test]
fn a_pin_and_a_signing_key_are_taken_and_shown_again() {
    let (pin, key) = (
        "ab".repeat(32),
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    );
    let mut bench = Bench::new();
    let form = format!("server_url=https://farm&server_pin={pin}&signing_key={key}");
    let page = bench.submit(&form);
    assert_eq!(status(&page), 400, "no network yet");
    assert!(page.contains(&format!("value=\"{pin}\"")) && page.contains(key));
    let answer = bench.submit(&format!("{form}&wifi_ssid=a&wifi_password=password"));
    assert_eq!(status(&answer), 200);
    let stored = bench.stored();
    assert_eq!((stored.pins(), stored.keys().len()), (&[[0xab; 32]][..], 1));
    // What is left empty stays.
    let mut bench = Bench::with(bench.nor);
    assert_eq!(bench.get("/").matches("placeholder=\"saved\"").count(), 2);
    assert_eq!(status(&bench.submit("server_pin=&signing_key=")), 200);
    assert_eq!(bench.stored().pins().len(), 1);
}

#[test]
fn the_page_says_why_the_server_is_not_reached() {
    let mut bench = Bench::set(SET);
    let facts = |online, why| {
        Input::Facts(Facts {
            address: Some([10, 0, 0, 2]),
            online,
            trouble: Some(why),
            ..Facts::default()
        })
    };
    bench.step(facts(false, "<b>&"));
    let page = bench.get("/");
    let told = "role=\"status\">The board is in its Wi-Fi and does not reach its server: &lt;b&gt;&amp;.</div>";
    assert!(page.contains(told), "{page}");
    // A page that is being sent stays what it was.
    let mut request = Request::default();
    request.feed(bench.now, b"GET / HTTP/1.1\r\n\r\n");
    let answer = bench
        .setup
        .http(bench.now, &request, &mut records(&bench.nor));
    bench.step(facts(true, "<b>&"));
    assert!(bench.sent(&answer, 512).contains(told));
    assert!(!bench.get("/").contains("does not reach"));
}

#[test]
fn the_fields_of_older_forms_are_enough() {
    let mut bench = Bench::new();
    let answer = bench.submit(
        "device_name=Desk&occupation=Student&custom_wifi_ssid=Hidden&wifi_ssid=custom&wifi_password=&server_url=http://192.168.1.5:5000",
    );
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("no device id and token yet"));
    assert!(bench.stored().network("Hidden").unwrap().is_open());
    assert_eq!(bench.stored().networks().len(), 1);
}

#[test]
fn what_is_wrong_is_said_in_one_sentence_and_what_was_entered_stays() {
    let long = "x".repeat(200);
    for (form, sentence) in [
        (
            "server_url=http://h&wifi_ssid=&custom_wifi_ssid=",
            "Choose a Wi-Fi network or enter its name.",
        ),
        (
            "wifi_ssid=a",
            "The server must be given, like http://192.168.1.10:8000.",
        ),
        (
            "wifi_ssid=a&server_url=farm",
            "The server must look like http://host:8000 or https://host.",
        ),
        (
            "wifi_ssid=a&wifi_password=short&server_url=http://h",
            "The Wi-Fi password must be empty for an open network, or have 8 to 63 characters, or be a key of 64 hexadecimal digits.",
        ),
        (
            "wifi_ssid=Garden&server_url=http://h",
            "The Wi-Fi password must be given: this network is not open.",
        ),
        (
            &format!("wifi_ssid={long}&server_url=http://h"),
            "The name of the Wi-Fi must have 1 to 32 bytes.",
        ),
        (
            &format!("wifi_ssid=a&wifi_password={long}&server_url=http://h"),
            "The Wi-Fi password must have at most 64 characters.",
        ),
        (
            &format!("device_name={long}&wifi_ssid=a&server_url=http://h"),
            "The name of the board must be shorter.",
        ),
        (
            &format!(
                "device_name={}&wifi_ssid=a&server_url=http://h",
                &long[..65]
            ),
            "The name of the board must have at most 64 bytes and no control characters.",
        ),
        (
            "device_name=a%00b&wifi_ssid=a&server_url=http://h",
            "The name of the board must have at most 64 bytes and no control characters.",
        ),
        (
            "wifi_ssid=a&server_url=http://h&device_id=a/b",
            "The device id must be 1 to 64 letters, digits, _ or -.",
        ),
        (
            "wifi_ssid=a&server_url=http://h&device_token=a b",
            "The device token must be 1 to 128 printable characters without spaces.",
        ),
        (
            "wifi_ssid=a&server_url=https://h",
            "The pin of the server must be given for an https server, because the board believes nobody else: the SHA-256 of the \
             public key of its certificate, 64 hexadecimal digits (firmware/README.md has the command that prints it).",
        ),
        (
            "wifi_ssid=a&server_url=https://h&server_pin=12",
            "The pin of the server must be one or two SHA-256 of public keys, of 64 hexadecimal digits each.",
        ),
        (
            "wifi_ssid=a&server_url=http://h&signing_key=12",
            "The signing key must be at most 8 Ed25519 public keys of 64 hexadecimal digits.",
        ),
        (
            "wifi_ssid=%ff&server_url=http://h",
            "The name of the Wi-Fi must have 1 to 32 bytes.",
        ),
    ] {
        let mut bench = Bench::new();
        bench.step(Input::Scanned(&seen()));
        let answer = bench.submit(form);
        assert_eq!(status(&answer), 400, "{form}");
        let alert = answer
            .split("role=\"alert\">")
            .nth(1)
            .unwrap()
            .split("</div>")
            .next();
        assert_eq!(alert, Some(sentence), "{form}");
        assert_eq!(bench.changes, 0);
        bench.wait(60_000);
        assert_eq!(bench.restarts, 0);
    }
    let mut bench = Bench::new();
    let answer = bench.submit("device_name=A%22B&custom_wifi_ssid=Hid%3Cden&server_url=%22x&device_id=d&device_token=secret9&wifi_password=secret99");
    for kept in [
        "value=\"A&quot;B\"",
        "value=\"Hid&lt;den\"",
        "value=\"&quot;x\"",
        "value=\"d\"",
    ] {
        assert!(answer.contains(kept), "{kept}");
    }
    assert!(!answer.contains("secret9"));
}

#[test]
fn the_network_of_the_last_try_stays_chosen() {
    let mut bench = Bench::set(SET);
    bench.step(Input::Scanned(&seen()));
    let chosen = |page: &str| {
        let at = page.find(" selected>").unwrap();
        page[at + 10..].split('<').next().unwrap().to_owned()
    };
    assert_eq!(chosen(&bench.get("/")), "Home (saved)");
    let page = bench.submit("wifi_ssid=Garden&wifi_password=short");
    assert_eq!(chosen(&page), "Garden");
    let page = bench.submit("wifi_ssid=&custom_wifi_ssid=Hidden&wifi_password=short");
    assert_eq!(chosen(&page), "Other network…");
    assert!(page.contains("value=\"Hidden\""));
    assert_eq!(page.matches(" selected>").count(), 1);
    let page = bench.submit("wifi_ssid=Home&wifi_password=short");
    assert_eq!(chosen(&page), "Home (saved)");
}

#[test]
fn an_empty_password_keeps_the_saved_one_unless_the_network_is_open() {
    let mut bench = Bench::set(SET);
    let answer = bench.submit("device_name=&wifi_ssid=Home&wifi_password=&server_url=");
    assert_eq!(status(&answer), 200);
    let stored = bench.stored();
    assert_eq!(stored.network("Home").unwrap().password(), "wifi-secret");
    assert_eq!(
        (stored.name(), stored.server()),
        ("Kit\"chen<", "http://old:8000")
    );
    assert_eq!((stored.device(), stored.token()), ("dev1", "t0ken-secret"));
    let mut bench = Bench::set(SET);
    let open = espalier_device::setup::Seen {
        ssid: "Home",
        rssi: -50,
        encryption: 0,
    };
    bench.step(Input::Scanned(&[open]));
    bench.submit("wifi_ssid=Home&wifi_password=");
    assert!(bench.stored().network("Home").unwrap().is_open());
    // Only the server changes.
    let mut bench = Bench::set(SET);
    assert_eq!(status(&bench.submit("server_url=http://new")), 200);
    assert_eq!(bench.stored().networks().len(), 1);
}

#[test]
fn a_flash_that_refuses_is_told() {
    let mut bench = Bench::set(SET);
    bench.nor.cut_at(1, 5);
    let answer = bench.submit("wifi_ssid=Home&server_url=http://new");
    assert_eq!(status(&answer), 500);
    assert!(answer.contains("cannot write to its flash: nothing was saved."));
    bench.nor.power_on();
    assert_eq!(bench.stored().server(), "http://old:8000");
    bench.wait(60_000);
    assert_eq!((bench.restarts, bench.changes), (0, 0));
}

#[test]
fn everything_else_leads_to_the_page() {
    let mut bench = Bench::new();
    for path in [
        "/generate_204",
        "/gen_204",
        "/redirect",
        "/hotspot-detect.html",
        "/library/test/success.html",
        "/connecttest.txt",
        "/ncsi.txt",
        "/favicon.ico",
        "/submit",
        "/../../etc/passwd",
        "/index.html?x=1",
        "/%00",
    ] {
        let answer = bench.get(path);
        assert_eq!(status(&answer), 302, "{path}");
        assert!(answer.contains("\r\nLocation: http://192.168.4.1/\r\n"));
        assert_eq!(body(&answer), "");
    }
    for request in [
        "GET / HTTP/1.1\r\nHost: captive.apple.com\r\n\r\n",
        "GET http://www.example.com/ HTTP/1.0\r\n\r\n",
        "POST /submit HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\nContent-Length: 1\r\n\r\na",
        "POST /other HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        "GET /scan HTTP/1.1\r\nHost: a.b:80\r\n\r\n",
    ] {
        assert_eq!(status(&bench.ask(request)), 302, "{request}");
    }
    let far = format!(
        "GET /{} HTTP/1.1\r\nHost: 192.168.4.1\r\n\r\n",
        "a".repeat(4000)
    );
    assert_eq!(status(&bench.ask(&far)), 302);
    assert_eq!(bench.used, 0);
    for request in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\nHost: 192.168.4.1:80\n\n",
        "\r\nGET /?from=x HTTP/1.1\r\n\r\n",
        "GET http://192.168.4.1/ HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(status(&bench.ask(request)), 200, "{request}");
    }
    let delete = bench.ask("DELETE / HTTP/1.1\r\n\r\n");
    assert!(status(&delete) == 405 && delete.contains("\r\nAllow: GET, HEAD, POST\r\n"));
}

#[test]
fn a_page_from_elsewhere_cannot_send_the_form() {
    let form = "wifi_ssid=Evil&wifi_password=&server_url=http://evil";
    for origin in [
        "http://evil.example",
        "null",
        "https://192.168.4.1",
        "http://192.168.4.1.evil.example",
        "http://192.168.4.1:81",
    ] {
        let mut bench = Bench::set(SET);
        let answer = bench.ask(&format!(
            "POST /submit HTTP/1.1\r\nHost: 192.168.4.1\r\nOrigin: {origin}\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ));
        assert_eq!(status(&answer), 403, "{origin}");
        assert_eq!(bench.stored().server(), "http://old:8000");
    }
    let mut bench = Bench::set(SET);
    let plain = bench.ask(&format!(
        "POST /submit HTTP/1.0\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ));
    assert_eq!(status(&plain), 200);
    let json = bench.ask(
        "POST /submit HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    );
    assert_eq!(status(&json), 415);
}

#[test]
fn requests_that_mean_no_good_are_refused() {
    use Refusal::*;
    let big = MAX_BODY + 1;
    for (request, refusal) in [
        ("GET\r\n\r\n".to_owned(), Malformed),
        ("GET  / HTTP/1.1\r\n\r\n".to_owned(), Malformed),
        ("get / HTTP/1.1\r\n\r\n".to_owned(), Malformed),
        ("GET / HTTP/1.1 x\r\n\r\n".to_owned(), Malformed),
        ("GET / FTP/1.1\r\n\r\n".to_owned(), Malformed),
        ("GET / HTTP/2.0\r\n\r\n".to_owned(), Version),
        ("GET /\r\n\r\n".to_owned(), Malformed),
        ("GET /a\0b HTTP/1.1\r\n\r\n".to_owned(), Malformed),
        ("\x16\x03\x01\x02\0\x01\n\n".to_owned(), Malformed),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), Malformed),
        ("GET / HTTP/1.1\r\n: x\r\n\r\n".to_owned(), Malformed),
        (
            "GET / HTTP/1.1\r\nContent-Length : 1\r\n\r\n".to_owned(),
            Malformed,
        ),
        ("GET / HTTP/1.1\r\n folded: x\r\n\r\n".to_owned(), Malformed),
        (
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
            Malformed,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_owned(),
            Malformed,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n".to_owned(),
            Malformed,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n".to_owned(),
            Malformed,
        ),
        (
            format!("POST / HTTP/1.1\r\nContent-Length: {big}\r\n\r\n"),
            BodyTooLong,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n".to_owned(),
            BodyTooLong,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            Encoding,
        ),
        (
            format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(MAX_HEAD)),
            HeadTooLong,
        ),
        (
            format!("GET / HTTP/1.1\r\n{}", "X: a\r\n".repeat(MAX_HEAD)),
            HeadTooLong,
        ),
    ] {
        let mut reader = Request::default();
        assert!(reader.feed(0, request.as_bytes()), "{request}");
        assert_eq!(reader.refusal(), Some(refusal), "{request}");
        let mut bench = Bench::new();
        let answer = bench.ask(&request);
        assert_eq!(status(&answer), refusal.answer().0);
        assert_eq!(body(&answer), format!("{}\n", refusal.answer().1));
    }
}

#[test]
fn a_request_that_does_not_end_is_given_up() {
    let mut reader = Request::default();
    assert!(!reader.tick(5_000));
    assert!(!reader.feed(6_000, b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n12"));
    assert!(!reader.tick(5_000 + REQUEST_TIMEOUT_MS - 1));
    assert!(reader.feed(5_000 + REQUEST_TIMEOUT_MS, b"3"));
    assert_eq!(reader.refusal(), Some(Refusal::TimedOut));
}

#[test]
fn a_long_header_that_does_not_matter_is_passed_over() {
    let request = format!(
        "GET /scan?x HTTP/1.1\r\nCookie: {}\r\nHost: 192.168.4.1\r\n\r\n",
        "c".repeat(3000)
    );
    let mut reader = Request::default();
    assert!(reader.feed(0, request.as_bytes()));
    assert_eq!(
        (reader.method(), reader.path(), reader.refusal()),
        (Method::Get, "/scan", None)
    );
}

#[test]
fn scans_are_made_when_the_last_one_is_old() {
    let mut bench = Bench::new();
    bench.get("/");
    assert_eq!(bench.scans, 1);
    assert_eq!(body(&bench.get("/scan")), "[]");
    assert_eq!(bench.scans, 1, "one at a time");
    bench.step(Input::Scanned(&seen()));
    bench.get("/scan");
    assert_eq!(bench.scans, 1);
    bench.wait(10_000);
    bench.get("/scan");
    assert_eq!(bench.scans, 2);
    bench.step(Input::ScanFailed);
    assert_eq!(body(&bench.get("/scan")).matches("ssid").count(), 3);
    assert_eq!(bench.scans, 3);
}

#[test]
fn more_networks_than_there_is_room_for() {
    let names: Vec<String> = (0..40).map(|n| format!("net{n}")).collect();
    let all: Vec<_> = names
        .iter()
        .zip(0..)
        .map(|(ssid, n)| espalier_device::setup::Seen {
            ssid,
            rssi: -90 + (n * 7) % 40,
            encryption: 3,
        })
        .collect();
    let mut bench = Bench::new();
    bench.step(Input::Scanned(&all));
    let networks = bench.get("/scan");
    let strength: Vec<i64> = Json::parse(body(&networks))
        .unwrap()
        .elements()
        .unwrap()
        .map(|e| e.members().unwrap().nth(1).unwrap().1.as_i64().unwrap())
        .collect();
    let expected: Vec<i64> = (0..20).map(|n| -51 - n).collect();
    assert_eq!(strength, expected);
}

#[test]
fn a_page_that_is_being_sent_keeps_what_it_shows() {
    let mut bench = Bench::new();
    let mut reader = Request::default();
    reader.feed(0, b"GET / HTTP/1.1\r\n\r\n");
    let answer = bench
        .setup
        .http(bench.now, &reader, &mut records(&bench.nor));
    let whole = bench.sent(&answer, 1460);
    // Half of it is away when the scan ends that the page has begun, and the network is lost that the board was in.
    bench.step(Input::Scanned(&seen()));
    bench.step(Input::NotJoined {
        ssid: "Home",
        refused: true,
    });
    assert_eq!(bench.sent(&answer, 512), whole);
    body(&whole);
    let next = bench.get("/");
    assert!(next.contains("Café") && next.contains("Home refused the password"));
    // What a person changes is another page.
    bench.submit("server_url=nonsense");
    assert_eq!(bench.setup.answer(&answer, 100, &mut [0; 100]), None);
}

#[test]
fn a_time_zone_is_taken_from_the_form_and_shown_again() {
    let mut bench = Bench::set(SET);
    let form = |zone| format!("server_url=http%3A%2F%2Fold%3A8000&time_zone={zone}");
    assert_eq!(status(&bench.submit(&form("Berlin"))), 400);
    let page = bench.get("/");
    assert!(page.contains("The time zone must be a POSIX time zone"));
    assert!(page.contains("<details open>") && page.contains("value=\"Berlin\""));
    assert_eq!(bench.stored().tz(), "");
    let rule = "CET-1CEST,M3.5.0,M10.5.0/3";
    let answer = bench.submit(&form("CET-1CEST%2CM3.5.0%2CM10.5.0%2F3"));
    assert_eq!((status(&answer), bench.stored().tz()), (200, rule));
    // The script fills only a field that is empty, and an empty one keeps what is set.
    assert!(bench.get("/").contains(&format!("value=\"{rule}\"")));
    bench.submit(&form(""));
    assert_eq!(bench.stored().tz(), rule);
}

#[test]
fn a_server_that_the_firmware_cannot_look_up_is_saved_with_a_warning() {
    for (server, warned) in [
        ("http://farm.local:8000", true),
        ("http://Farm.LOCAL.", true),
        ("http://local:8000", false),
        ("http://farm.localnet", false),
        ("http://10.0.0.5", false),
    ] {
        let mut bench = Bench::set(SET);
        let answer = bench.submit(&format!("server_url={server}"));
        assert_eq!((status(&answer), bench.stored().server()), (200, server));
        assert_eq!(answer.contains("end in .local"), warned, "{server}");
    }
}

#[test]
fn a_network_that_could_not_be_joined_is_named_on_the_page() {
    let mut bench = Bench::set(SET);
    for (refused, sentence) in [
        (
            true,
            "The Wi-Fi H&lt; refused the password: enter it again.",
        ),
        (
            false,
            "The board could not join the Wi-Fi H&lt;: is it in reach, and 2.4 GHz?",
        ),
    ] {
        bench.step(Input::NotJoined {
            ssid: "H<",
            refused,
        });
        assert!(bench.get("/").contains(sentence));
    }
    bench.step(Input::Joined {
        ssid: "H<",
        address: [10, 0, 0, 1],
    });
    assert!(!bench.get("/").contains("role=\"alert\""));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any bytes in any pieces: the reader ends the same way, and every answer has the length that it says.
    #[test]
    fn any_request(
        words in prop::collection::vec(prop_oneof![
            Just(b"GET / HTTP/1.1\r\n".to_vec()), Just(b"POST /submit HTTP/1.1\r\n".to_vec()),
            Just(b"Content-Length: 20\r\n".to_vec()), Just(b"Host: 192.168.4.1\r\n".to_vec()),
            Just(b"\r\n".to_vec()), Just(b"wifi_ssid=a&server_url=http://h".to_vec()),
            prop::collection::vec(any::<u8>(), 0..30), Just(b"%".to_vec()),
        ], 0..12),
        size in 1_usize..40,
    ) {
        let bytes = words.concat();
        let (mut one, mut many) = (Request::default(), Request::default());
        one.feed(0, &bytes);
        for piece in bytes.chunks(size) {
            many.feed(0, piece);
        }
let read = |r: &Request| (r.is_whole(), r.refusal(), r.method(), r.path().to_owned(), r.host(), r.form().map(<[u8]>::to_vec));
        prop_assert_eq!(read(&one), read(&many));
        if one.tick(REQUEST_TIMEOUT_MS) {
            let mut bench = Bench::new();
            let answer = bench.setup.http(0, &one, &mut records(&bench.nor));
            let text = bench.sent(&answer, 333);
            body(&text);
        }
    }
}
