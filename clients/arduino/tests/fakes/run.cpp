// Runs a sketch: setup() once, loop() until the board's clock has reached ESPALIER_RUN_MS or the sketch restarts its board. Between
// two turns 20 ms are skipped, so that a minute of the board takes a moment.
#include <HTTPUpdate.h>
#include <LittleFS.h>

FakeSerial Serial;
FakeEsp ESP;
FakeWiFi WiFi;
FakeFS LittleFS;
HTTPUpdate httpUpdate;

void setup();
void loop();

int main() {
  const char* given = std::getenv("ESPALIER_RUN_MS");
  const unsigned long end = given != nullptr ? std::strtoul(given, nullptr, 10) : 200;
  setup();
  while (millis() < end) {
    loop();
    fake_skipped() += 20;
  }
  return 0;
}
