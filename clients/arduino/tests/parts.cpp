// Tests of the parts: text, JSON, HTTP, the queue, pins, waiting times. Nothing here opens a socket.
#include "check.h"

using namespace espalier;

static void text_stays_in_its_buffer() {
  Text<8> text;
  text.raw("1234567");
  CHECK(text.ok());
  text.put('8');
  CHECK(!text.ok());
  CHECK_TEXT(text.c_str(), "1234567");
  text.rewind(3);
  text.integer(-42);
  CHECK(text.ok());
  CHECK_TEXT(text.c_str(), "123-42");
  text.drop(2);
  CHECK_TEXT(text.c_str(), "3-42");
  Text<32> numbers;
  numbers.integer(INT64_MIN);
  CHECK_TEXT(numbers.c_str(), "-9223372036854775808");
}

static void numbers_are_json() {
  struct { Value value; const char* wanted; } cases[] = {
      {Value(21.4f), "21.4"}, {Value(21.4), "21.4"}, {Value(0.1 + 0.2), "0.3"}, {Value(1e9), "1000000000"},
      {Value(4294967295u), "4294967295"}, {Value(-7), "-7"}, {Value(true), "true"}, {Value("a\"\n"), "\"a\\\"\\u000a\""},
      {Value(1e300), "1e+300"}};
  for (auto& one : cases) {
    Text<64> out;
    one.value.write(out);
    CHECK_TEXT(out.c_str(), one.wanted);
  }
  Text<64> out;
  Value(0.0 / 0.0).write(out);
  CHECK(!out.ok());
}

static void json_is_walked_and_never_trusted() {
  Slice value;
  const Slice object("{ \"a\" : [1, {\"b\":\"}]\\\"\"}] ,\"c\":-1.5e3, \"d\":null}");
  CHECK(json::find(object, "c", value));
  double number = 0;
  CHECK(json::to_number(value, number) && number < -1499.9 && number > -1500.1);
  CHECK(json::find(object, "a", value));
  json::Walk items(value);
  Slice item;
  CHECK(items.item(item) && item.equals("1"));
  CHECK(items.item(item) && json::find(item, "b", value));
  Text<16> text;
  CHECK(json::to_text(value, text));
  CHECK_TEXT(text.c_str(), "}]\"");
  CHECK(!items.item(item) && items.ok());

  for (const char* bad : {"", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\" 1}", "{a:1}", "[1", "[1}", "{\"a\":[1}", "{\"a\":\"x}", "{\"a\":\"\\", "x", "{\"a\":\"\n\"}"}) {
    json::Walk walk((Slice(bad)));
    Slice key;
    while (walk.member(key, value)) {
    }
    CHECK(!walk.ok() || bad[0] == '[');
    json::Walk list((Slice(bad)));
    while (list.item(value)) {
    }
    CHECK(!list.ok() || bad[0] == '{');
  }
  std::string deep(100, '[');
  CHECK(json::skip_value(deep.data(), deep.data() + deep.size()) == NULL);
  int64_t whole = 0;
  for (const char* bad : {"", "-", "1.5", "12a", "1234567890123456789", "+1", " 1"}) CHECK(!json::to_integer(Slice(bad), whole));
  CHECK(json::to_integer(Slice("-123456789012345678"), whole) && whole == -123456789012345678);
  for (const char* bad : {"", "nan", "0x10", "1e999", "--1", "inf", "1 "}) CHECK(!json::to_number(Slice(bad), number));
}

static void strings_are_decoded() {
  Text<32> out;
  CHECK(json::to_text(Slice("\"\\u00e4\\ud83d\\ude00\\/\\t\""), out));
  CHECK_TEXT(out.c_str(), "\xC3\xA4\xF0\x9F\x98\x80/\t");
  for (const char* bad : {"\"\\ud83d\"", "\"\\ude00\"", "\"\\u00\"", "\"\\x\"", "\"\\u0000\"", "\"", "1", "\"a", "\"\\ud83d\\u0041\"", "\"0123456789012345678901234567890123456789\""}) {
    Text<32> other;
    CHECK(!json::to_text(Slice(bad), other));
  }
}

static void only_wanted_members_are_kept_however_large_the_rest() {
  std::string data = "{\"device_id\":\"x\",\"data\":{";
  for (int i = 0; i < 500; i++) data += "\"key" + std::to_string(i) + "\":\"}],{\\\"time\\\":1\",";
  data += "\"time\":5},\"ti\\\"me\":3,\"\\\\\":4,\"time\": 77 ,\"desired\":{\"v0\":{\"value\":[1,\"]\"],\"version\":2}}}\n";
  static const char* const names[] = {"time", "desired"};
  for (size_t piece : {size_t(1), size_t(3), size_t(1000)}) {
    Text<128> out;
    MemberFilter filter(names, 2, out);
    for (size_t at = 0; at < data.size(); at += piece) CHECK(filter.put(data.data() + at, std::min(piece, data.size() - at)));
    CHECK(filter.finish());
    CHECK_TEXT(out.c_str(), "{\"time\":77 ,\"desired\":{\"v0\":{\"value\":[1,\"]\"],\"version\":2}}}");
  }
  for (const char* bad : {"", "[1]", "{\"a\":1", "{\"a\":1}}", "{\"a\":1}x", "{\"a\":]}", "<html>"}) {
    Text<128> out;
    MemberFilter filter(names, 2, out);
    const bool taken = filter.put(bad, strlen(bad));
    CHECK(!filter.finish() || !taken);
  }
  Text<16> small;
  MemberFilter filter(names, 2, small);
  const char large[] = "{\"time\":1234567890,\"desired\":7}";
  CHECK(filter.put(large, strlen(large)) && filter.finish() && filter.dropped() == 1);
  CHECK_TEXT(small.c_str(), "{\"desired\":7}");
}

static bool begins_with_v(Slice name, const void* context) {
  ++*static_cast<size_t*>(const_cast<void*>(context));
  return name.data[0] == 'v';
}

static void of_an_opened_object_only_some_members_are_kept() {
  std::string data = "{\"desired\":{\"v0\":{\"value\":\"}\",\"version\":1}";
  for (int i = 0; i < 255; i++) data += ",\"wish" + std::to_string(i) + "\":{\"value\":\"" + std::string(4000, 'x') + "\",\"version\":1}";
  data += ",\"v1\":{\"value\":\"" + std::string(300, 'y') + "\",\"version\":2} , \"v2\":3},\"v3\":{\"v4\":1},\"time\":5}";
  static const char* const names[] = {"time"};
  for (size_t piece : {size_t(1), size_t(7), size_t(100000)}) {
    Text<90> out;
    size_t asked = 0;
    MemberFilter filter(names, 1, out);
    filter.open("desired", begins_with_v, &asked);
    for (size_t at = 0; at < data.size(); at += piece) CHECK(filter.put(data.data() + at, std::min(piece, data.size() - at)));
    CHECK(filter.finish() && filter.dropped() == 1 && asked == 258);
    CHECK_TEXT(out.c_str(), "{\"desired\":{\"v0\":{\"value\":\"}\",\"version\":1},\"v2\":3},\"time\":5}");
  }
  for (const char* odd : {"{\"desired\":{}}", "{\"desired\":[1]}", "{\"desired\":{\"a\":1}}", "{\"desired\":null,\"x\":{\"v\":1}}"}) {
    Text<90> out;
    size_t asked = 0;
    MemberFilter filter(names, 1, out);
    filter.open("desired", begins_with_v, &asked);
    CHECK(filter.put(odd, strlen(odd)) && filter.finish());
    CHECK(json::skip_value(out.c_str(), out.c_str() + out.size()) == out.c_str() + out.size());
  }
  for (size_t cut = 0; cut < 60; cut++) {
    Text<90> out;
    size_t asked = 0;
    MemberFilter filter(names, 1, out);
    filter.open("desired", begins_with_v, &asked);
    filter.put(data.data(), cut);
    CHECK(!filter.finish());
  }
}

static void addresses_are_checked() {
  Address address;
  CHECK(address.parse("http://192.168.1.7:8000/") && address.port == 8000 && !address.secure);
  CHECK_TEXT(address.host, "192.168.1.7");
  CHECK(address.parse("https://home.example") && address.port == 443 && address.secure);
  for (const char* bad : {"", "home.example", "ftp://a", "http://", "http://a:0", "http://a:99999", "http://a:b", "http://a/path", "http://u@a", "http://a b", "http://a:1:2", "http://a\r\nX: y"}) {
    CHECK(!address.parse(bad));
  }
}

struct Fetch {
  FakeBoard board;
  FakeSocket socket;
  Http client;
  Text<64> body;
  Response response;

  Fetch() : client(socket, board) {
    client.address.parse("http://a:80");
    client.set_token("secret");
  }
  Failure get(const std::string& bytes) {
    socket.answer = [bytes](const Got&) { return bytes; };
    return again();
  }
  Failure again() {
    body.clear();
    HeadSink sink(body);
    Request request = {"GET", "/x", "", NULL, 0};
    return client.exchange(request, response, sink);
  }
};

static void every_kind_of_body_is_read() {
  Fetch fetch;
  CHECK(fetch.get("HTTP/1.1 200 OK\r\ncontent-length:  5 \r\nRetry-After: 7\r\n\r\nhello") == kDone);
  CHECK_TEXT(fetch.body.c_str(), "hello");
  CHECK(fetch.response.retry_after_s == 7 && fetch.socket.open);
  CHECK_TEXT(fetch.socket.got[0].line, "GET /x HTTP/1.1");
  CHECK(fetch.socket.got[0].headers.find("Authorization: Bearer secret\r\n") != std::string::npos);
  CHECK(fetch.get("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0a\r\n0123456789\r\n0\r\nX: y\r\n\r\n") == kDone);
  CHECK_TEXT(fetch.body.c_str(), "abc0123456789");
  CHECK(fetch.get("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n") == kDone && fetch.response.status == 304);
  CHECK(fetch.get("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n") == kDone && !fetch.socket.open);
}

static void what_is_no_answer_is_told_apart() {
  for (const char* bad : {"SSH-2.0-x\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n"}) {
    Fetch fetch;
    CHECK(fetch.get(bad) == kNotHttp);
    CHECK(!fetch.socket.open);
  }
  Fetch endless;
  std::string headers = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 200; i++) headers += "A: b\r\n";
  CHECK(endless.get(headers) == kNotHttp);
  Fetch silent;
  CHECK(silent.get("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe") == kTimeout);
  Fetch away;
  away.socket.plugged = false;
  CHECK(away.get("") == kNoConnection);
}

static void an_answer_without_an_end_is_given_up() {
  for (const char* head : {"HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", "HTTP/1.1 200 OK\r\n\r\n"}) {
    Fetch fetch;
    // There is always something to read, and reading takes its time.
    fetch.socket.endless = true;
    fetch.socket.board = &fetch.board;
    CHECK(fetch.get(head) == kTimeout);
    CHECK(!fetch.socket.open && fetch.board.now < 30000);
  }
}

static void a_kept_connection_that_died_is_opened_again() {
  Fetch fetch;
  CHECK(fetch.get(http(200, "one")) == kDone && fetch.socket.open);
  fetch.socket.half_closed = true;
  CHECK(fetch.again() == kDone);
  CHECK_TEXT(fetch.body.c_str(), "one");
}

typedef Queue<256, 160> SmallQueue;

static std::string drain(SmallQueue& queue) {
  std::string all;
  while (queue.load()) {
    all += str(queue.block()) + "\n";
    queue.delivered();
  }
  return all;
}

static void samples_leave_in_order_and_once() {
  SmallQueue queue;
  queue.begin(NULL);
  CHECK(queue.add(10, false, Slice("{\"a\":1}")));
  CHECK(!queue.load());
  queue.date(1000);
  queue.date(5000);
  CHECK(queue.add(1020, true, Slice("{\"a\":2}")));
  CHECK(queue.load() && queue.block_count() == 2);
  CHECK_TEXT(str(queue.block()), "{\"ts\":1010,\"data\":{\"a\":1}},{\"ts\":1020,\"data\":{\"a\":2}}");
  CHECK(queue.load() && queue.block_count() == 2);
  queue.delivered();
  CHECK(queue.empty() && !queue.load());
  CHECK(!queue.add(1, true, Slice(std::string(150, 'x').c_str())) && queue.lost() == 1);
}

static void samples_leave_one_by_one_from_memory_and_from_storage() {
  for (bool stored : {false, true}) {
    FakeStorage storage;
    SmallQueue queue;
    queue.begin(&storage);
    for (int i = 0; i < 5; i++) CHECK(queue.add(i, true, Slice("{\"a\":[1,{\"b\":2}]}")));
    if (stored) CHECK(queue.spill(true) && queue.in_memory() == 0);
    for (int i = 0; i < 5; i++) {
      CHECK(queue.load(1) && queue.block_count() == 1);
      CHECK_TEXT(str(queue.block()), "{\"ts\":" + std::to_string(i) + ",\"data\":{\"a\":[1,{\"b\":2}]}}");
      // Asked again without delivery it is the same; all together it is the rest.
      CHECK(queue.load() && str(queue.block()).compare(0, 7, "{\"ts\":" + std::to_string(i)) == 0);
      CHECK(queue.load(1) && queue.load(1));
      queue.delivered();
      if (i == 2) CHECK(queue.add(9, true, Slice("{\"z\":1}")));
    }
    CHECK_TEXT(drain(queue), "{\"ts\":9,\"data\":{\"z\":1}}\n");
    CHECK(queue.lost() == 0 && queue.empty() && storage.blocks.empty());
  }
  // What was sent alone and is then dropped to make room is not lost.
  FakeStorage storage;
  SmallQueue queue;
  queue.begin(&storage);
  for (int i = 0; i < 4; i++) queue.add(i, true, Slice("{\"a\":1}"));
  CHECK(queue.spill(true) && queue.load(1));
  queue.delivered();
  const uint32_t before = queue.lost();
  for (int i = 4; i < 100; i++) queue.add(i, true, Slice("{\"a\":1}"));
  size_t waiting = 0;
  const std::string all = drain(queue);
  for (size_t at = 0; (at = all.find("ts", at)) != std::string::npos; at++) waiting++;
  CHECK(before == 0 && queue.lost() + waiting == 99);
}

static void memory_that_is_full_loses_the_oldest() {
  SmallQueue queue;
  queue.begin(NULL);
  for (int i = 0; i < 50; i++) CHECK(queue.add(i, true, Slice("{\"a\":1}")));
  CHECK(queue.lost() + queue.in_memory() == 50 && queue.in_memory() >= 10);
  CHECK(queue.load());
  const std::string first = "{\"ts\":" + std::to_string(queue.lost()) + ",";
  CHECK_TEXT(str(queue.block()).substr(0, first.size()), first);
}

static void storage_outlives_a_restart() {
  FakeStorage storage;
  {
    SmallQueue queue;
    queue.begin(&storage);
    for (int i = 0; i < 9; i++) queue.add(i, true, Slice("{\"a\":1}"));
    CHECK(queue.spill(true) && queue.in_memory() == 0 && queue.in_storage() == 2);
  }
  SmallQueue queue;
  queue.begin(&storage);
  CHECK(queue.in_storage() == 2);
  queue.add(9, true, Slice("{\"a\":1}"));
  std::string wanted;
  const std::string all = drain(queue);
  size_t at = 0;
  for (int i = 0; i < 10; i++) {
    at = all.find("{\"ts\":" + std::to_string(i) + ",", at);
    CHECK(at != std::string::npos);
  }
  CHECK(storage.blocks.empty());
  // Numbers go on, also when they wrap around the places.
  for (int round = 0; round < 10; round++) {
    queue.add(100 + round, true, Slice("{\"a\":1}"));
    CHECK(queue.spill(true));
    SmallQueue next;
    next.begin(&storage);
    CHECK(next.load());
    CHECK_TEXT(str(next.block()), "{\"ts\":" + std::to_string(100 + round) + ",\"data\":{\"a\":1}}");
    CHECK(queue.load());
    queue.delivered();
  }
}

static void storage_that_is_full_loses_its_oldest_block() {
  FakeStorage storage;
  SmallQueue queue;
  queue.begin(&storage);
  for (int i = 0; i < 100; i++) CHECK(queue.add(i, true, Slice("{\"a\":1}")));
  CHECK(queue.in_storage() == 3);
  size_t waiting = queue.in_memory();
  const std::string all = drain(queue);
  for (size_t at = 0; (at = all.find("ts", at)) != std::string::npos; at++) waiting++;
  CHECK(queue.lost() > 0 && all.find("{\"ts\":99,") != std::string::npos);
  const std::string first = "{\"ts\":" + std::to_string(queue.lost()) + ",";
  CHECK_TEXT(all.substr(0, first.size()), first);
}

static void a_damaged_block_is_none() {
  for (int at = 0; at < 40; at++) {
    FakeStorage storage;
    SmallQueue queue;
    queue.begin(&storage);
    queue.add(1, true, Slice("{\"a\":1}"));
    CHECK(queue.spill(true));
    std::string& block = storage.blocks[0];
    block[static_cast<size_t>(at)] = static_cast<char>(block[static_cast<size_t>(at)] ^ 4);
    SmallQueue next;
    next.begin(&storage);
    CHECK(next.empty() && !next.load());
    block.resize(static_cast<size_t>(at));
    next.begin(&storage);
    CHECK(next.empty() && !next.load());
  }
  FakeStorage broken;
  broken.broken = true;
  SmallQueue queue;
  queue.begin(&broken);
  queue.add(1, true, Slice("{\"a\":1}"));
  CHECK(!queue.spill(true) && queue.in_memory() == 1);
}

struct Relay {
  int calls = 0;
  bool works = true;
  Value last;
  static bool handle(const char*, const Value& value, void* context) {
    Relay* relay = static_cast<Relay*>(context);
    relay->calls++;
    relay->last = value;
    return relay->works;
  }
};

static std::string report(Pins<4>& pins) {
  Text<256> out;
  pins.write(out);
  return out.c_str();
}

static void a_wish_is_done_once_and_answered_with_its_version() {
  Pins<4> pins;
  Relay relay;
  CHECK(pins.on("v0", Relay::handle, &relay));
  Text<256> changed;
  const Slice wish("{\"v0\":{\"value\":true,\"version\":7},\"v9\":{\"value\":1,\"version\":1}}");
  CHECK(pins.apply(wish, changed) == 1);
  CHECK_TEXT(changed.c_str(), "{\"v0\":true}");
  CHECK(relay.calls == 1 && relay.last.on() && pins.open());
  CHECK_TEXT(report(pins), "{\"v0\":{\"value\":true,\"version\":7}}");
  pins.reported();
  CHECK(!pins.open());
  // The answer got lost: it is told again, and nothing switches again.
  Text<256> again;
  CHECK(pins.apply(wish, again) == 0 && relay.calls == 1 && pins.open());
  pins.reported();
  // A button overrides; the version 0 answers no wish, and an older wish is not done again.
  CHECK(pins.set("v0", Value(false)));
  CHECK_TEXT(report(pins), "{\"v0\":{\"value\":false,\"version\":0}}");
  pins.reported();
  // A wish that cannot be done stays open.
  relay.works = false;
  CHECK(pins.apply(Slice("{\"v0\":{\"value\":3.5,\"version\":8}}"), again) == 0 && !pins.open());
  relay.works = true;
  CHECK(pins.apply(Slice("{\"v0\":{\"value\":3.5,\"version\":8}}"), again) == 1);
  CHECK(relay.last.number() > 3.4 && relay.last.integer() == 3);
}

static void odd_wishes_switch_nothing() {
  Pins<2> pins;
  Relay relay;
  pins.on("v0", Relay::handle, &relay);
  for (const char* odd : {"{}", "[]", "7", "{\"v0\":1}", "{\"v0\":{\"value\":1}}", "{\"v0\":{\"value\":1,\"version\":0}}", "{\"v0\":{\"value\":1,\"version\":1.5}}",
                          "{\"v0\":{\"value\":null,\"version\":1}}", "{\"v0\":{\"value\":{},\"version\":1}}", "{\"v0\":{\"version\":1}}",
                          "{\"v0\":{\"value\":\"0123456789012345678901234567890123\",\"version\":1}}", "{\"v0\":{\"value\":1,\"version\":1"}) {
    Text<64> changed;
    CHECK(pins.apply(Slice(odd), changed) == 0);
  }
  CHECK(relay.calls == 0);
  CHECK(!pins.on("a-key-that-is-too-long", Relay::handle, &relay));
  CHECK(pins.set("v1", Value(1)) && !pins.set("v2", Value(1)));
  Text<40> narrow;
  pins.set("v0", Value("a text with 25 characters"));
  pins.write(narrow);
  CHECK(narrow.ok());
  CHECK_TEXT(narrow.c_str(), "{}");
}

static void waiting_times_grow_to_their_end() {
  Backoff backoff(1000, 60000);
  std::vector<uint32_t> waits;
  for (int i = 0; i < 8; i++) waits.push_back(backoff.next(0));
  CHECK((waits == std::vector<uint32_t>{1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000}));
  CHECK(backoff.next(4000000000u) >= 45000);
  backoff.reset();
  CHECK(backoff.next(1) == 999);
  FakeBoard board;
  Uptime uptime;
  board.now = 0xFFFFFFF0u;
  CHECK(uptime.now(board) == 0xFFFFFFF0ll);
  board.now += 0x20;
  CHECK(uptime.now(board) == 0x100000010ll);
}

struct FakeRadio : Radio {
  bool up = false;
  int attempts = 0;
  bool connected() override { return up; }
  void connect() override { attempts++; }
};

static void the_radio_is_tried_with_pauses() {
  FakeBoard board;
  FakeRadio radio;
  RadioKeeper keeper;
  std::vector<int64_t> starts;
  for (int64_t now = 0; now < 600000; now += 100) {
    const int before = radio.attempts;
    CHECK(!keeper.keep(radio, board, now));
    if (radio.attempts > before) starts.push_back(now);
  }
  CHECK(starts.size() >= 6 && starts[0] == 0);
  for (size_t i = 2; i < starts.size(); i++) CHECK(starts[i] - starts[i - 1] >= starts[i - 1] - starts[i - 2]);
  CHECK(starts.back() - starts[starts.size() - 2] <= 136000);
  radio.up = true;
  CHECK(keeper.keep(radio, board, 600000) && board.said_last("connected"));
  radio.up = false;
  const int before = radio.attempts;
  CHECK(!keeper.keep(radio, board, 600100) && radio.attempts == before + 1);
}

static void updates_come_from_the_same_server() {
  Update update;
  CHECK(update.read(Slice("{\"update_available\":true,\"version\":\"1.2\",\"firmware_url\":\"http://evil.example:1/api/ota/download/k?ticket=t\",\"file_size\":9}")));
  CHECK_TEXT(update.path, "/api/ota/download/k?ticket=t");
  CHECK(update.size == 9);
  for (const char* none : {"", "{}", "{\"update_available\":false,\"message\":\"x\"}", "{\"update_available\":true}", "{\"update_available\":true,\"firmware_url\":7}",
                           "{\"update_available\":true,\"firmware_url\":\"http://a\"}", "{\"update_available\":true,\"firmware_url\":\"http://a/\\r\\nX: y\"}",
                           "{\"update_available\":\"true\",\"firmware_url\":\"http://a/b\"}"}) {
    CHECK(!update.read(Slice(none)));
  }
}

int main() {
  text_stays_in_its_buffer();
  numbers_are_json();
  json_is_walked_and_never_trusted();
  strings_are_decoded();
  only_wanted_members_are_kept_however_large_the_rest();
  of_an_opened_object_only_some_members_are_kept();
  addresses_are_checked();
  every_kind_of_body_is_read();
  what_is_no_answer_is_told_apart();
  an_answer_without_an_end_is_given_up();
  a_kept_connection_that_died_is_opened_again();
  samples_leave_in_order_and_once();
  samples_leave_one_by_one_from_memory_and_from_storage();
  memory_that_is_full_loses_the_oldest();
  storage_outlives_a_restart();
  storage_that_is_full_loses_its_oldest_block();
  a_damaged_block_is_none();
  a_wish_is_done_once_and_answered_with_its_version();
  odd_wishes_switch_nothing();
  waiting_times_grow_to_their_end();
  the_radio_is_tried_with_pauses();
  updates_come_from_the_same_server();
  std::puts("parts: ok");
  return 0;
}
