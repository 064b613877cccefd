// What the tests share: a check that says where it failed, and a board and a server that are made of memory.
#ifndef ESPALIER_TEST_CHECK_H
#define ESPALIER_TEST_CHECK_H

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "espalier/client.h"

#define CHECK(condition)                                                                \
  do {                                                                                  \
    if (!(condition)) {                                                                 \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);    \
      std::exit(1);                                                                     \
    }                                                                                   \
  } while (0)

#define CHECK_TEXT(found, wanted)                                                                                   \
  do {                                                                                                              \
    const std::string found_(found), wanted_(wanted);                                                               \
    if (found_ != wanted_) {                                                                                        \
      std::fprintf(stderr, "%s:%d: found\n  %s\nwanted\n  %s\n", __FILE__, __LINE__, found_.c_str(), wanted_.c_str()); \
      std::exit(1);                                                                                                 \
    }                                                                                                               \
  } while (0)

inline std::string str(espalier::Slice slice) { return std::string(slice.data, slice.size); }

/// A board whose clock stands still until a test moves it.
struct FakeBoard : espalier::Board {
  uint64_t now = 1000;
  int64_t utc = 0;
  uint32_t heap = 0;
  int32_t signal = 0;
  std::vector<std::string> said;

  uint32_t millis() override { return static_cast<uint32_t>(now); }
  int64_t utc_ms() override { return utc; }
  uint32_t random() override { return 0; }
  uint32_t free_heap() override { return heap; }
  int32_t rssi() override { return signal; }
  void idle() override { now += 10; }
  void say(const char* line) override { said.push_back(line); }

  bool said_last(const char* part) const { return !said.empty() && said.back().find(part) != std::string::npos; }
};

/// One request as the server got it.
struct Got {
  std::string line, headers, body;
};

/// A server in memory behind a socket: `answer` makes of each request the bytes that come back.
struct FakeSocket : espalier::Socket {
  bool plugged = true;
  bool open = false;
  bool half_closed = false;
  std::string in, out;
  std::vector<Got> got;
  std::function<std::string(const Got&)> answer;
  size_t piece = 7;
  // An answer that never ends: when there is nothing more, the same comes again, and the clock of `board` goes on.
  bool endless = false;
  FakeBoard* board = nullptr;

  bool connect(const char*, uint16_t, uint32_t) override {
    open = plugged;
    half_closed = false;
    in.clear();
    out.clear();
    return open;
  }
  bool connected() override { return open; }
  void close() override { open = false; }
  size_t write(const char* bytes, size_t count) override {
    if (!open || !plugged) return 0;
    if (half_closed) return count;
    in.append(bytes, count);
    serve();
    return count;
  }
  int read(char* bytes, size_t count) override {
    if (!open || half_closed) return -1;
    if (!plugged) return out.empty() ? -1 : 0;
    if (endless) {
      if (out.size() < count) out.append(256, 'x');
      board->now += 20;
    }
    const size_t take = std::min(std::min(count, piece), out.size());
    out.copy(bytes, take);
    out.erase(0, take);
    return static_cast<int>(take);
  }

  void serve() {
    const size_t head = in.find("\r\n\r\n");
    if (head == std::string::npos) return;
    size_t length = 0;
    const size_t at = in.find("Content-Length: ");
    if (at != std::string::npos && at < head) length = static_cast<size_t>(std::atoi(in.c_str() + at + 16));
    if (in.size() < head + 4 + length) return;
    const size_t line = in.find("\r\n");
    Got request{in.substr(0, line), in.substr(line + 2, head - line), in.substr(head + 4, length)};
    in.erase(0, head + 4 + length);
    got.push_back(request);
    out += answer(request);
  }
};

inline std::string http(int status, const std::string& body, const std::string& headers = "") {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body;
}

/// Storage that survives the client it belongs to.
struct FakeStorage : espalier::Storage {
  std::map<size_t, std::string> blocks;
  size_t count = 3;
  bool broken = false;

  size_t slots() override { return count; }
  bool write(size_t slot, const char* bytes, size_t size) override {
    if (!broken) blocks[slot] = std::string(bytes, size);
    return !broken;
  }
  size_t read(size_t slot, char* bytes, size_t capacity) override {
    const auto found = blocks.find(slot);
    if (found == blocks.end() || found->second.size() > capacity) return 0;
    return found->second.copy(bytes, capacity);
  }
  void erase(size_t slot) override { blocks.erase(slot); }
};

#endif
