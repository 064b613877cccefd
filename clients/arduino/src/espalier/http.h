// HTTP/1.1 as far as this server and the proxies before it speak it: one request at a time over a kept connection, bodies with a
// length, in chunks or until the end. It does not follow redirects: a token must not travel to where it was not sent.
#ifndef ESPALIER_HTTP_H
#define ESPALIER_HTTP_H

#include "board.h"
#include "json.h"

namespace espalier {

/// Where a server is: `http://host:port` or `https://host`.
struct Address {
  char host[80];
  uint16_t port;
  bool secure;

  Address() : port(0), secure(false) { host[0] = '\0'; }

  /// Reads an address; false when it is not one. A path after it is not allowed, except `/`.
  bool parse(const char* url) {
    Slice rest(url);
    const char* start = strstr(rest.data, "://");
    if (start == NULL) return false;
    const Slice scheme(rest.data, static_cast<size_t>(start - rest.data));
    secure = scheme.equals("https");
    if (!secure && !scheme.equals("http")) return false;
    start += 3;
    size_t length = strlen(start);
    if (length > 0 && start[length - 1] == '/') length--;
    const char* colon = NULL;
    for (size_t i = 0; i < length; i++) {
      const unsigned char c = static_cast<unsigned char>(start[i]);
      if (c <= ' ' || c >= 0x7F || strchr("/@?#\"\\", start[i])) return false;
      if (start[i] == ':') {
        if (colon != NULL) return false;
        colon = start + i;
      }
    }
    port = secure ? 443 : 80;
    if (colon != NULL) {
      int64_t number = 0;
      if (!json::to_integer(Slice(colon + 1, length - static_cast<size_t>(colon + 1 - start)), number)) return false;
      if (number < 1 || number > 65535) return false;
      port = static_cast<uint16_t>(number);
      length = static_cast<size_t>(colon - start);
    }
    return length > 0 && copy_text(host, sizeof host, Slice(start, length));
  }
};

/// One request. The body is written from parts, so that it needs no buffer of its own.
struct Request {
  const char* method;
  const char* path;
  /// More header lines, each with its line end, or empty.
  const char* headers;
  const Slice* parts;
  size_t count;
};

/// What came back, without the body.
struct Response {
  /// The status, or 0 when there was no answer.
  int status;
  /// Seconds to wait, as the server wants it; 0 when it said nothing.
  uint32_t retry_after_s;
};

/// Why there was no answer.
enum Failure { kDone, kNoConnection, kLost, kTimeout, kNotHttp, kStopped };

inline const char* failure_text(Failure failure) {
  switch (failure) {
    case kDone: return "answered";
    case kNoConnection: return "the server cannot be reached";
    case kLost: return "the connection broke off";
    case kTimeout: return "the server did not answer in time";
    case kNotHttp: return "what answered does not speak HTTP";
    case kStopped: return "the answer was not what was expected";
  }
  return "unknown";
}

class Http {
 public:
  Http(Socket& socket, Board& board) : socket_(socket), board_(board), token_(""), timeout_ms_(10000), size_(0), at_(0), start_(0) {}

  Address address;

  void set_token(const char* token) { token_ = token; }
  void set_timeout(uint32_t ms) { timeout_ms_ = ms; }
  void close() {
    socket_.close();
    size_ = at_ = 0;
  }

  /// Sends a request and hands the body of the answer to `body`. It waits until the answer is there or the time is over.
  Failure exchange(const Request& request, Response& response, Sink& body) {
    const bool kept = socket_.connected();
    bool heard = false;
    Failure failure = once(request, response, body, heard);
    // A kept connection that the server had closed meanwhile is noticed only now. All requests of this library may be repeated.
    if (kept && !heard && (failure == kLost || failure == kNoConnection)) {
      close();
      failure = once(request, response, body, heard);
    }
    if (failure != kDone) close();
    return failure;
  }

 private:
  static const int kMaxHeaders = 100;

  Failure once(const Request& request, Response& response, Sink& body, bool& heard) {
    response.status = 0;
    response.retry_after_s = 0;
    if (!socket_.connected()) {
      close();
      if (!socket_.connect(address.host, address.port, timeout_ms_)) return kNoConnection;
    }
    start_ = board_.millis();
    size_ = at_ = 0;
    if (!send(request)) {
      close();
      return kLost;
    }
    return receive(response, body, heard);
  }

  bool send(const Request& request) {
    size_t length = 0;
    for (size_t i = 0; i < request.count; i++) length += request.parts[i].size;
    Text<800> head;
    head.raw(request.method).put(' ').raw(request.path).raw(" HTTP/1.1\r\nHost: ").raw(address.host);
    if (address.port != (address.secure ? 443 : 80)) head.put(':').integer(address.port);
    head.raw("\r\nUser-Agent: espalier-arduino/0.1\r\nAuthorization: Bearer ").raw(token_).raw("\r\n");
    if (request.count > 0) head.raw("Content-Type: application/json\r\nContent-Length: ").integer(static_cast<int64_t>(length)).raw("\r\n");
    head.raw(request.headers).raw("\r\n");
    if (!head.ok() || socket_.write(head.c_str(), head.size()) != head.size()) return false;
    for (size_t i = 0; i < request.count; i++) {
      const Slice part = request.parts[i];
      if (part.size > 0 && socket_.write(part.data, part.size) != part.size) return false;
    }
    return true;
  }

  Failure receive(Response& response, Sink& body, bool& heard) {
    bool chunked = false, keep = true, sized = false;
    int64_t length = 0;
    do {
      Text<200> line;
      Failure failure = read_line(line);
      if (failure != kDone) return failure;
      heard = true;
      int64_t status = 0;
      const Slice text = line.slice();
      if (text.size < 12 || memcmp(text.data, "HTTP/1.", 7) != 0 || !json::to_integer(Slice(text.data + 9, 3), status)) return kNotHttp;
      keep = text.data[7] == '1';
      chunked = sized = false;
      for (int lines = 0;; lines++) {
        if (lines == kMaxHeaders) return kNotHttp;
        failure = read_line(line);
        if (failure != kDone) return failure;
        if (line.size() == 0) break;
        int64_t number = 0;
        Slice value;
        if (header(line.slice(), "content-length", value)) {
          sized = json::to_integer(value, length) && length >= 0;
          if (!sized) return kNotHttp;
        } else if (header(line.slice(), "transfer-encoding", value)) {
          chunked = same(value, "chunked");
        } else if (header(line.slice(), "connection", value)) {
          keep = keep && !same(value, "close");
        } else if (header(line.slice(), "retry-after", value) && json::to_integer(value, number)) {
          response.retry_after_s = number > 0 ? static_cast<uint32_t>(number < 86400 ? number : 86400) : 0;
        }
      }
      response.status = static_cast<int>(status);
    } while (response.status >= 100 && response.status < 200);
    Failure failure = kDone;
    if (response.status == 204 || response.status == 304) {
      failure = kDone;
    } else if (chunked) {
      failure = chunks(body);
    } else if (sized) {
      failure = copy(length, body);
    } else {
      failure = until_end(body);
      keep = false;
    }
    if (failure == kDone && !keep) close();
    return failure;
  }

  static char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
  static bool same(Slice text, const char* word) {
    if (text.size != strlen(word)) return false;
    for (size_t i = 0; i < text.size; i++) {
      if (lower(text.data[i]) != word[i]) return false;
    }
    return true;
  }
  static bool header(Slice line, const char* name, Slice& value) {
    const size_t length = strlen(name);
    if (line.size <= length || line.data[length] != ':' || !same(Slice(line.data, length), name)) return false;
    size_t from = length + 1, to = line.size;
    while (from < to && json::is_space(line.data[from])) from++;
    while (to > from && json::is_space(line.data[to - 1])) to--;
    value = Slice(line.data + from, to - from);
    return true;
  }

  /// Waits until there is something to read.
  Failure fill() {
    while (at_ == size_) {
      at_ = size_ = 0;
      // Also while something comes: an answer without an end must not keep the sketch for ever.
      if (static_cast<uint32_t>(board_.millis() - start_) >= timeout_ms_) return kTimeout;
      const int count = socket_.read(buffer_, sizeof buffer_);
      if (count < 0) return kLost;
      size_ = static_cast<size_t>(count);
      if (count == 0) board_.idle();
    }
    return kDone;
  }

  /// Reads a line without its end; of a line that is too long the beginning.
  Failure read_line(Writer& line) {
    line.clear();
    for (size_t count = 0; count < 8192; count++) {
      const Failure failure = fill();
      if (failure != kDone) return failure;
      const char c = buffer_[at_++];
      if (c == '\n') return kDone;
      if (c != '\r' && line.size() + 1 < line.capacity()) line.put(c);
    }
    return kNotHttp;
  }

  Failure copy(int64_t length, Sink& body) {
    while (length > 0) {
      const Failure failure = fill();
      if (failure != kDone) return failure;
      size_t count = size_ - at_;
      if (static_cast<int64_t>(count) > length) count = static_cast<size_t>(length);
      if (!body.put(buffer_ + at_, count)) return kStopped;
      at_ += count;
      length -= static_cast<int64_t>(count);
    }
    return kDone;
  }

  Failure chunks(Sink& body) {
    for (;;) {
      Text<40> line;
      Failure failure = read_line(line);
      if (failure != kDone) return failure;
      int64_t length = 0;
      size_t digits = 0;
      for (; digits < line.size() && json::hex_digit(line.c_str()[digits]) >= 0; digits++) {
        if (digits == 7) return kNotHttp;
        length = length * 16 + json::hex_digit(line.c_str()[digits]);
      }
      if (digits == 0) return kNotHttp;
      if (length == 0) break;
      failure = copy(length, body);
      if (failure == kDone) failure = read_line(line);
      if (failure != kDone) return failure;
      if (line.size() != 0) return kNotHttp;
    }
    Text<40> trailer;
    for (int lines = 0; lines < kMaxHeaders; lines++) {
      const Failure failure = read_line(trailer);
      if (failure != kDone) return failure;
      if (trailer.size() == 0) return kDone;
    }
    return kNotHttp;
  }

  Failure until_end(Sink& body) {
    for (;;) {
      const Failure failure = fill();
      if (failure == kLost) return kDone;
      if (failure != kDone) return failure;
      if (!body.put(buffer_ + at_, size_ - at_)) return kStopped;
      at_ = size_;
    }
  }

  Socket& socket_;
  Board& board_;
  const char* token_;
  uint32_t timeout_ms_;
  char buffer_[256];
  size_t size_;
  size_t at_;
  uint32_t start_;
};

}  // namespace espalier

#endif
