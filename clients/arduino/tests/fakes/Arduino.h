// The part of Arduino's core that the library and its examples use, for a computer: time is real but may be skipped, pins are numbers,
// the console is standard output. Written from the documentation; it is not the core, and what compiles here may still need work there.
#ifndef FAKE_ARDUINO_H
#define FAKE_ARDUINO_H

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>

enum { LOW = 0, HIGH = 1, INPUT = 1, OUTPUT = 3, INPUT_PULLUP = 5 };

/// Milliseconds that a test has skipped, so that it need not wait for them.
inline unsigned long& fake_skipped() {
  static unsigned long skipped = 0;
  return skipped;
}
inline unsigned long millis() {
  static const auto start = std::chrono::steady_clock::now();
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
  return static_cast<unsigned long>(passed.count()) + fake_skipped();
}
/// Gives the network its time; what is longer is skipped.
inline void delay(unsigned long ms) {
  if (ms > 5) fake_skipped() += ms;
  else std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}
inline long random(long end) { return std::rand() % end; }
inline void configTime(long, int, const char*, const char* = nullptr) {}

inline std::map<int, int>& fake_pins() {
  static std::map<int, int> pins;
  return pins;
}
inline void pinMode(uint8_t, uint8_t) {}
inline void digitalWrite(uint8_t pin, uint8_t value) {
  fake_pins()[pin] = value;
  std::printf("pin %d is %d\n", pin, value);
}
inline int digitalRead(uint8_t pin) { return fake_pins().count(pin) ? fake_pins()[pin] : HIGH; }

class String {
 public:
  String(const char* text = "") : text_(text ? text : "") {}
  String(const std::string& text) : text_(text) {}
  const char* c_str() const { return text_.c_str(); }
  unsigned length() const { return static_cast<unsigned>(text_.size()); }
  String operator+(const char* more) const { return String(text_ + more); }
  String operator+(const String& more) const { return String(text_ + more.text_); }
  String operator+(int more) const { return String(text_ + std::to_string(more)); }
  String operator+(unsigned more) const { return String(text_ + std::to_string(more)); }
  String operator+(unsigned long more) const { return String(text_ + std::to_string(more)); }

 private:
  std::string text_;
};

class Print {
 public:
  virtual ~Print() {}
  virtual size_t write(uint8_t byte) = 0;
  size_t print(const char* text) {
    for (const char* c = text; *c != '\0'; c++) write(static_cast<uint8_t>(*c));
    return std::strlen(text);
  }
  size_t print(int number) { return print(std::to_string(number).c_str()); }
  size_t println(const char* text) { return print(text) + print("\n"); }
  size_t println(int number) { return print(number) + print("\n"); }
};

class FakeSerial : public Print {
 public:
  void begin(unsigned long) { std::setvbuf(stdout, nullptr, _IOLBF, 0); }
  template <typename... T>
  int printf(const char* format, T... values) {
    return std::printf(format, values...);
  }
  size_t write(uint8_t byte) override { return std::putchar(byte) == EOF ? 0 : 1; }
  using Print::print;
  using Print::println;
};
extern FakeSerial Serial;

/// The image that "runs" is the file that ESPALIER_FAKE_FLASH names; a restart is the end of the process with code 42.
class FakeEsp {
 public:
  uint32_t getFreeHeap() { return 200000; }
  uint32_t getFreeSketchSpace() { return 0x1E0000; }
  uint32_t getFlashChipSize() { return 4u << 20; }
  static const char* flash() {
    const char* path = std::getenv("ESPALIER_FAKE_FLASH");
    return path ? path : "";
  }
  static std::string running() {
    std::ifstream file(flash(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  [[noreturn]] void restart() {
    std::fflush(stdout);
    std::_Exit(42);
  }
};
extern FakeEsp ESP;

#endif
