// Tests of the client against a server in memory: what it sends, when, and what it makes of each answer.
#include "check.h"

using namespace espalier;

static const char kLatest[] = "{\"device_id\":\"d\",\"data\":{},\"timestamp\":null,\"time\":1700000000000}";

static const char kTaken[] = "{\"message\":\"ok\",\"device_id\":\"d\",\"accepted\":1,\"timestamp\":\"t\"}";

/// A board with a client; the server answers what a test wants.
struct Desk {
  FakeBoard board;
  FakeSocket socket;
  FakeStorage storage;
  Client<1024, 512, 4> client;
  std::map<std::string, std::string> answers;
  int telemetry_status = 200;

  Desk() : client(board, socket) {
    socket.piece = 64;
    answers["GET /telemetry/latest"] = http(200, kLatest);
    answers["POST /devices/d1/telemetry"] = http(200, kTaken);
    answers["POST /api/devices/d1/heartbeat"] = http(200, "{}");
    answers["GET /devices/d1/commands/pending"] = http(200, "{\"commands\":[]}");
    socket.answer = [this](const Got& got) {
      const std::string what = got.line.substr(0, got.line.rfind(' '));
      const auto found = answers.find(what);
      return found == answers.end() ? http(404, "{}") : found->second;
    };
    client.poll_every(5000);
    client.beat_every(0);
    CHECK(client.begin("http://server:8000", "d1", "token", &storage));
  }
  /// Turns the loop for so long.
  void run(uint64_t ms, uint64_t step = 100) {
    for (uint64_t end = board.now + ms; board.now < end; board.now += step) client.loop(true);
  }
  size_t count(const std::string& line) const {
    size_t found = 0;
    for (const Got& got : socket.got) found += got.line.compare(0, line.size(), line) == 0;
    return found;
  }
  const Got& last(const std::string& line) const {
    for (size_t i = socket.got.size(); i-- > 0;) {
      if (socket.got[i].line.compare(0, line.size(), line) == 0) return socket.got[i];
    }
    std::fprintf(stderr, "no request %s\n", line.c_str());
    std::exit(1);
  }
};

static bool relay(const char*, const Value& value, void* context) {
  *static_cast<int*>(context) = value.integer();
  return true;
}

struct Doings {
  int count = 0;
  std::string last;
};

static void doing(const char* name, Slice params, Reply& reply, void* context) {
  Doings* doings = static_cast<Doings*>(context);
  doings->count++;
  doings->last = std::string(name) + str(params);
  if (strcmp(name, "fail") == 0) reply.fail("no \"way\"");
  if (strcmp(name, "long") == 0) reply.json(std::string(500, '1').c_str());
  if (strcmp(name, "read") == 0) reply.json("{\"volt\":3.3}");
}

static void samples_have_the_servers_time_and_arrive_together() {
  Desk desk;
  CHECK(desk.client.add("temperature", 21.5f) && desk.client.add("note", "a \"b\"") && desk.client.send());
  CHECK(desk.client.add("temperature", 22) && desk.client.send());
  CHECK(!desk.client.send());
  desk.run(1000);
  const Got& post = desk.last("POST /devices/d1/telemetry");
  CHECK_TEXT(post.body, "{\"samples\":[{\"ts\":1700000000000,\"data\":{\"temperature\":21.5,\"note\":\"a \\\"b\\\"\"}},"
                        "{\"ts\":1700000000001,\"data\":{\"temperature\":22}}]}");
  CHECK(desk.client.settled() && desk.client.state() == kOnline);
  CHECK(desk.count("POST") == 1);
}

static void what_is_no_sample_is_not_taken() {
  Desk desk;
  CHECK(!desk.client.add("", 1) && !desk.client.add("_x", 1) && !desk.client.add("a\nb", 1) && !desk.client.add("a", 0.0 / 0.0));
  CHECK(!desk.client.add("a", std::string(400, 'x').c_str()));
  CHECK(!desk.client.send());
  CHECK(desk.client.add("a", 1) && !desk.client.add("b", 1.0 / 0.0) && desk.client.add("c", true) && desk.client.send());
  desk.run(500);
  CHECK(desk.last("POST").body.find("{\"a\":1,\"c\":true}") != std::string::npos);
  FakeBoard board;
  FakeSocket socket;
  Client<> other(board, socket);
  CHECK(!other.begin("server:8000", "d", "t") && board.said_last("http://host:8000"));
  CHECK(!other.begin("http://server", "a/b", "t") && !other.begin("http://server", "d", "a b") && !other.begin("http://server", "d", ""));
  other.loop(true);
  CHECK(socket.got.empty() && other.state() == kIdle);
}

static void without_a_server_samples_wait_and_arrive_once_in_order() {
  Desk desk;
  desk.run(300);
  desk.socket.plugged = false;
  for (int i = 0; i < 60; i++) {
    CHECK(desk.client.add("n", i) && desk.client.send());
    desk.run(1000);
  }
  CHECK(desk.client.state() == kOffline && desk.board.said_last("next attempt in"));
  CHECK(desk.client.in_storage() > 0 && desk.client.lost() == 0);
  desk.socket.plugged = true;
  desk.run(120000);
  CHECK(desk.client.settled());
  std::string all;
  for (const Got& got : desk.socket.got) all += got.line.find("/telemetry HTTP") != std::string::npos ? got.body : "";
  size_t at = 0;
  for (int i = 0; i < 60; i++) {
    const std::string one = "\"data\":{\"n\":" + std::to_string(i) + "}";
    at = all.find(one, at);
    CHECK(at != std::string::npos);
    CHECK(all.find(one, at + 1) == std::string::npos);
  }
}

static void a_lost_answer_repeats_the_same_times() {
  Desk desk;
  desk.run(300);
  CHECK(desk.client.add("n", 1) && desk.client.send());
  desk.answers["POST /devices/d1/telemetry"] = "";
  desk.run(11000);
  const std::string first = desk.last("POST").body;
  CHECK(!desk.client.settled());
  desk.answers["POST /devices/d1/telemetry"] = http(200, kTaken);
  desk.run(5000);
  CHECK_TEXT(desk.last("POST").body, first);
  CHECK(desk.client.settled());
}

static void a_wrong_token_is_said_and_not_hammered() {
  for (int status : {401, 403, 404}) {
    Desk desk;
    desk.answers["GET /telemetry/latest"] = http(status, "{\"detail\":\"no\"}");
    desk.client.add("n", 1);
    desk.client.send();
    desk.run(800000, 1000);
    CHECK(desk.socket.got.size() == 1);
    CHECK(desk.client.state() == kRefused && desk.board.said_last("token"));
    for (const std::string& line : desk.board.said) CHECK(line.find("\"token\"") == std::string::npos);
    desk.answers["GET /telemetry/latest"] = http(200, kLatest);
    desk.run(200000, 1000);
    CHECK(desk.client.state() == kOnline && desk.client.settled());
  }
}

static void a_busy_server_is_left_alone_as_long_as_it_wants() {
  for (int status : {429, 503}) {
    Desk desk;
    desk.answers["GET /telemetry/latest"] = http(status, "{}", "Retry-After: 90\r\n");
    desk.run(89000);
    CHECK(desk.socket.got.size() == 1 && desk.client.state() == kOffline);
    desk.run(3000);
    CHECK(desk.socket.got.size() == 2);
  }
  // A redirect is not followed, and not hammered.
  Desk moved;
  moved.answers["GET /telemetry/latest"] = http(301, "", "Location: http://elsewhere/\r\n");
  moved.run(60000);
  CHECK(moved.socket.got.size() < 10);
}

static void a_page_that_is_not_the_server_gets_no_samples() {
  Desk desk;
  desk.run(300);
  CHECK(desk.client.add("n", 1) && desk.client.send());
  const std::string page = http(200, "<html>Welcome to the hotel</html>");
  desk.answers["POST /devices/d1/telemetry"] = desk.answers["GET /telemetry/latest"] = page;
  desk.run(60000);
  CHECK(!desk.client.settled() && desk.client.state() == kOffline && desk.socket.got.size() < 15);
  // Nor does it get the outcome of a command, or make the board believe that it is online.
  Doings doings;
  Desk other;
  other.client.on_command(doing, &doings);
  other.client.beat_every(60000);
  other.answers["GET /devices/d1/commands/pending"] = http(200, "{\"commands\":[{\"id\":\"c1\",\"name\":\"read\",\"params\":{}}]}");
  other.answers["POST /devices/d1/commands/c1/result"] = page;
  other.run(1000);
  other.answers["GET /devices/d1/commands/pending"] = other.answers["GET /telemetry/latest"] = page;
  other.answers["POST /api/devices/d1/heartbeat"] = page;
  other.run(60000);
  CHECK(doings.count == 1 && !other.client.settled() && other.client.state() == kOffline && other.socket.got.size() < 20);
  desk.answers["POST /devices/d1/telemetry"] = http(200, kTaken);
  desk.answers["GET /telemetry/latest"] = http(200, kLatest);
  desk.run(120000);
  CHECK(desk.client.settled());
}

static void one_bad_sample_does_not_stop_the_others() {
  Desk desk;
  desk.run(300);
  desk.socket.answer = [](const Got& got) {
    return got.body.find("\"bad\"") != std::string::npos ? http(422, "{}") : http(200, got.line[0] == 'G' ? kLatest : kTaken);
  };
  for (const char* key : {"a", "bad", "c"}) CHECK(desk.client.add(key, 1) && desk.client.send());
  desk.run(1000);
  CHECK(desk.client.settled() && desk.client.refused() == 1);
  CHECK(desk.count("POST") == 4);
}

static void each_turn_sends_one_request_also_when_a_block_is_refused() {
  for (bool stored : {false, true}) {
    Desk desk;
    desk.run(300);
    if (stored) desk.socket.plugged = false;
    for (int i = 0; i < 10; i++) CHECK(desk.client.add(i % 3 == 1 ? "bad" : "n", i) && desk.client.send());
    CHECK(desk.client.set_pin("v0", 1));
    if (stored) CHECK(desk.client.save() && desk.client.in_storage() > 0);
    desk.socket.plugged = true;
    desk.socket.answer = [](const Got& got) {
      return got.body.find("\"bad\"") != std::string::npos ? http(422, "{}") : http(200, got.line[0] == 'G' ? kLatest : kTaken);
    };
    for (int turn = 0; turn < 200; turn++) {
      const size_t before = desk.socket.got.size();
      desk.client.loop(true);
      CHECK(desk.socket.got.size() <= before + 1);
      desk.board.now += 100;
    }
    CHECK(desk.client.settled() && desk.client.refused() == 3 && desk.client.lost() == 0);
    std::string taken;
    for (const Got& got : desk.socket.got) {
      if (got.line[0] == 'P' && got.body.find("\"bad\"") == std::string::npos) taken += got.body;
    }
    for (int i : {0, 2, 3, 5, 6, 8, 9}) CHECK(taken.find("{\"n\":" + std::to_string(i) + "}") != std::string::npos);
    CHECK(taken.find("\"reported\":{\"v0\"") != std::string::npos);
  }
}

static void what_is_no_value_reports_nothing_and_hammers_nobody() {
  Desk desk;
  desk.run(300);
  const size_t before = desk.socket.got.size();
  CHECK(!desk.client.set_pin("v0", 0.0 / 0.0) && !desk.client.set_pin("v0", 1.0 / 0.0) && !desk.client.set_pin("v0", Value()));
  CHECK(!desk.client.set_pin("v0", "a text that is longer than 31 bytes of a pin"));
  desk.run(1000);
  CHECK(desk.client.settled() && desk.socket.got.size() == before);
}

static void a_device_of_which_much_is_wanted_still_obeys_and_reports() {
  Desk desk;
  int pin = -1;
  CHECK(desk.client.on_pin("v0", relay, &pin) && desk.client.add("n", 1) && desk.client.send());
  std::string desired = "\"v0\":{\"value\":1,\"version\":3}";
  for (int i = 0; i < 255; i++) desired += ",\"w" + std::to_string(i) + "\":{\"value\":\"" + std::string(500, 'x') + "\",\"version\":1}";
  desk.answers["GET /telemetry/latest"] = http(200, "{\"data\":{},\"time\":1700000000000,\"desired\":{" + desired + "}}");
  desk.run(60000);
  CHECK(pin == 1 && desk.client.settled() && desk.client.state() == kOnline);
  // What is too large for a pin stays unanswered, and the others are done.
  desk.answers["GET /telemetry/latest"] =
      http(200, "{\"time\":1700000000000,\"desired\":{\"v0\":{\"value\":\"" + std::string(4000, 'x') + "\",\"version\":4}}}");
  desk.run(60000);
  CHECK(pin == 1 && desk.client.state() == kOnline);
  desk.answers["GET /telemetry/latest"] = http(200, "{\"time\":1700000000000,\"desired\":{\"v0\":{\"value\":7,\"version\":5}}}");
  desk.run(6000);
  CHECK(pin == 7 && desk.client.settled());
}

static void a_clock_that_wraps_around_changes_nothing() {
  Desk desk;
  desk.client.begin("http://server:8000", "d1", "token");
  desk.board.now = 0xFFFFFFFFull - 20000;
  desk.socket.answer = [&desk](const Got& got) {
    return http(200, got.line[0] == 'G' ? "{\"time\":" + std::to_string(1700000000000 + desk.board.now) + "}" : kTaken);
  };
  desk.run(1000);
  const int64_t difference = desk.client.utc_ms() - static_cast<int64_t>(desk.board.now);
  for (int i = 0; i < 20; i++) {
    const size_t before = desk.socket.got.size();
    CHECK(desk.client.add("n", i) && desk.client.send());
    desk.run(5000);
    CHECK(desk.socket.got.size() - before == 2 && desk.client.settled());
    CHECK(desk.client.utc_ms() - static_cast<int64_t>(desk.board.now) == difference);
  }
  CHECK(desk.board.now > 0xFFFFFFFFull);
}

static void refusals_are_tried_more_and_more_rarely() {
  Desk desk;
  desk.answers["GET /telemetry/latest"] = http(401, "{}");
  std::vector<uint64_t> times;
  for (int s = 0; s < 20 * 3600; s++) {
    const size_t before = desk.socket.got.size();
    desk.client.loop(true);
    if (desk.socket.got.size() > before) times.push_back(desk.board.now / 60000);
    desk.board.now += 1000;
  }
  std::vector<uint64_t> waits;
  for (size_t i = 1; i < times.size(); i++) waits.push_back(times[i] - times[i - 1]);
  CHECK((waits == std::vector<uint64_t>{15, 30, 60, 120, 240, 240, 240, 240}));
}

static void a_firmware_name_that_is_too_long_is_said() {
  Desk desk;
  CHECK(desk.client.set_firmware("My_Plug", "1.0.0"));
  CHECK(!desk.client.set_firmware("My_Plug", std::string(51, '1').c_str()) && desk.board.said_last("50 bytes"));
}

static void a_server_that_fails_while_the_bad_one_is_looked_for_loses_nothing() {
  Desk desk;
  desk.run(300);
  int alone = 0;
  desk.socket.answer = [&alone](const Got& got) {
    if (got.line[0] == 'G') return http(200, kLatest);
    if (got.body.find("\"samples\":[{") != std::string::npos && got.body.find("reported") != std::string::npos) return http(422, "{}");
    return ++alone == 1 || alone == 3 ? http(503, "{}") : http(200, kTaken);
  };
  CHECK(desk.client.set_pin("v0", 1) && desk.client.add("n", 1) && desk.client.send());
  desk.run(500);
  CHECK(alone == 1 && !desk.client.settled() && desk.client.in_memory() == 2);
  desk.run(60000);
  CHECK(desk.client.settled() && desk.client.refused() == 0);
  std::string all;
  for (const Got& got : desk.socket.got) all += got.body;
  CHECK(all.find("{\"samples\":[],\"reported\":{\"v0\"") != std::string::npos && all.find("\"data\":{\"n\":1}") != std::string::npos);
}

static void a_wish_is_polled_done_and_reported() {
  Desk desk;
  int pin = -1;
  CHECK(desk.client.on_pin("v0", relay, &pin));
  desk.answers["GET /telemetry/latest"] =
      http(200, "{\"data\":{\"v0\":1,\"x\":\"" + std::string(3000, 'y') + "\"},\"time\":1700000000000,\"desired\":{\"v0\":{\"value\":1,\"version\":12}}}");
  desk.run(1000);
  CHECK(pin == 1);
  const Got& post = desk.last("POST");
  CHECK(post.body.find("\"data\":{\"v0\":1}") != std::string::npos);
  CHECK(post.body.find("],\"reported\":{\"v0\":{\"value\":1,\"version\":12}}}") != std::string::npos);
  CHECK(desk.count("POST") == 1);
  // A button at the board.
  CHECK(desk.client.set_pin("v0", 0));
  desk.answers["GET /telemetry/latest"] = http(200, kLatest);
  desk.run(1000);
  CHECK(desk.last("POST").body.find("\"reported\":{\"v0\":{\"value\":0,\"version\":0}}") != std::string::npos);
  CHECK(desk.client.pin("v0")->integer() == 0 && desk.client.pin("v1") == NULL);
}

static void commands_are_done_once_and_answered_until_known() {
  Desk desk;
  Doings doings;
  desk.client.on_command(doing, &doings);
  desk.answers["GET /devices/d1/commands/pending"] =
      http(200, "{\"commands\":[{\"id\":\"c-1\",\"name\":\"read\",\"params\":{\"a\":1},\"expires_at\":1}]}");
  desk.answers["POST /devices/d1/commands/c-1/result"] = http(503, "");
  desk.run(20000);
  CHECK(doings.count == 1);
  CHECK_TEXT(doings.last, "read{\"a\":1}");
  CHECK_TEXT(desk.last("POST /devices/d1/commands/c-1/result").body, "{\"ok\":true,\"result\":{\"volt\":3.3}}");
  desk.answers["POST /devices/d1/commands/c-1/result"] = http(200, "{}");
  desk.run(30000);
  CHECK(doings.count == 1 && desk.client.settled());
  for (const char* name : {"fail", "long"}) {
    desk.answers["GET /devices/d1/commands/pending"] = http(200, "{\"commands\":[{\"id\":\"" + std::string(name) + "\",\"name\":\"" + name + "\",\"params\":{}}]}");
    desk.run(6000);
    desk.answers["GET /devices/d1/commands/pending"] = http(200, "{\"commands\":[]}");
    desk.run(6000);
  }
  CHECK_TEXT(desk.last("POST /devices/d1/commands/fail/result").body, "{\"ok\":false,\"error\":\"no \\\"way\\\"\"}");
  CHECK(desk.last("POST /devices/d1/commands/long/result").body.find("too long") != std::string::npos);
  CHECK(doings.count == 3);
}

static void a_command_that_does_not_fit_is_refused_and_odd_ones_are_not_done() {
  Desk desk;
  Doings doings;
  desk.client.on_command(doing, &doings);
  desk.answers["GET /devices/d1/commands/pending"] =
      http(200, "{\"commands\":[{\"id\":\"big\",\"name\":\"read\",\"params\":{\"a\":\"" + std::string(3000, 'x') + "\"}},{\"id\":\"c2\"}]}");
  desk.run(1000);
  CHECK(doings.count == 0);
  CHECK(desk.last("POST /devices/d1/commands/big/result").body.find("too large") != std::string::npos);
  for (const char* odd : {"", "{}", "[", "{\"commands\":[7]}", "{\"commands\":[{\"id\":\"../x\",\"name\":\"a\"}]}", "{\"commands\":[{\"name\":\"a\"}]}"}) {
    desk.answers["GET /devices/d1/commands/pending"] = http(200, odd);
    desk.run(6000);
  }
  CHECK(doings.count == 0);
}

static void it_gives_signs_of_life() {
  Desk desk;
  desk.client.set_firmware("My_Plug", "1.2.0");
  desk.client.beat_every(60000);
  desk.board.heap = 20000;
  desk.board.signal = -61;
  desk.run(130000, 1000);
  CHECK(desk.count("POST /api/devices/d1/heartbeat") == 3);
  CHECK_TEXT(desk.socket.got[1].body, "{\"uptime\":2,\"device_type\":\"My_Plug\",\"version\":\"1.2.0\",\"free_heap\":20000,\"wifi_rssi\":-61}");
}

static const char* install(const Update& update, void* context) {
  *static_cast<std::string*>(context) = update.path;
  return "the flash is worn";
}

static void an_update_is_looked_for_and_installed() {
  Desk desk;
  std::string path;
  desk.client.set_firmware("My_Plug", "1.2.0");
  desk.client.on_update(install, &path, 60000);
  desk.answers["GET /api/ota/check/d1"] = http(200, "{\"update_available\":false}");
  desk.run(30000);
  const Got& check = desk.last("GET /api/ota/check/d1");
  CHECK(check.headers.find("X-Device-Version: 1.2.0\r\nX-Device-Type: My_Plug\r\n") != std::string::npos);
  CHECK(path.empty());
  desk.answers["GET /api/ota/check/d1"] =
      http(200, "{\"update_available\":true,\"version\":\"2\",\"firmware_url\":\"http://server:8000/api/ota/download/k?ticket=t\",\"file_size\":9}");
  desk.client.add("n", 1);
  desk.client.send();
  desk.run(60000);
  CHECK_TEXT(path, "/api/ota/download/k?ticket=t");
  CHECK(desk.count("GET /api/ota/check/d1") == 2);
  bool said = false;
  for (const std::string& line : desk.board.said) said = said || line.find("the flash is worn") != std::string::npos;
  CHECK(said);
}

static void what_was_saved_before_a_restart_arrives_after_it() {
  FakeStorage storage;
  {
    Desk desk;
    desk.client.begin("http://server:8000", "d1", "token", &storage);
    desk.run(300);
    desk.socket.plugged = false;
    CHECK(desk.client.add("n", 42) && desk.client.send());
    CHECK(desk.client.save() && desk.client.in_memory() == 0);
  }
  Desk desk;
  desk.client.begin("http://server:8000", "d1", "token", &storage);
  desk.run(1000);
  CHECK(desk.last("POST").body.find("\"n\":42") != std::string::npos);
  CHECK(desk.client.settled() && storage.blocks.empty());
}

// What the README promises, with the pointers of this computer, which are twice as large.
static_assert(sizeof(Client<>) < 13500, "a device takes more memory than the README says");

int main() {
  samples_have_the_servers_time_and_arrive_together();
  what_is_no_sample_is_not_taken();
  without_a_server_samples_wait_and_arrive_once_in_order();
  a_lost_answer_repeats_the_same_times();
  a_wrong_token_is_said_and_not_hammered();
  a_busy_server_is_left_alone_as_long_as_it_wants();
  a_page_that_is_not_the_server_gets_no_samples();
  one_bad_sample_does_not_stop_the_others();
  each_turn_sends_one_request_also_when_a_block_is_refused();
  what_is_no_value_reports_nothing_and_hammers_nobody();
  a_device_of_which_much_is_wanted_still_obeys_and_reports();
  a_clock_that_wraps_around_changes_nothing();
  refusals_are_tried_more_and_more_rarely();
  a_firmware_name_that_is_too_long_is_said();
  a_server_that_fails_while_the_bad_one_is_looked_for_loses_nothing();
  a_wish_is_polled_done_and_reported();
  commands_are_done_once_and_answered_until_known();
  a_command_that_does_not_fit_is_refused_and_odd_ones_are_not_done();
  it_gives_signs_of_life();
  an_update_is_looked_for_and_installed();
  what_was_saved_before_a_restart_arrives_after_it();
  std::puts("client: ok");
  return 0;
}
