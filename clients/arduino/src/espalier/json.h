// Reading JSON without building anything: walking over the members of an object, and keeping only some members of a document
// that streams by. What is read here came from a network: every function takes any bytes.
#ifndef ESPALIER_JSON_H
#define ESPALIER_JSON_H

#include <stdlib.h>

#include "text.h"

namespace espalier {
namespace json {

/// Deepest nesting that is followed; a document with more is refused.
static const int kMaxDepth = 24;

inline bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

inline const char* skip_space(const char* at, const char* end) {
  while (at < end && is_space(*at)) at++;
  return at;
}

/// Moves over a string that begins with its quote; null when it does not end.
inline const char* skip_string(const char* at, const char* end) {
  for (at++; at < end; at++) {
    if (*at == '\\') {
      at++;
    } else if (*at == '"') {
      return at + 1;
    } else if (static_cast<unsigned char>(*at) < 0x20) {
      return NULL;
    }
  }
  return NULL;
}

/// Moves over one value; null when it is not whole. Brackets and strings are checked, numbers when they are read.
inline const char* skip_value(const char* at, const char* end) {
  char open[kMaxDepth];
  int depth = 0;
  for (;;) {
    at = skip_space(at, end);
    if (at == NULL || at >= end) return NULL;
    const char c = *at;
    if (c == '{' || c == '[') {
      if (depth == kMaxDepth) return NULL;
      open[depth++] = c;
      at++;
      continue;
    }
    if (c == '}' || c == ']') {
      if (depth == 0 || open[depth - 1] != (c == '}' ? '{' : '[')) return NULL;
      depth--;
      at++;
    } else if (c == '"') {
      at = skip_string(at, end);
      if (at == NULL) return NULL;
    } else if (c == ',' || c == ':') {
      if (depth == 0) return NULL;
      at++;
      continue;
    } else {
      const char* start = at;
      while (at < end && !is_space(*at) && !strchr(",:{}[]\"", *at)) at++;
      if (at == start) return NULL;
      // A number that reaches the end of the text may have been cut off; only a document that is a number ends so.
      if (at == end && depth > 0) return NULL;
    }
    if (depth == 0) return at;
  }
}

/// Walks over the members of an object or the items of an array. It stops at the first thing that is not whole.
class Walk {
 public:
  explicit Walk(Slice value) : at_(value.data), end_(value.data + value.size), close_('\0'), started_(false), ok_(false) {
    at_ = skip_space(at_, end_);
    if (at_ < end_ && (*at_ == '{' || *at_ == '[')) {
      close_ = *at_ == '{' ? '}' : ']';
      ok_ = true;
      at_++;
    }
  }

  /// The next member of an object; the name is raw, without its quotes.
  bool member(Slice& name, Slice& value) {
    if (close_ != '}' || !go_on()) return false;
    if (*at_ != '"') return stop();
    const char* after = skip_string(at_, end_);
    if (after == NULL) return stop();
    name = Slice(at_ + 1, static_cast<size_t>(after - at_) - 2);
    at_ = skip_space(after, end_);
    if (at_ >= end_ || *at_ != ':') return stop();
    at_++;
    return take(value);
  }

  /// The next item of an array.
  bool item(Slice& value) { return close_ == ']' && go_on() && take(value); }

  /// Whether everything was whole so far. After the walk: whether the whole container was.
  bool ok() const { return ok_; }
  /// What was not walked over yet.
  Slice rest() const { return Slice(at_, static_cast<size_t>(end_ - at_)); }

 private:
  bool stop() {
    ok_ = false;
    return false;
  }
  bool go_on() {
    if (!ok_) return false;
    const char* at = skip_space(at_, end_);
    if (at >= end_) return stop();
    if (*at == close_) return false;
    if (started_) {
      if (*at != ',') return stop();
      at = skip_space(at + 1, end_);
      if (at >= end_) return stop();
    }
    started_ = true;
    at_ = at;
    return true;
  }
  bool take(Slice& value) {
    const char* start = skip_space(at_, end_);
    const char* after = skip_value(start, end_);
    if (after == NULL) return stop();
    value = Slice(start, static_cast<size_t>(after - start));
    at_ = after;
    return true;
  }

  const char* at_;
  const char* end_;
  char close_;
  bool started_;
  bool ok_;
};

/// Finds a member of an object by its name; false when it is not there.
inline bool find(Slice object, const char* name, Slice& value) {
  Walk walk(object);
  Slice key;
  while (walk.member(key, value)) {
    if (key.equals(name)) return true;
  }
  value = Slice();
  return false;
}

inline bool is_string(Slice value) { return value.size >= 2 && value.data[0] == '"'; }

/// Reads a whole number; false when it is none or has more than 18 digits.
inline bool to_integer(Slice value, int64_t& number) {
  const bool minus = value.size > 0 && value.data[0] == '-';
  size_t at = minus ? 1 : 0;
  if (value.size == at || value.size > at + 18) return false;
  int64_t sum = 0;
  for (; at < value.size; at++) {
    if (value.data[at] < '0' || value.data[at] > '9') return false;
    sum = sum * 10 + (value.data[at] - '0');
  }
  number = minus ? -sum : sum;
  return true;
}

/// Reads any number.
inline bool to_number(Slice value, double& number) {
  char text[40];
  const bool begins = value.size > 0 && (value.data[0] == '-' || (value.data[0] >= '0' && value.data[0] <= '9'));
  if (!begins || !copy_text(text, sizeof text, value)) return false;
  for (const char* c = text; *c != '\0'; c++) {
    if (!strchr("+-.0123456789eE", *c)) return false;
  }
  char* end = NULL;
  number = strtod(text, &end);
  return *end == '\0' && number - number == 0;
}

inline int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

inline bool hex4(const char* at, const char* end, uint32_t& code) {
  if (end - at < 4) return false;
  code = 0;
  for (int i = 0; i < 4; i++) {
    const int digit = hex_digit(at[i]);
    if (digit < 0) return false;
    code = code << 4 | static_cast<uint32_t>(digit);
  }
  return true;
}

inline void utf8(Writer& out, uint32_t code) {
  if (code < 0x80) {
    out.put(static_cast<char>(code));
  } else if (code < 0x800) {
    out.put(static_cast<char>(0xC0 | code >> 6)).put(static_cast<char>(0x80 | (code & 0x3F)));
  } else if (code < 0x10000) {
    out.put(static_cast<char>(0xE0 | code >> 12)).put(static_cast<char>(0x80 | (code >> 6 & 0x3F)));
    out.put(static_cast<char>(0x80 | (code & 0x3F)));
  } else {
    out.put(static_cast<char>(0xF0 | code >> 18)).put(static_cast<char>(0x80 | (code >> 12 & 0x3F)));
    out.put(static_cast<char>(0x80 | (code >> 6 & 0x3F))).put(static_cast<char>(0x80 | (code & 0x3F)));
  }
}

/// Decodes a string value (with its quotes) into `out`; false when it is none, has a wrong escape, holds NUL or does not fit.
inline bool to_text(Slice value, Writer& out) {
  if (!is_string(value) || value.data[value.size - 1] != '"') return false;
  const char* end = value.data + value.size - 1;
  for (const char* at = value.data + 1; at < end; at++) {
    if (*at != '\\') {
      out.put(*at);
      continue;
    }
    if (++at >= end) return false;
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    const char* simple = strchr(from, *at);
    if (*at != '\0' && simple != NULL) {
      out.put(to[simple - from]);
      continue;
    }
    uint32_t code = 0;
    if (*at != 'u' || !hex4(at + 1, end, code) || code == 0) return false;
    at += 4;
    if (code >= 0xD800 && code < 0xDC00) {
      uint32_t low = 0;
      if (end - at < 7 || at[1] != '\\' || at[2] != 'u' || !hex4(at + 3, end, low)) return false;
      if (low < 0xDC00 || low > 0xDFFF) return false;
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      at += 6;
    } else if (code >= 0xDC00 && code < 0xE000) {
      return false;
    }
    utf8(out, code);
  }
  return out.ok();
}

}  // namespace json

/// Takes bytes as they come in.
class Sink {
 public:
  virtual ~Sink() {}
  /// Takes some bytes; false stops the transfer.
  virtual bool put(const char* bytes, size_t count) = 0;
};

/// Takes nothing and minds nothing.
class NoSink : public Sink {
 public:
  bool put(const char*, size_t) override { return true; }
};

/// Keeps the beginning of what comes, as much as fits.
class HeadSink : public Sink {
 public:
  explicit HeadSink(Writer& out) : out_(out), cut_(false) {}
  bool put(const char* bytes, size_t count) override {
    const size_t room = out_.capacity() - 1 - out_.size();
    cut_ = cut_ || count > room;
    out_.raw(bytes, count < room ? count : room);
    return true;
  }
  /// Whether something did not fit.
  bool cut() const { return cut_; }

 private:
  Writer& out_;
  bool cut_;
};

/// Takes nothing but notices whether what comes begins as an object.
class ObjectSink : public Sink {
 public:
  ObjectSink() : first_('\0') {}
  bool put(const char* bytes, size_t count) override {
    for (size_t i = 0; i < count && first_ == '\0'; i++) {
      if (!json::is_space(bytes[i])) first_ = bytes[i];
    }
    return true;
  }
  bool object() const { return first_ == '{'; }

 private:
  char first_;
};

/// Lets an object stream by and keeps only the named members of its first level, and some members of one object in it, so that an
/// answer may be much larger than the memory for it. What is kept is an object again; a member that does not fit is left out.
class MemberFilter : public Sink {
 public:
  /// Whether a member of the opened object is kept.
  typedef bool (*Wanted)(Slice name, const void* context);

  MemberFilter(const char* const* names, size_t count, Writer& out)
      : names_(names), count_(count), opened_(NULL), wanted_(NULL), context_(NULL), out_(out), state_(kStart), inside_(false), depth_(0),
        in_string_(false), escape_(false), keep_(false), name_size_(0), mark_(0), dropped_(0) {
    first_[0] = first_[1] = true;
    out_.clear();
    out_.put('{');
  }
  /// Looks into the object of this name: of its members only those are kept that are wanted.
  void open(const char* name, Wanted wanted, const void* context) {
    opened_ = name;
    wanted_ = wanted;
    context_ = context;
  }

  bool put(const char* bytes, size_t count) override {
    for (size_t i = 0; i < count; i++) {
      if (!step(bytes[i])) state_ = kBroken;
    }
    return state_ != kBroken;
  }

  /// Closes what was kept; false when the document was no whole object.
  bool finish() {
    out_.put('}');
    return state_ == kEnd && out_.ok();
  }
  /// How many members that should be kept did not fit.
  size_t dropped() const { return dropped_; }

 private:
  enum State { kStart, kNameOrEnd, kName, kColon, kValueStart, kValue, kEnd, kBroken };
  static const size_t kMaxName = 24;
  /// Room for the brackets that close all, and the NUL.
  static const size_t kReserve = 3;

  bool step(char c) {
    switch (state_) {
      case kStart:
        if (c == '{') state_ = kNameOrEnd;
        return c == '{' || json::is_space(c);
      case kNameOrEnd:
        if (c == '"') {
          state_ = kName;
          name_size_ = 0;
        } else if (c == '}') {
          end_object();
        }
        return c == '"' || c == '}' || c == ',' || json::is_space(c);
      case kName:
        return name(c);
      case kColon:
        if (c == ':') state_ = kValueStart;
        return c == ':' || json::is_space(c);
      case kValueStart:
        if (json::is_space(c)) return true;
        if (c == '{' && !inside_ && opened_ != NULL && named(opened_)) return enter();
        begin_value();
        return value(c);
      case kValue:
        return value(c);
      case kEnd:
        return json::is_space(c);
      case kBroken:
        break;
    }
    return false;
  }

  bool name(char c) {
    if (c == '"' && !escape_) {
      state_ = kColon;
      return true;
    }
    // Names with escapes are nobody's that is looked for: the backslash keeps them from being equal.
    escape_ = c == '\\' && !escape_;
    if (name_size_ < kMaxName) name_[name_size_] = c;
    name_size_++;
    return true;
  }
  Slice name() const { return Slice(name_, name_size_ <= kMaxName ? name_size_ : 0); }
  bool named(const char* text) const { return name().equals(text); }

  bool is_wanted() const {
    if (name().empty()) return false;
    if (inside_) return wanted_(name(), context_);
    for (size_t i = 0; i < count_; i++) {
      if (named(names_[i])) return true;
    }
    return false;
  }

  void write_name() {
    mark_ = out_.size();
    if (!first_[inside_ ? 1 : 0]) out_.put(',');
    out_.put('"').raw(name()).raw("\":");
  }
  /// Takes back what was written since write_name() when it does not fit.
  void settle() {
    const bool fits = out_.ok() && out_.size() + kReserve <= out_.capacity();
    if (fits) {
      first_[inside_ ? 1 : 0] = false;
    } else {
      out_.rewind(mark_);
      dropped_++;
    }
  }

  /// Begins with the opened object.
  bool enter() {
    write_name();
    out_.put('{');
    const size_t before = dropped_;
    settle();
    inside_ = first_[1] = true;
    state_ = kNameOrEnd;
    return dropped_ == before;
  }
  void end_object() {
    if (inside_) {
      out_.put('}');
      inside_ = false;
      state_ = kNameOrEnd;
    } else {
      state_ = kEnd;
    }
  }

  void begin_value() {
    keep_ = is_wanted();
    if (keep_) write_name();
    state_ = kValue;
    depth_ = 0;
  }
  void end_value() {
    if (keep_) settle();
    state_ = kNameOrEnd;
  }

  bool value(char c) {
    if (in_string_) {
      if (escape_) {
        escape_ = false;
      } else if (c == '\\') {
        escape_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      depth_++;
    } else if (depth_ == 0 && (c == ',' || c == '}')) {
      end_value();
      if (c == '}') end_object();
      return true;
    } else if (c == '}' || c == ']') {
      depth_--;
    }
    if (keep_) out_.put(c);
    return depth_ >= 0;
  }

  const char* const* names_;
  size_t count_;
  const char* opened_;
  Wanted wanted_;
  const void* context_;
  Writer& out_;
  State state_;
  /// Whether the opened object streams by.
  bool inside_;
  int depth_;
  bool in_string_;
  bool escape_;
  bool keep_;
  char name_[kMaxName];
  size_t name_size_;
  /// Whether nothing was kept yet, of the document and of the opened object.
  bool first_[2];
  size_t mark_;
  size_t dropped_;
};

}  // namespace espalier

#endif
