// What the logic needs from a board: time, chance, a socket, a place for samples. The glue in Espalier.h gives it the real ones,
// tests give it others.
#ifndef ESPALIER_BOARD_H
#define ESPALIER_BOARD_H

#include "text.h"

namespace espalier {

/// Time, chance and facts of the board.
class Board {
 public:
  virtual ~Board() {}
  /// Milliseconds since the start; it may wrap around.
  virtual uint32_t millis() = 0;
  /// Milliseconds UTC since 1970, or 0 while the board does not know. The server tells the time too.
  virtual int64_t utc_ms() { return 0; }
  /// Any number; it spreads a fleet's attempts over time.
  virtual uint32_t random() = 0;
  /// Free memory in bytes, or 0 when unknown.
  virtual uint32_t free_heap() { return 0; }
  /// Signal strength in dBm, or 0 when unknown.
  virtual int32_t rssi() { return 0; }
  /// Lets the system work while something is waited for.
  virtual void idle() {}
  /// Takes one sentence for the person at the console. It never holds a token.
  virtual void say(const char*) {}
};

/// One connection to the server, with or without TLS.
class Socket {
 public:
  virtual ~Socket() {}
  virtual bool connect(const char* host, uint16_t port, uint32_t timeout_ms) = 0;
  virtual bool connected() = 0;
  /// Sends bytes and returns how many were taken; fewer than asked means that the connection is lost.
  virtual size_t write(const char* bytes, size_t count) = 0;
  /// Bytes that are there: more than 0; 0 when none came yet; less than 0 when the other side has closed.
  virtual int read(char* bytes, size_t count) = 0;
  virtual void close() = 0;
};

/// A few places that survive a restart, each for one block of samples.
class Storage {
 public:
  virtual ~Storage() {}
  virtual size_t slots() = 0;
  /// Writes one block whole; a block that was cut off by a loss of power is noticed by whoever reads it.
  virtual bool write(size_t slot, const char* bytes, size_t count) = 0;
  /// Reads a block and returns its bytes; 0 when there is none or it does not fit.
  virtual size_t read(size_t slot, char* bytes, size_t capacity) = 0;
  virtual void erase(size_t slot) = 0;
};

/// Milliseconds since the start in 64 bits: millis() wraps after 49.7 days. Ask at least once in that time.
class Uptime {
 public:
  Uptime() : last_(0), sum_(0), started_(false) {}
  int64_t now(Board& board) {
    const uint32_t now = board.millis();
    if (!started_) {
      started_ = true;
      sum_ = now;
    } else {
      sum_ += static_cast<uint32_t>(now - last_);
    }
    last_ = now;
    return sum_;
  }

 private:
  uint32_t last_;
  int64_t sum_;
  bool started_;
};

/// Waiting times that double from attempt to attempt, each up to a quarter shorter by chance.
class Backoff {
 public:
  Backoff(uint32_t first_ms, uint32_t most_ms) : first_(first_ms), most_(most_ms), next_(first_ms) {}
  void reset() { next_ = first_; }
  /// How long to wait now, milliseconds.
  uint32_t next(uint32_t random) {
    const uint32_t wait = next_;
    next_ = next_ > most_ / 2 ? most_ : next_ * 2;
    return wait - (wait / 4 > 0 ? random % (wait / 4 + 1) : 0);
  }

 private:
  uint32_t first_;
  uint32_t most_;
  uint32_t next_;
};

/// The board's radio.
class Radio {
 public:
  virtual ~Radio() {}
  virtual bool connected() = 0;
  /// Begins to connect; it does not wait.
  virtual void connect() = 0;
};

/// Keeps the board in its network: an attempt has 15 s, and pauses grow from 2 s to 2 min.
class RadioKeeper {
 public:
  RadioKeeper() : backoff_(2000, 120000), until_(0), trying_(false), was_(false), begun_(false) {}

  /// Call it often. Returns whether the board is connected.
  bool keep(Radio& radio, Board& board, int64_t now) {
    if (radio.connected()) {
      if (!was_) board.say("Wi-Fi: connected");
      was_ = true;
      trying_ = false;
      begun_ = false;
      backoff_.reset();
      return true;
    }
    if (was_) {
      board.say("Wi-Fi: the connection is lost; trying again");
      was_ = false;
    }
    if (trying_ && now >= until_) {
      trying_ = false;
      until_ = now + backoff_.next(board.random());
      board.say("Wi-Fi: not connected; name and password right? Trying again after a pause");
    }
    if (!trying_ && (!begun_ || now >= until_)) {
      begun_ = true;
      trying_ = true;
      until_ = now + kAttemptMs;
      radio.connect();
    }
    return false;
  }

 private:
  static const int64_t kAttemptMs = 15000;
  Backoff backoff_;
  int64_t until_;
  bool trying_;
  bool was_;
  bool begun_;
};

}  // namespace espalier

#endif
