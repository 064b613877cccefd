// Runs a sketch: setup() once, loop() until the time in ESPALIER_RUN_MS is over or the sketch restarts its board.
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
    delay(1);
  }
  return 0;
}
