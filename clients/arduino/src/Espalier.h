// Espalier for Arduino: the thin part that binds the portable client (src/espalier/) to Wi-Fi, TLS, flash and the updater of an
// ESP32 or ESP8266. What is decided, when and why is decided there; this file only passes on.
#ifndef ESPALIER_H
#define ESPALIER_H

#include <Arduino.h>
#include <Client.h>
#include <LittleFS.h>
#include <sys/time.h>
#include <time.h>

#if defined(ESP32)
#include <HTTPUpdate.h>
#include <WiFi.h>
#include <WiFiClient.h>
#include <WiFiClientSecure.h>
#elif defined(ESP8266)
#include <ESP8266WiFi.h>
#include <WiFiClientSecure.h>
#else
#error "Espalier runs on ESP32 and ESP8266 boards; the headers in src/espalier need no board and can be used elsewhere."
#endif

#include "espalier/client.h"

namespace espalier {

/// The board itself.
class ArduinoBoard : public Board {
 public:
  ArduinoBoard() : console(&Serial) {}
  Print* console;

  uint32_t millis() override { return ::millis(); }
  int64_t utc_ms() override {
    struct timeval now;
    gettimeofday(&now, NULL);
    // Without SNTP the clock starts in 1970; anything before 2023 is no time.
    if (now.tv_sec < 1672531200) return 0;
    return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_usec / 1000;
  }
  uint32_t random() override { return static_cast<uint32_t>(::random(0x7FFFFFFF)); }
  uint32_t free_heap() override { return ESP.getFreeHeap(); }
  int32_t rssi() override { return WiFi.status() == WL_CONNECTED ? WiFi.RSSI() : 0; }
  void idle() override { delay(1); }
  void say(const char* line) override {
    if (console != NULL) console->println(line);
  }
};

/// A connection of the core, with or without TLS.
class ArduinoSocket : public Socket {
 public:
  ArduinoSocket() : client_(&plain_), ready_(true) {}

  /// For `https` the certificate of the authority (PEM) must be there: what cannot be checked is not spoken to.
  void secure(const char* ca_pem) {
    client_ = &tls_;
    ready_ = ca_pem != NULL;
    if (!ready_) return;
#if defined(ESP32)
    tls_.setCACert(ca_pem);
#else
    delete anchors_;
    anchors_ = new BearSSL::X509List(ca_pem);
    tls_.setTrustAnchors(anchors_);
#endif
  }
  WiFiClient& client() { return *client_; }

  /// Connecting has the same time as an answer; by themselves the cores wait for a handshake up to two minutes.
  bool connect(const char* host, uint16_t port, uint32_t timeout_ms) override {
    if (!ready_) return false;
#if defined(ESP32)
    tls_.setHandshakeTimeout((timeout_ms + 999) / 1000);
    return client_->connect(host, port, static_cast<int32_t>(timeout_ms)) == 1;
#else
    client_->setTimeout(timeout_ms);
    return client_->connect(host, port) == 1;
#endif
  }
  bool connected() override { return client_->connected(); }
  size_t write(const char* bytes, size_t count) override { return client_->write(reinterpret_cast<const uint8_t*>(bytes), count); }
  int read(char* bytes, size_t count) override {
    int there = client_->available();
    if (there <= 0) {
      if (client_->connected()) return 0;
      // The last bytes may have come between the two questions.
      there = client_->available();
      if (there <= 0) return -1;
    }
    const int taken = client_->read(reinterpret_cast<uint8_t*>(bytes), count);
    return taken > 0 ? taken : 0;
  }
  void close() override { client_->stop(); }

 private:
  WiFiClient plain_;
  WiFiClientSecure tls_;
  WiFiClient* client_;
  bool ready_;
#if defined(ESP8266)
  BearSSL::X509List* anchors_ = NULL;
#endif
};

/// Blocks of samples as files.
class ArduinoStorage : public Storage {
 public:
  ArduinoStorage() : there_(false) {}
  bool begin() {
#if defined(ESP32)
    // `true`: a file system that was never made is made.
    there_ = LittleFS.begin(true);
#else
    there_ = LittleFS.begin();
#endif
    return there_;
  }
  size_t slots() override { return there_ ? 16 : 0; }
  bool write(size_t slot, const char* bytes, size_t count) override {
    Text<24> path;
    File file = LittleFS.open(name(path, slot), "w");
    if (!file) return false;
    const bool whole = file.write(reinterpret_cast<const uint8_t*>(bytes), count) == count;
    file.close();
    return whole;
  }
  size_t read(size_t slot, char* bytes, size_t capacity) override {
    Text<24> path;
    if (!LittleFS.exists(name(path, slot))) return 0;
    File file = LittleFS.open(path.c_str(), "r");
    if (!file) return 0;
    const size_t size = file.size();
    const size_t taken = size <= capacity ? static_cast<size_t>(file.read(reinterpret_cast<uint8_t*>(bytes), size)) : 0;
    file.close();
    return taken == size ? size : 0;
  }
  void erase(size_t slot) override {
    Text<24> path;
    LittleFS.remove(name(path, slot));
  }

 private:
  static const char* name(Writer& path, size_t slot) { return path.raw("/espalier-").integer(static_cast<int64_t>(slot)).c_str(); }
  bool there_;
};

/// The radio with one network.
class ArduinoRadio : public Radio {
 public:
  ArduinoRadio() : name_(NULL), password_(NULL) {}
  void begin(const char* name, const char* password) {
    name_ = name;
    password_ = password;
    WiFi.mode(WIFI_STA);
  }
  bool managed() const { return name_ != NULL; }
  bool connected() override { return WiFi.status() == WL_CONNECTED; }
  void connect() override {
    WiFi.disconnect();
    WiFi.begin(name_, password_);
  }

 private:
  const char* name_;
  const char* password_;
};

}  // namespace espalier

/// The device. Make one, call begin() in setup() and loop() in loop(). All texts that are given to it must stay where they are.
class EspalierDevice {
 public:
  EspalierDevice() : client_(board_, socket_), ca_(NULL) {}

  /// The network to stay in. Without it the sketch cares for Wi-Fi itself.
  void wifi(const char* name, const char* password) { radio_.begin(name, password); }
  /// The certificate (PEM) of the authority that signed the server's; `https` needs it.
  void ca(const char* pem) { ca_ = pem; }
  /// Where sentences for people go; NULL: nowhere.
  void console(Print* out) { board_.console = out; }

  /// The server (`http://host:8000` or `https://host`), the device's id and its token. False, with a sentence on the console,
  /// when one of them cannot be right.
  bool begin(const char* server, const char* device, const char* token) {
    if (!storage_.begin()) board_.say("Espalier: no file system; samples are kept in memory only");
    espalier::Address address;
    if (address.parse(server) && address.secure) {
      socket_.secure(ca_);
      if (ca_ == NULL) {
        board_.say("Espalier: https needs the certificate of the authority; give it to ca() before begin()");
        return false;
      }
#if defined(ESP8266)
      // Certificates are checked against the time, which the server cannot tell before.
      configTime(0, 0, "pool.ntp.org", "time.nist.gov");
#endif
    }
    return client_.begin(server, device, token, &storage_);
  }

  /// What kind of sketch this is and its version: shown in the app, and what updates go by.
  /// False, with a sentence on the console, when one of them is longer than 50 bytes.
  bool firmware(const char* type, const char* version) { return client_.set_firmware(type, version); }

#if defined(ESP32)
  /// Asks for a new sketch every so many seconds and installs it. The server knows no images for the ESP8266.
  void updates(uint32_t every_s) { client_.on_update(install, this, every_s * 1000); }
#endif

  /// Call it in loop(). It sends at most one request, and returns at once when nothing is due.
  void loop() {
    const bool network = radio_.managed() ? keeper_.keep(radio_, board_, uptime_.now(board_)) : radio_.connected();
    client_.loop(network);
  }

  /// Adds a value to the present sample.
  template <typename T>
  bool add(const char* key, T value) { return client_.add(key, value); }
  /// Closes the present sample; it leaves with the next loop().
  bool send() { return client_.send(); }

  /// Registers what does the wishes of the app for `v0`, `v1`, … or any other key.
  bool onPin(const char* key, espalier::PinHandler handler, void* context = NULL) { return client_.on_pin(key, handler, context); }
  /// Reports a pin that the board changed by itself.
  bool setPin(const char* key, const espalier::Value& value) { return client_.set_pin(key, value); }
  /// Registers what does commands.
  void onCommand(espalier::CommandHandler handler, void* context = NULL) { client_.on_command(handler, context); }

  /// Seconds between questions for wishes (5), for commands (5) and signs of life (60).
  void pollEvery(uint32_t s) { client_.poll_every(s * 1000); }
  void commandsEvery(uint32_t s) { client_.commands_every(s * 1000); }
  void beatEvery(uint32_t s) { client_.beat_every(s * 1000); }

  /// Before deep sleep or a restart: keeps the samples that wait.
  bool save() { return client_.save(); }
  bool online() const { return client_.state() == espalier::kOnline; }
  /// Whether nothing waits to be sent.
  bool settled() const { return client_.settled(); }
  espalier::Client<>& client() { return client_; }

 private:
#if defined(ESP32)
  static const char* install(const espalier::Update& update, void* context) {
    EspalierDevice& self = *static_cast<EspalierDevice*>(context);
    const espalier::Address& address = self.client_.http().address;
    espalier::Text<420> url;
    url.raw(address.secure ? "https://" : "http://").raw(address.host).put(':').integer(address.port).raw(update.path);
    if (!url.ok()) return "the link is too long";
    // Whatever the sketch does with this updater elsewhere: an image comes from the server that was asked, and from no other.
    httpUpdate.setFollowRedirects(HTTPC_DISABLE_FOLLOW_REDIRECTS);
    // The updater compares the MD5 of what it wrote with the server's, and restarts the board when they are the same.
    switch (httpUpdate.update(self.socket_.client(), url.c_str(), self.client_.version())) {
      case HTTP_UPDATE_OK: return "the board does not restart";
      case HTTP_UPDATE_NO_UPDATES: return "it runs already";
      default: break;
    }
    self.error_.clear();
    self.error_.raw(httpUpdate.getLastErrorString().c_str());
    return self.error_.c_str();
  }
  espalier::Text<96> error_;
#endif

  espalier::ArduinoBoard board_;
  espalier::ArduinoSocket socket_;
  espalier::ArduinoStorage storage_;
  espalier::ArduinoRadio radio_;
  espalier::RadioKeeper keeper_;
  espalier::Uptime uptime_;
  espalier::Client<> client_;
  const char* ca_;
};

#endif
