// A switch and a dimmer that the app sets, and a button that sets the switch at the board.
#include <Espalier.h>

#include "secrets.h"

const uint8_t RELAY = 2;
const uint8_t BUTTON = 0;

EspalierDevice device;
bool on = false;
bool was_down = false;

void show(bool next) {
  on = next;
  digitalWrite(RELAY, on ? HIGH : LOW);
}

// Returns true when the wish is done; the server then knows so.
bool relay(const char*, const espalier::Value& wish, void*) {
  show(wish.on());
  return true;
}

bool dimmer(const char*, const espalier::Value& wish, void*) {
  const int percent = wish.integer();
  if (percent < 0 || percent > 100) return false;
  Serial.print("dimmer: ");
  Serial.println(percent);
  return true;
}

void setup() {
  Serial.begin(115200);
  pinMode(RELAY, OUTPUT);
  pinMode(BUTTON, INPUT_PULLUP);
  device.onPin("v0", relay);
  device.onPin("v1", dimmer);
  device.pollEvery(2);
  device.wifi(WIFI_NAME, WIFI_PASSWORD);
  device.begin(SERVER, DEVICE, TOKEN);
}

void loop() {
  device.loop();
  const bool down = digitalRead(BUTTON) == LOW;
  if (down && !was_down) {
    show(!on);
    device.setPin("v0", on);
  }
  was_down = down;
  delay(10);
}
