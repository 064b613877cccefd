// Programs that send a device's first values, with its address, id and token filled in. What they send is real on any
// board (signal, uptime, memory), so that they work before a sensor is wired.

export interface Access {
  /** Where the server is, `http://host:port`. */
  origin: string;
  id: string;
  token: string;
  /** Seconds between reports. */
  interval: number;
}

export interface Snippet {
  id: string;
  label: string;
  file: string;
  /** What it needs, in one sentence. */
  needs: string;
  text: string;
}

const secure = (origin: string): boolean => origin.startsWith('https:');
const url = ({ origin, id }: Access): string => `${origin}/devices/${id}/telemetry`;

function curl(access: Access): string {
  return `curl -X POST ${url(access)} \\
  -H 'Content-Type: application/json' \\
  -d '{"device_token":"${access.token}","data":{"temperature":21.5,"v0":1}}'`;
}

function arduino(access: Access): string {
  const tls = secure(access.origin);
  return `#include <WiFi.h>
#include <HTTPClient.h>
${
  tls
    ? `#include <WiFiClientSecure.h>

// The authority that signed the certificate of ${new URL(access.origin).host}
const char* ROOT_CA = R"(-----BEGIN CERTIFICATE-----
…
-----END CERTIFICATE-----)";
`
    : ''
}
const char* WIFI_NAME = "your network";
const char* WIFI_PASSWORD = "its password";
const char* URL = "${url(access)}";
const char* TOKEN = "${access.token}";
const unsigned long INTERVAL_MS = ${access.interval * 1000}UL;

void setup() {
  Serial.begin(115200);
  WiFi.mode(WIFI_STA);
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
  while (WiFi.status() != WL_CONNECTED) delay(250);
}

void loop() {
  String body = String("{\\"device_token\\":\\"") + TOKEN + "\\",\\"data\\":{"
    + "\\"rssi\\":" + WiFi.RSSI()
    + ",\\"uptime\\":" + millis() / 1000
    + ",\\"free_heap\\":" + ESP.getFreeHeap() + "}}";

${tls ? '  WiFiClientSecure client;\n  client.setCACert(ROOT_CA);\n' : ''}  HTTPClient http;
  http.begin(${tls ? 'client, ' : ''}URL);
  http.addHeader("Content-Type", "application/json");
  int status = http.POST(body);
  Serial.printf("%d %s\\n", status, http.getString().c_str());
  http.end();
  delay(INTERVAL_MS);
}
`;
}

function micropython(access: Access): string {
  return `import gc, network, time
import urequests

WIFI_NAME = "your network"
WIFI_PASSWORD = "its password"
URL = "${url(access)}"
TOKEN = "${access.token}"

wlan = network.WLAN(network.STA_IF)
wlan.active(True)
wlan.connect(WIFI_NAME, WIFI_PASSWORD)
while not wlan.isconnected():
    time.sleep_ms(250)

while True:
    values = {
        "rssi": wlan.status("rssi"),
        "uptime": time.ticks_ms() // 1000,
        "free_heap": gc.mem_free(),
    }
    try:
        answer = urequests.post(URL, json={"device_token": TOKEN, "data": values})
        print(answer.status_code, answer.text)
        answer.close()
    except OSError as error:
        print("not sent:", error)
    time.sleep(${access.interval})
`;
}

function rust(access: Access): string {
  return `// Cargo.toml: esp-idf-svc = "0.51", embedded-svc = "0.28", anyhow = "1"
use std::{thread, time::Duration, time::Instant};

use embedded_svc::wifi::{ClientConfiguration, Configuration as Wifi};
use embedded_svc::{http::client::Client, io::Write, utils::io};
use esp_idf_svc::eventloop::EspSystemEventLoop;
use esp_idf_svc::hal::peripherals::Peripherals;
use esp_idf_svc::http::client::{Configuration, EspHttpConnection};
use esp_idf_svc::sys;
use esp_idf_svc::wifi::{BlockingWifi, EspWifi};

const URL: &str = "${url(access)}";
const TOKEN: &str = "${access.token}";

fn main() -> anyhow::Result<()> {
    sys::link_patches();
    let events = EspSystemEventLoop::take()?;
    let modem = Peripherals::take()?.modem;
    let mut wifi = BlockingWifi::wrap(EspWifi::new(modem, events.clone(), None)?, events)?;
    wifi.set_configuration(&Wifi::Client(ClientConfiguration {
        ssid: "your network".try_into().unwrap(),
        password: "its password".try_into().unwrap(),
        ..Default::default()
    }))?;
    wifi.start()?;
    wifi.connect()?;
    wifi.wait_netif_up()?;

    let start = Instant::now();
    loop {
        if let Err(error) = send(start.elapsed().as_secs()) {
            println!("not sent: {error}");
        }
        thread::sleep(Duration::from_secs(${access.interval}));
    }
}

fn send(uptime: u64) -> anyhow::Result<()> {
    let heap = unsafe { sys::esp_get_free_heap_size() };
    let body = format!(
        r#"{{"device_token":"{TOKEN}","data":{{"uptime":{uptime},"free_heap":{heap}}}}}"#
    );
    let mut http = Client::wrap(EspHttpConnection::new(&Configuration {
        crt_bundle_attach: Some(sys::esp_crt_bundle_attach),
        ..Default::default()
    })?);
    let length = body.len().to_string();
    let headers = [("Content-Type", "application/json"), ("Content-Length", length.as_str())];
    let mut request = http.post(URL, &headers)?;
    request.write_all(body.as_bytes())?;
    let mut answer = request.submit()?;
    let mut text = [0; 512];
    let read = io::try_read_full(&mut answer, &mut text).map_err(|error| error.0)?;
    println!("{} {}", answer.status(), String::from_utf8_lossy(&text[..read]));
    Ok(())
}
`;
}

/** The programs for one device. */
export function snippets(access: Access): Snippet[] {
  return [
    {
      id: 'curl',
      label: 'curl',
      file: 'Terminal',
      needs: 'Any computer on the network. Sends once.',
      text: curl(access),
    },
    {
      id: 'arduino',
      label: 'Arduino',
      file: 'espalier.ino',
      needs:
        'An ESP32 with the Arduino core; no other library. For pins, commands and an offline queue there is the library clients/arduino in the source of Espalier.',
      text: arduino(access),
    },
    {
      id: 'micropython',
      label: 'MicroPython',
      file: 'main.py',
      needs:
        'A board with MicroPython and urequests (mpremote mip install urequests). For pins, commands and an offline queue there is the package clients/micropython in the source of Espalier.',
      text: micropython(access),
    },
    {
      id: 'rust',
      label: 'Rust',
      file: 'src/main.rs',
      needs: 'A project made with the esp-idf-template.',
      text: rust(access),
    },
  ];
}

/** Whether a board can reach this address at all: its own loopback is not the server. */
export function onlyHere(origin: string): boolean {
  const { hostname } = new URL(origin);
  return hostname === 'localhost' || hostname.endsWith('.localhost') || /^127\./.test(hostname) || hostname === '[::1]';
}
