// Virtual pins: what the app wants a pin to be, what the board made it, and the version that ties the two together.
// Neither overwrites the other: a value that the board reports by itself answers no wish.
#ifndef ESPALIER_PINS_H
#define ESPALIER_PINS_H

#include "board.h"
#include "json.h"

namespace espalier {

/// The value of a pin: a switch, a number or a short text (up to 31 bytes).
class Value {
 public:
  enum Kind { kNothing, kSwitch, kNumber, kText };

  Value() : Value(kNothing, 0, 15) {}
  Value(bool on) : Value(kSwitch, on ? 1 : 0, 15) {}
  Value(int number) : Value(kNumber, number, 15) {}
  Value(unsigned number) : Value(kNumber, number, 15) {}
  Value(long number) : Value(kNumber, static_cast<double>(number), 15) {}
  Value(unsigned long number) : Value(kNumber, static_cast<double>(number), 15) {}
  Value(float number) : Value(kNumber, static_cast<double>(number), 7) {}
  Value(double number) : Value(kNumber, number, 15) {}
  /// A text that is longer is nothing.
  Value(const char* text) : Value(kText, 0, 15) {
    if (!copy_text(text_, sizeof text_, Slice(text))) kind_ = kNothing;
  }

  Kind kind() const { return kind_; }
  /// Whether the server takes it: NaN and infinity are no numbers, and nothing is nothing.
  bool is_value() const { return kind_ != kNothing && number_ - number_ == 0; }
  /// 1, true, "1", "on" and "true" are on.
  bool on() const {
    if (kind_ == kText) return strcmp(text_, "1") == 0 || strcmp(text_, "on") == 0 || strcmp(text_, "true") == 0;
    return number_ > 0 || number_ < 0;
  }
  double number() const { return kind_ == kText ? strtod(text_, NULL) : number_; }
  int integer() const {
    const double value = number();
    if (!(value > -2147483647.0)) return -2147483647;
    return value < 2147483647.0 ? static_cast<int>(value) : 2147483647;
  }
  const char* text() const { return text_; }

  /// Reads a JSON value; false for objects, arrays, null and texts that are too long.
  bool read(Slice json) {
    *this = Value();
    if (json.equals("true") || json.equals("false")) {
      *this = Value(json.equals("true"));
      return true;
    }
    if (json::is_string(json)) {
      kind_ = kText;
      Writer out(text_, sizeof text_);
      return json::to_text(json, out);
    }
    kind_ = kNumber;
    return json::to_number(json, number_);
  }

  void write(Writer& out) const {
    if (kind_ == kText) {
      out.quoted(Slice(text_));
    } else if (kind_ == kSwitch) {
      out.raw(number_ > 0 ? "true" : "false");
    } else {
      out.number(number_, digits_);
    }
  }

 private:
  Value(Kind kind, double number, int digits) : kind_(kind), number_(number), digits_(digits) { text_[0] = '\0'; }

  Kind kind_;
  double number_;
  /// How many digits of the number mean something.
  int digits_;
  char text_[32];
};

/// Does what a wish wants; returns false when it could not, and is asked again with the next poll.
typedef bool (*PinHandler)(const char* key, const Value& value, void* context);

/// Up to Count pins with keys of up to 15 bytes.
template <size_t Count>
class Pins {
 public:
  Pins() : count_(0) {}

  /// Registers a key; false when all places are taken or the key is too long.
  bool on(const char* key, PinHandler handler, void* context) {
    Pin* pin = find(Slice(key));
    if (pin == NULL) {
      if (count_ == Count || !copy_text(pins_[count_].key, sizeof pins_[count_].key, Slice(key)) || *key == '\0') return false;
      pin = &pins_[count_++];
      pin->version = 0;
      pin->done = 0;
      pin->open = false;
    }
    pin->handler = handler;
    pin->context = context;
    return true;
  }

  /// Whether something does the wishes for a key.
  bool obeys(Slice key) const {
    for (size_t i = 0; i < count_; i++) {
      if (key.equals(pins_[i].key)) return pins_[i].handler != NULL;
    }
    return false;
  }

  /// Notes what the board made of a pin by itself: a button, a timer. False when the key is unknown and has no place.
  bool set(const char* key, const Value& value) {
    if (find(Slice(key)) == NULL && !on(key, NULL, NULL)) return false;
    Pin* pin = find(Slice(key));
    pin->value = value;
    pin->version = 0;
    pin->open = true;
    return true;
  }

  /// Does what the app wants: an object `{key: {"value":…,"version":…}}`. Returns how many pins changed; `changed` gets them as an
  /// object of keys and values.
  size_t apply(Slice desired, Writer& changed) {
    size_t count = 0;
    json::Walk walk(desired);
    Slice key, wish;
    while (walk.member(key, wish)) {
      Pin* pin = find(key);
      Slice value_text, version_text;
      int64_t version = 0;
      Value value;
      if (pin == NULL || pin->handler == NULL) continue;
      if (!json::find(wish, "version", version_text) || !json::to_integer(version_text, version) || version < 1) continue;
      if (version == pin->done) {
        // Done before, but the answer has not arrived. What the board did since stays.
        if (!pin->open) {
          pin->version = version;
          pin->open = true;
        }
        continue;
      }
      if (!json::find(wish, "value", value_text) || !value.read(value_text)) continue;
      if (!pin->handler(pin->key, value, pin->context)) continue;
      pin->value = value;
      pin->version = pin->done = version;
      pin->open = true;
      changed.put(count == 0 ? '{' : ',').quoted(Slice(pin->key)).put(':');
      value.write(changed);
      count++;
    }
    if (count > 0) changed.put('}');
    return count;
  }

  /// Whether something waits to be reported.
  bool open() const {
    for (size_t i = 0; i < count_; i++) {
      if (pins_[i].open) return true;
    }
    return false;
  }

  /// Writes what waits to be reported, as `{key: {"value":…,"version":…}}`; what does not fit waits for the next time.
  void write(Writer& out) {
    out.put('{');
    bool first = true;
    for (size_t i = 0; i < count_; i++) {
      Pin& pin = pins_[i];
      pin.sent = false;
      if (!pin.open) continue;
      const size_t before = out.size();
      if (!first) out.put(',');
      out.quoted(Slice(pin.key)).raw(":{\"value\":");
      pin.value.write(out);
      out.raw(",\"version\":").integer(pin.version).raw("}");
      // One byte for the bracket that closes all.
      if (!out.ok() || out.size() + 2 > out.capacity()) {
        out.rewind(before);
        break;
      }
      pin.sent = true;
      first = false;
    }
    out.put('}');
  }

  /// What write() wrote has arrived.
  void reported() {
    for (size_t i = 0; i < count_; i++) {
      if (pins_[i].sent) pins_[i].open = pins_[i].sent = false;
    }
  }

  const Value* get(const char* key) const {
    for (size_t i = 0; i < count_; i++) {
      if (strcmp(pins_[i].key, key) == 0) return &pins_[i].value;
    }
    return NULL;
  }

 private:
  struct Pin {
    Pin() : version(0), done(0), open(false), sent(false), handler(NULL), context(NULL) { key[0] = '\0'; }
    char key[16];
    Value value;
    /// The wish that the value answers; 0 when the board changed it by itself.
    int64_t version;
    /// The newest wish that was done.
    int64_t done;
    /// It waits to be reported.
    bool open;
    bool sent;
    PinHandler handler;
    void* context;
  };

  Pin* find(Slice key) {
    for (size_t i = 0; i < count_; i++) {
      if (key.equals(pins_[i].key)) return &pins_[i];
    }
    return NULL;
  }

  Pin pins_[Count];
  size_t count_;
};

}  // namespace espalier

#endif
