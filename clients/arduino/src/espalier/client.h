// One device and its server: what is sent when, what happens when it does not arrive, and what the answers mean.
//
// Call loop() often; each call sends at most one request. Nothing is allocated. Memory is what the template says.
#ifndef ESPALIER_CLIENT_H
#define ESPALIER_CLIENT_H

#include "commands.h"
#include "http.h"
#include "pins.h"
#include "queue.h"
#include "update.h"

namespace espalier {

/// How it stands with the server.
enum State {
  /// begin() was not called, or with an address that is none.
  kIdle,
  /// No answer yet, or none since the last failure; attempts go on with growing pauses.
  kOffline,
  /// The server answers.
  kOnline,
  /// The server does not know this device or its token; the next attempt is a quarter of an hour away, later ones further.
  kRefused
};

/// RamBytes: samples in memory. BlockBytes: one request with samples, one block of storage. PinCount: virtual pins.
template <size_t RamBytes = 4096, size_t BlockBytes = 1536, size_t PinCount = 16>
class Client {
 public:
  Client(Board& board, Socket& socket)
      : board_(board), http_(socket, board), sample_size_(0), state_(kIdle), not_before_(0), offset_(0), offset_known_(false),
        last_time_(0), refused_samples_(0), apart_(0), pins_apart_(false), backoff_(1000, 60000), refusals_(900000, 14400000), poll_every_(5000),
        command_every_(5000), beat_every_(60000), update_every_(0), poll_at_(0), command_at_(0), beat_at_(0), update_at_(0),
        update_handler_(NULL), update_context_(NULL) {
    device_[0] = token_[0] = type_[0] = version_[0] = '\0';
  }

  /// Names the server (`http://host:port` or `https://host`), the device's id and its token. False, with a sentence on the
  /// console, when one of them cannot be right.
  bool begin(const char* server, const char* device, const char* token, Storage* storage = NULL) {
    state_ = kIdle;
    if (!http_.address.parse(server)) return wrong("the server's address must look like http://host:8000 or https://host");
    if (!copy_text(device_, sizeof device_, Slice(device)) || !is_word(device_)) return wrong("the device id is empty, too long or holds a wrong character");
    if (!copy_text(token_, sizeof token_, Slice(token)) || !is_word(token_)) return wrong("the token is empty, too long or holds a wrong character");
    http_.set_token(token_);
    queue_.begin(storage);
    state_ = kOffline;
    return true;
  }

  /// Names the kind of sketch and its version, for the app and for updates. False, with a sentence on the console, when one of them is
  /// longer than 50 bytes.
  bool set_firmware(const char* type, const char* version) {
    const bool fits = copy_text(type_, sizeof type_, Slice(type));
    if (copy_text(version_, sizeof version_, Slice(version)) && fits) return true;
    return wrong("the type and the version of the firmware may have 50 bytes");
  }
  /// How often to ask what the pins should be, milliseconds; 0: never.
  void poll_every(uint32_t ms) { poll_every_ = ms; }
  /// How often to ask for commands, milliseconds; 0: never.
  void commands_every(uint32_t ms) { command_every_ = ms; }
  /// How often to give a sign of life, milliseconds; 0: never.
  void beat_every(uint32_t ms) { beat_every_ = ms; }
  /// How long a request may take, milliseconds.
  void set_timeout(uint32_t ms) { http_.set_timeout(ms); }

  /// Adds one value to the present sample. False, and nothing is added, when the key is no key, the number is none or the
  /// sample is full.
  bool add(const char* key, const Value& value) {
    const size_t before = begin_value(key);
    value.write(sample_);
    return end_value(before, is_key(key) && value.is_value());
  }
  /// Adds a text of any length that fits into the sample.
  bool add(const char* key, const char* text) {
    const size_t before = begin_value(key);
    sample_.quoted(Slice(text));
    return end_value(before, is_key(key));
  }
  /// Closes the present sample and queues it with the time of now. False when it is empty or too large to be sent.
  bool send() {
    if (sample_size_ == 0) return false;
    sample_.rewind(sample_size_);
    sample_.put('}');
    const bool queued = sample_.ok() && stamp(sample_.slice());
    sample_.clear();
    sample_size_ = 0;
    return queued;
  }

  /// Registers what does the wishes for a pin: `v0`, or any other key.
  bool on_pin(const char* key, PinHandler handler, void* context = NULL) { return pins_.on(key, handler, context); }
  /// Reports a pin that the board changed by itself.
  bool set_pin(const char* key, const Value& value) {
    if (!is_key(key) || !value.is_value() || !pins_.set(key, value)) return false;
    return add(key, value) && send();
  }
  const Value* pin(const char* key) const { return pins_.get(key); }
  /// Registers what does commands; without it the server is not asked for any.
  void on_command(CommandHandler handler, void* context = NULL) { commands_.on(handler, context); }
  /// Registers what installs a sketch, and how often to ask for one, milliseconds.
  void on_update(UpdateHandler handler, void* context, uint32_t every_ms) {
    update_handler_ = handler;
    update_context_ = context;
    update_every_ = every_ms;
  }

  /// Does what is due. `network`: whether the board is in a network at all.
  void loop(bool network) {
    const int64_t now = uptime_.now(board_);
    learn_time(now);
    if (state_ == kIdle) return;
    if (!network) {
      http_.close();
      if (state_ == kOnline) state_ = kOffline;
    }
    if (network && now >= not_before_) work(now);
    // While nothing leaves, memory is kept free for what comes.
    if (state_ != kOnline) queue_.spill(false);
  }

  /// Before sleep or a restart: moves every sample that has a time to storage. False when some stay behind.
  bool save() { return queue_.spill(true); }

  State state() const { return state_; }
  /// Samples dropped because there was no room.
  uint32_t lost() const { return queue_.lost(); }
  /// Samples that the server did not take.
  uint32_t refused() const { return refused_samples_; }
  /// Whether nothing waits to be sent.
  bool settled() const { return queue_.empty() && !pins_.open() && !commands_.open(); }
  size_t in_memory() const { return queue_.in_memory(); }
  size_t in_storage() const { return queue_.in_storage(); }
  /// Milliseconds UTC, or 0 while unknown.
  int64_t utc_ms() { return offset_known_ ? uptime_.now(board_) + offset_ : 0; }
  /// The socket and address, for the glue's updater.
  Http& http() { return http_; }
  const char* token() const { return token_; }
  const char* version() const { return version_; }

 private:
  static bool is_word(const char* text) {
    for (const char* c = text; *c != '\0'; c++) {
      if (*c <= ' ' || *c >= 0x7F || strchr("/?#%\"\\", *c)) return false;
    }
    return *text != '\0';
  }
  /// Whether the server takes it as a key.
  static bool is_key(const char* key) {
    const size_t length = strlen(key);
    if (length == 0 || length > 128 || key[0] == '_') return false;
    for (const char* c = key; *c != '\0'; c++) {
      const bool plain = (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
      if (!plain && !strchr("_.:-/ ", *c)) return false;
    }
    return true;
  }

  bool wrong(const char* what) {
    Text<120> line;
    board_.say(line.raw("Espalier: ").raw(what).c_str());
    return false;
  }

  size_t begin_value(const char* key) {
    const size_t before = sample_size_;
    sample_.rewind(before);
    sample_.put(before == 0 ? '{' : ',').quoted(Slice(key)).put(':');
    return before;
  }
  bool end_value(size_t before, bool allowed) {
    // One byte for the bracket.
    const bool fits = allowed && sample_.ok() && sample_.size() + 2 <= sample_.capacity();
    sample_size_ = fits ? sample_.size() : before;
    sample_.rewind(sample_size_);
    return fits;
  }

  /// Queues a sample; no two have the same time, so that none takes another one's place.
  bool stamp(Slice data) {
    int64_t time = uptime_.now(board_) + (offset_known_ ? offset_ : 0);
    if (time <= last_time_) time = last_time_ + 1;
    last_time_ = time;
    return queue_.add(time, offset_known_, data);
  }

  void learn_time(int64_t now) {
    if (!offset_known_ && board_.utc_ms() > 0) set_offset(board_.utc_ms() - now);
  }
  void set_offset(int64_t offset) {
    const int64_t change = offset - offset_;
    if (!offset_known_) {
      last_time_ += offset;
      queue_.date(offset);
    } else if (change > -2000 && change < 2000) {
      // As exact as a request over Wi-Fi can tell; times must not jump to and fro.
      return;
    }
    offset_known_ = true;
    offset_ = offset;
    // A clock that was far ahead would otherwise pin all samples to its last moment.
    if (change < -2000) last_time_ = 0;
  }

  static bool due(uint32_t every, int64_t at, int64_t now) { return every > 0 && now >= at; }

  /// The one request of this turn. What people wait for comes first.
  void work(int64_t now) {
    const bool poll = now >= poll_at_ && (poll_every_ > 0 || !offset_known_);
    if (poll) {
      poll_at_ = now + (poll_every_ > 0 ? poll_every_ : 60000);
      ask_state();
    } else if (pins_.open() || queue_.load()) {
      post();
    } else if (commands_.open()) {
      answer_command();
    } else if (commands_.wanted() && due(command_every_, command_at_, now)) {
      command_at_ = now + command_every_;
      ask_commands();
    } else if (due(beat_every_, beat_at_, now)) {
      beat_at_ = now + beat_every_;
      beat();
    } else if (update_handler_ != NULL && due(update_every_, update_at_, now)) {
      update_at_ = now + update_every_;
      ask_update();
    }
  }

  /// Sends a request and draws the conclusions that hold for all of them; returns the status, or 0.
  int exchange(const char* method, const char* path, const Slice* parts, size_t count, Sink& body, const char* headers = "") {
    Request request = {method, path, headers, parts, count};
    Response response;
    const Failure failure = http_.exchange(request, response, body);
    const int64_t now = uptime_.now(board_);
    if (failure != kDone && failure != kStopped) {
      offline(now, failure_text(failure), 0, 0);
      return 0;
    }
    const int status = response.status;
    if (status == 401 || status == 403) {
      refuse(now, status);
    } else if ((status >= 300 || status < 200) && !is_about_the_request(status)) {
      offline(now, status == 429 ? "too many requests" : "the server cannot answer now", status, response.retry_after_s);
    }
    return status;
  }

  /// The server itself has answered.
  int good(int status) {
    if (status != 200) return status;
    if (state_ != kOnline) board_.say("Espalier: online");
    state_ = kOnline;
    backoff_.reset();
    refusals_.reset();
    return status;
  }

  /// Whether a status speaks of this one request, so that others may go well. Anything else (a redirect of a proxy, too) is a
  /// server that does not work now.
  static bool is_about_the_request(int status) {
    return status == 400 || status == 404 || status == 409 || status == 413 || status == 422;
  }

  void offline(int64_t now, const char* why, int status, uint32_t retry_after_s) {
    uint32_t wait = backoff_.next(board_.random());
    if (wait < retry_after_s * 1000u) wait = retry_after_s * 1000u + board_.random() % 1000u;
    not_before_ = now + wait;
    state_ = kOffline;
    Text<160> line;
    line.raw("Espalier: ").raw(why);
    if (status != 0) line.raw(" (").integer(status).put(')');
    line.raw("; next attempt in ").integer((wait + 999) / 1000).raw(" s, samples are kept");
    board_.say(line.c_str());
  }

  /// A page of a hotel's network also answers 200.
  void strange(int64_t now) { offline(now, "what answers is not understood; is it this server?", 0, 0); }

  void refuse(int64_t now, int status) {
    const uint32_t wait = refusals_.next(board_.random());
    not_before_ = now + wait;
    state_ = kRefused;
    http_.close();
    Text<200> line;
    line.raw("Espalier: the server does not accept this device's token (").integer(status);
    line.raw("); check the device id and the token. Next attempt in ").integer(wait / 60000).raw(" min");
    board_.say(line.c_str());
  }

  void device_path(Writer& path, const char* before, const char* after) { path.raw(before).raw(device_).raw(after); }

  static bool is_obeyed(Slice key, const void* pins) { return static_cast<const Pins<PinCount>*>(pins)->obeys(key); }

  void ask_state() {
    static const char* const names[] = {"time"};
    MemberFilter filter(names, 1, scratch_);
    // The app may want more of a device than a board remembers; what nobody here does is not kept.
    filter.open("desired", is_obeyed, &pins_);
    const int64_t asked = uptime_.now(board_);
    const int status = exchange("GET", "/telemetry/latest", NULL, 0, filter);
    const int64_t now = uptime_.now(board_);
    // This path knows the device by its token alone.
    if (status == 404) return refuse(now, status);
    if (status != 200) return;
    Slice value;
    int64_t time = 0;
    if (!filter.finish() || !json::find(scratch_.slice(), "time", value)) return strange(now);
    good(status);
    if (json::to_integer(value, time) && time > 0) {
      set_offset(time - (asked + now) / 2);
    }
    if (!json::find(scratch_.slice(), "desired", value)) return;
    Text<PinCount * 56 + 2> changed;
    if (pins_.apply(value, changed) > 0 && changed.ok()) stamp(changed.slice());
  }

  /// Sends pins and samples. When the server takes none of it, because of some, each goes alone, one with each turn, and what is
  /// refused alone is dropped.
  void post() {
    Text<96> path;
    device_path(path, "/devices/", "/telemetry");
    const bool with_pins = pins_.open() && (pins_apart_ || apart_ == 0);
    const size_t count = !(with_pins && pins_apart_) && queue_.load(apart_ > 0 ? 1 : queue_.kAll) ? queue_.block_count() : 0;
    if (!with_pins && count == 0) {
      // Nothing is left of what should go alone.
      apart_ = 0;
      pins_apart_ = false;
      return;
    }
    scratch_.clear();
    if (with_pins) pins_.write(scratch_);
    const int status = post_samples(path.c_str(), count > 0 ? queue_.block() : Slice(), with_pins);
    if (status == 404) return refuse(uptime_.now(board_), status);
    if (is_about_the_request(status) && count + (with_pins ? 1 : 0) > 1) {
      apart_ = count;
      pins_apart_ = with_pins;
      return;
    }
    if (status != 200 && !is_about_the_request(status)) return;
    if (status != 200) dropped(count > 0);
    if (with_pins) pins_.reported();
    if (count > 0) queue_.delivered();
    if (pins_apart_) {
      pins_apart_ = false;
    } else if (apart_ > 0) {
      apart_--;
    }
  }

  void dropped(bool sample) {
    if (sample) {
      refused_samples_++;
      board_.say("Espalier: the server refused a sample; it is dropped");
    } else {
      board_.say("Espalier: the server did not take the state of a pin; it is not sent again");
    }
  }

  int post_samples(const char* path, Slice samples, bool with_pins) {
    Slice parts[5];
    parts[0] = Slice("{\"samples\":[");
    parts[1] = samples;
    parts[2] = with_pins ? Slice("],\"reported\":") : Slice("]");
    if (with_pins) parts[3] = scratch_.slice();
    parts[4] = Slice("}");
    static const char* const names[] = {"accepted"};
    Text<64> accepted;
    MemberFilter filter(names, 1, accepted);
    const int status = exchange("POST", path, parts, 5, filter);
    if (status != 200) return status;
    // Samples are forgotten only when the server itself says that it has them.
    Slice count;
    if (filter.finish() && json::find(accepted.slice(), "accepted", count)) return good(status);
    strange(uptime_.now(board_));
    return 0;
  }

  void ask_commands() {
    Text<96> path;
    device_path(path, "/devices/", "/commands/pending");
    scratch_.clear();
    HeadSink head(scratch_);
    const int status = exchange("GET", path.c_str(), NULL, 0, head);
    if (status == 404) return refuse(uptime_.now(board_), status);
    if (status != 200) return;
    if (!commands_.is_list(scratch_.slice())) return strange(uptime_.now(board_));
    good(status);
    commands_.take(scratch_.slice(), head.cut());
  }

  void answer_command() {
    scratch_.clear();
    const char* id = commands_.unanswered(scratch_);
    if (id == NULL) return;
    Text<128> path;
    device_path(path, "/devices/", "/commands/");
    path.raw(id).raw("/result");
    const Slice body = scratch_.slice();
    const int status = tell(path.c_str(), body);
    // An outcome that is not wanted (the command is over, or unknown) is not told again.
    if (status == 200 || is_about_the_request(status)) commands_.answered(id);
  }

  void beat() {
    Text<96> path;
    device_path(path, "/api/devices/", "/heartbeat");
    scratch_.clear();
    scratch_.raw("{\"uptime\":").integer(uptime_.now(board_) / 1000);
    if (type_[0] != '\0') scratch_.raw(",\"device_type\":").quoted(Slice(type_));
    if (version_[0] != '\0') scratch_.raw(",\"version\":").quoted(Slice(version_));
    if (board_.free_heap() > 0) scratch_.raw(",\"free_heap\":").integer(board_.free_heap());
    if (board_.rssi() != 0) scratch_.raw(",\"wifi_rssi\":").integer(board_.rssi());
    scratch_.put('}');
    const Slice body = scratch_.slice();
    if (tell(path.c_str(), body) == 404) refuse(uptime_.now(board_), 404);
  }

  /// Sends something of whose answer only matters that it is one of this server.
  int tell(const char* path, const Slice& body) {
    ObjectSink sink;
    const int status = exchange("POST", path, &body, 1, sink);
    if (status == 200 && !sink.object()) {
      strange(uptime_.now(board_));
      return 0;
    }
    return good(status);
  }

  void ask_update() {
    Text<96> path;
    device_path(path, "/api/ota/check/", "");
    Text<160> headers;
    if (version_[0] != '\0') headers.raw("X-Device-Version: ").raw(version_).raw("\r\n");
    if (type_[0] != '\0') headers.raw("X-Device-Type: ").raw(type_).raw("\r\n");
    scratch_.clear();
    HeadSink head(scratch_);
    const int status = exchange("GET", path.c_str(), NULL, 0, head, headers.c_str());
    Update update;
    if (status != 200 || head.cut() || !update.read(scratch_.slice())) return;
    Text<160> line;
    board_.say(line.raw("Espalier: installing ").raw(update.version).c_str());
    // The board restarts when this works: nothing must be lost by that.
    queue_.spill(true);
    http_.close();
    const char* why = update_handler_(update, update_context_);
    line.clear();
    board_.say(line.raw("Espalier: the update was not installed: ").raw(why != NULL ? why : "no reason").c_str());
  }

  Board& board_;
  Http http_;
  Uptime uptime_;
  Queue<RamBytes, BlockBytes> queue_;
  Pins<PinCount> pins_;
  Commands<4> commands_;
  char device_[41];
  char token_[97];
  char type_[51];
  char version_[51];
  Text<BlockBytes / 2> sample_;
  size_t sample_size_;
  Text<1536> scratch_;
  State state_;
  int64_t not_before_;
  int64_t offset_;
  bool offset_known_;
  int64_t last_time_;
  uint32_t refused_samples_;
  /// Samples to be sent alone, and whether the pins are, because the server refused them together.
  size_t apart_;
  bool pins_apart_;
  Backoff backoff_;
  Backoff refusals_;
  uint32_t poll_every_, command_every_, beat_every_, update_every_;
  int64_t poll_at_, command_at_, beat_at_, update_at_;
  UpdateHandler update_handler_;
  void* update_context_;
};

}  // namespace espalier

#endif
