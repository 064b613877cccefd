// The library as it is, with the glue and the fakes of the core, against the real server over plain sockets.
//
//   ESPALIER_URL=http://127.0.0.1:PORT ESPALIER_SESSION=<token of a person> ESPALIER_FAKE_FILES=<empty folder> live
#include <Espalier.h>
#include <HTTPUpdate.h>

#include "check.h"

FakeSerial Serial;
FakeEsp ESP;
FakeWiFi WiFi;
FakeFS LittleFS;
HTTPUpdate httpUpdate;

using espalier::Slice;

/// Collects what the board says.
struct Console : Print {
  std::string text;
  size_t write(uint8_t byte) override {
    text += static_cast<char>(byte);
    return 1;
  }
};

/// A person at the server. Its client is the library's own.
struct Person {
  espalier::ArduinoBoard board;
  espalier::ArduinoSocket socket;
  espalier::Http http;
  char buffer[65536];
  espalier::Writer body;

  Person() : http(socket, board), body(buffer, sizeof buffer) {
    CHECK(http.address.parse(std::getenv("ESPALIER_URL")));
    http.set_token(std::getenv("ESPALIER_SESSION"));
  }
  Slice ask(const char* method, const std::string& path, const std::string& text = "") {
    body.clear();
    espalier::HeadSink sink(body);
    const Slice part(text.c_str());
    espalier::Request request = {method, path.c_str(), "", &part, text.empty() ? size_t(0) : size_t(1)};
    espalier::Response response;
    const espalier::Failure failure = http.exchange(request, response, sink);
    if (failure != espalier::kDone || response.status >= 300) {
      std::fprintf(stderr, "%s %s: %s, status %d: %s\n", method, path.c_str(), espalier::failure_text(failure), response.status, body.c_str());
      std::exit(1);
    }
    return body.slice();
  }
  static std::string member(Slice object, const char* name) {
    Slice value;
    espalier::Text<256> text;
    CHECK(espalier::json::find(object, name, value) && espalier::json::to_text(value, text));
    return text.c_str();
  }
  std::string state(const std::string& device) { return str(ask("GET", "/devices/" + device + "/state")); }
  /// Every stored value of a key as the server writes them, oldest first.
  std::vector<std::string> history(const std::string& device, const std::string& key) {
    Slice value, series, points;
    const Slice answer = ask("GET", "/telemetry/history?device_id=" + device + "&key=" + key +
                                        "&from=2001-01-01T00:00:00Z&to=2099-01-01T00:00:00Z&format=series&limit=100000");
    CHECK(espalier::json::find(answer, "series", value));
    espalier::json::Walk list(value);
    std::vector<std::string> found;
    if (!list.item(series)) return found;
    CHECK(espalier::json::find(series, "points", points));
    espalier::json::Walk walk(points);
    Slice point;
    while (walk.item(point)) {
      CHECK(espalier::json::find(point, "value", value));
      found.push_back(str(value));
    }
    return found;
  }
};

static Person& person() {
  static Person person;
  return person;
}

/// A board that was just switched on.
struct Bench {
  std::string id, token;
  Console console;
  EspalierDevice device;

  explicit Bench(const char* name) {
    const Slice made = person().ask("POST", "/devices", std::string("{\"name\":\"") + name + "\"}");
    id = Person::member(made, "id");
    token = Person::member(made, "device_token");
    start();
  }
  Bench(const std::string& known, const std::string& secret) : id(known), token(secret) { start(); }

  void start() {
    device.console(&console);
    device.wifi("network", "password");
    device.pollEvery(1);
    device.commandsEvery(1);
    CHECK(device.begin(std::getenv("ESPALIER_URL"), id.c_str(), token.c_str()));
  }
  /// Turns the loop until something is so; fails after ten seconds.
  void until(const char* what, std::function<bool()> so) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!so()) {
      device.loop();
      fake_skipped() += 5;
      if (std::chrono::steady_clock::now() < end) continue;
      std::fprintf(stderr, "not within 10 s: %s\n%s", what, console.text.c_str());
      std::exit(1);
    }
  }
  void settle() {
    until("everything is sent", [this] { return device.settled() && device.online(); });
  }
};

static void values_arrive() {
  Bench bench("arduino-values");
  for (int i = 0; i < 3; i++) {
    CHECK(bench.device.add("n", i) && bench.device.add("temperature", 21.4f) && bench.device.add("note", "a \"b\" \xC3\xA4") && bench.device.send());
  }
  bench.settle();
  CHECK((person().history(bench.id, "n") == std::vector<std::string>{"0", "1", "2"}) ||
        (person().history(bench.id, "n") == std::vector<std::string>{"0.0", "1.0", "2.0"}));
  CHECK(person().history(bench.id, "temperature")[2] == "21.4");
  CHECK(person().history(bench.id, "note")[0] == "\"a \\\"b\\\" \xC3\xA4\"");
}

static void what_was_measured_without_a_network_arrives_after_a_restart() {
  std::string id, token;
  {
    Bench bench("arduino-away");
    CHECK(bench.device.add("n", -1) && bench.device.send());
    bench.settle();
    WiFiClient::plugged() = false;
    for (int i = 0; i < 300; i++) {
      CHECK(bench.device.add("n", i) && bench.device.send());
      bench.device.loop();
    }
    bench.until("it notices", [&] { return bench.console.text.find("samples are kept") != std::string::npos; });
    CHECK(bench.device.client().in_storage() > 1 && bench.device.client().lost() == 0);
    CHECK(bench.device.save());
    id = bench.id;
    token = bench.token;
  }
  WiFiClient::plugged() = true;
  Bench bench(id, token);
  bench.settle();
  const std::vector<std::string> found = person().history(id, "n");
  CHECK(found.size() == 301);
  for (int i = 0; i < 301; i++) CHECK(std::atoi(found[static_cast<size_t>(i)].c_str()) == i - 1);
}

static int switched = 0;
static espalier::Value last;
static bool relay(const char*, const espalier::Value& value, void*) {
  switched++;
  last = value;
  return true;
}

static void a_wish_is_done_and_reported() {
  Bench bench("arduino-wish");
  CHECK(bench.device.onPin("v0", relay));
  bench.settle();
  person().ask("PUT", "/devices/" + bench.id + "/desired", "{\"v0\":true}");
  bench.until("the pin is on", [] { return switched == 1 && last.on(); });
  bench.settle();
  CHECK(person().state(bench.id).find("\"done\"") != std::string::npos);
  CHECK(bench.device.setPin("v0", false));
  bench.settle();
  person().ask("PUT", "/devices/" + bench.id + "/desired", "{\"v0\":0.5}");
  bench.until("the pin is dimmed", [] { return switched == 2; });
  bench.settle();
  CHECK(person().state(bench.id).find("\"done\"") != std::string::npos && person().state(bench.id).find("\"pending\"") == std::string::npos);
  CHECK(person().history(bench.id, "v0").size() == 3 && switched == 2);
}

static int commanded = 0;
static void command(const char* name, Slice params, espalier::Reply& reply, void*) {
  commanded++;
  Slice value;
  if (strcmp(name, "echo") == 0 && espalier::json::find(params, "n", value)) reply.json(str(value).c_str());
  else reply.fail("only `echo` with `n`");
}

static void commands_are_done_and_answered() {
  Bench bench("arduino-commands");
  bench.device.onCommand(command);
  bench.settle();
  person().ask("POST", "/devices/" + bench.id + "/commands", "{\"name\":\"echo\",\"params\":{\"n\":41}}");
  person().ask("POST", "/devices/" + bench.id + "/commands", "{\"name\":\"dance\"}");
  std::string list;
  bench.until("both are answered", [&] {
    list = str(person().ask("GET", "/devices/" + bench.id + "/commands"));
    return list.find("\"done\"") != std::string::npos && list.find("\"failed\"") != std::string::npos;
  });
  CHECK(commanded == 2 && list.find("\"result\":41") != std::string::npos && list.find("only `echo` with `n`") != std::string::npos);
}

static void a_wrong_token_is_said_once() {
  Bench good("arduino-wrong");
  Bench bench(good.id, std::string(32, 'f'));
  bench.until("it says so", [&] { return bench.console.text.find("does not accept this device's token") != std::string::npos; });
  const int before = WiFiClient::connections();
  for (int turn = 0; turn < 600; turn++) {
    bench.device.loop();
    fake_skipped() += 1000;
  }
  CHECK(WiFiClient::connections() == before && bench.device.client().state() == espalier::kRefused);
  for (int turn = 0; turn < 400; turn++) {
    bench.device.loop();
    fake_skipped() += 1000;
  }
  CHECK(WiFiClient::connections() == before + 1);
  CHECK(bench.console.text.find(std::string(32, 'f')) == std::string::npos);
}

static void signs_of_life_say_what_runs() {
  Bench bench("arduino-alive");
  bench.device.firmware("My_Plug", "1.2.3");
  bench.settle();
  std::string shown;
  bench.until("the server knows the version", [&] {
    shown = str(person().ask("GET", "/devices/" + bench.id));
    return shown.find("1.2.3") != std::string::npos;
  });
  CHECK(shown.find("\"online\"") != std::string::npos);
}

static void https_without_a_certificate_is_refused() {
  Console console;
  EspalierDevice device;
  device.console(&console);
  device.wifi("network", "password");
  CHECK(!device.begin("https://home.example", "d", "t"));
  CHECK(console.text.find("certificate") != std::string::npos);
  // It stays silent: there is nobody whom it may trust.
  const int before = WiFiClient::connections();
  for (int turn = 0; turn < 100; turn++) {
    device.loop();
    fake_skipped() += 1000;
  }
  CHECK(WiFiClient::connections() == before && console.text.find("reached") == std::string::npos);
}

static void https_is_spoken_with_the_authoritys_certificate_alone() {
  Console console;
  EspalierDevice device;
  device.console(&console);
  device.wifi("network", "password");
  device.ca("-----BEGIN CERTIFICATE-----");
  CHECK(device.begin("https://home.example", "d", "t"));
  const int before = WiFiClient::connections();
  for (int turn = 0; turn < 20; turn++) {
    device.loop();
    fake_skipped() += 100;
  }
  // The fake has no TLS, and no other connection was tried in its place.
  CHECK(WiFiClient::connections() == before && console.text.find("the server cannot be reached") != std::string::npos);
  CHECK(WiFiClientSecure::seen().ca == "-----BEGIN CERTIFICATE-----");
  CHECK(WiFiClientSecure::seen().handshake_s == 10 && WiFiClient::timeout() == 10000);
}

int main() {
  values_arrive();
  what_was_measured_without_a_network_arrives_after_a_restart();
  a_wish_is_done_and_reported();
  commands_are_done_and_answered();
  a_wrong_token_is_said_once();
  signs_of_life_say_what_runs();
  https_without_a_certificate_is_refused();
  https_is_spoken_with_the_authoritys_certificate_alone();
  std::puts("live: ok");
  return 0;
}
