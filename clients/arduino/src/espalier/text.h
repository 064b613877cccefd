// Text in buffers of a fixed size: a writer that never allocates and never writes past its end, and slices of text.
// It knows no JSON grammar; reading JSON is json.h.
#ifndef ESPALIER_TEXT_H
#define ESPALIER_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

namespace espalier {

/// A piece of somebody else's text. It is not terminated by NUL and lives as long as what it points into.
struct Slice {
  const char* data;
  size_t size;

  Slice() : data(""), size(0) {}
  Slice(const char* text, size_t length) : data(text), size(length) {}
  /// All of a NUL-terminated text; nothing for a null pointer.
  explicit Slice(const char* text) : data(text ? text : ""), size(text ? strlen(text) : 0) {}

  bool equals(const char* text) const { return strlen(text) == size && memcmp(data, text, size) == 0; }
  bool empty() const { return size == 0; }
};

/// Writes text into a buffer. When something does not fit, nothing more is written and ok() is false.
class Writer {
 public:
  Writer(char* buffer, size_t capacity) : buffer_(buffer), capacity_(capacity), size_(0), ok_(capacity > 0) {
    if (capacity_ > 0) buffer_[0] = '\0';
  }
  // A copy would share the buffer and not the length.
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  Writer& raw(const char* text, size_t length) {
    if (!ok_ || length >= capacity_ - size_) {
      ok_ = false;
      return *this;
    }
    memcpy(buffer_ + size_, text, length);
    size_ += length;
    buffer_[size_] = '\0';
    return *this;
  }
  Writer& raw(const char* text) { return raw(text, strlen(text)); }
  Writer& raw(Slice text) { return raw(text.data, text.size); }
  Writer& put(char c) { return raw(&c, 1); }

  /// A whole number in decimal digits.
  Writer& integer(int64_t number) {
    char digits[21];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
    do {
      digits[--at] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest != 0);
    if (number < 0) digits[--at] = '-';
    return raw(digits + at, sizeof digits - at);
  }

  /// A number as JSON has it. NaN and infinity are none: then ok() is false.
  /// `digits` is how many of them mean something: 7 for a float, 15 for a double.
  Writer& number(double value, int digits) {
    if (!(value - value == 0)) {
      ok_ = false;
      return *this;
    }
    char text[32];
    int length = snprintf(text, sizeof text, "%.*g", digits, value);
    return length > 0 ? raw(text, static_cast<size_t>(length)) : *this;
  }

  /// A JSON string with its quotes; what JSON wants escaped is escaped.
  Writer& quoted(Slice text) {
    put('"');
    for (size_t i = 0; i < text.size; i++) {
      const char c = text.data[i];
      const unsigned char byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        put('\\').put(c);
      } else if (byte < 0x20) {
        static const char hex[] = "0123456789abcdef";
        raw("\\u00").put(hex[byte >> 4]).put(hex[byte & 15]);
      } else {
        put(c);
      }
    }
    return put('"');
  }

  bool ok() const { return ok_; }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  const char* c_str() const { return capacity_ > 0 ? buffer_ : ""; }
  Slice slice() const { return Slice(c_str(), size_); }

  void clear() { rewind(0); }
  /// Goes back to an earlier size() and forgets that something did not fit.
  void rewind(size_t size) {
    size_ = size < size_ ? size : size_;
    ok_ = capacity_ > 0;
    if (capacity_ > 0) buffer_[size_] = '\0';
  }
  /// Cuts the beginning off.
  void drop(size_t count) {
    if (count > size_) count = size_;
    memmove(buffer_, buffer_ + count, size_ - count);
    rewind(size_ - count);
  }

 private:
  char* buffer_;
  size_t capacity_;
  size_t size_;
  bool ok_;
};

/// A writer with a buffer of its own of N bytes, the closing NUL among them.
template <size_t N>
class Text : public Writer {
 public:
  Text() : Writer(store_, N) {}

 private:
  char store_[N];
};

/// Copies a text into a fixed field and says whether all of it fitted; a text that does not fit leaves the field empty.
inline bool copy_text(char* field, size_t capacity, Slice text) {
  if (capacity == 0) return false;
  const bool fits = text.size < capacity;
  if (fits) memcpy(field, text.data, text.size);
  field[fits ? text.size : 0] = '\0';
  return fits;
}

}  // namespace espalier

#endif
