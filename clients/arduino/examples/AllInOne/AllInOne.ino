// Everything in one sketch: values, a switch, commands, signs of life and updates. For a server with HTTPS, put the certificate
// of its authority into ROOT_CA and an https address into secrets.h.
#include <Espalier.h>

#include "secrets.h"

const char* ROOT_CA = nullptr;
const uint8_t RELAY = 2;

EspalierDevice device;
unsigned long last = 0;
unsigned long interval_ms = 10000;

bool relay(const char*, const espalier::Value& wish, void*) {
  digitalWrite(RELAY, wish.on() ? HIGH : LOW);
  return true;
}

// Knows two commands: `identify` blinks, `interval` sets the seconds between samples.
void command(const char* name, espalier::Slice params, espalier::Reply& reply, void*) {
  if (strcmp(name, "identify") == 0) {
    for (int i = 0; i < 6; i++) {
      digitalWrite(RELAY, i % 2 == 0 ? HIGH : LOW);
      delay(100);
    }
    return;
  }
  espalier::Slice value;
  int64_t seconds = 0;
  if (strcmp(name, "interval") != 0) {
    reply.fail("this board knows `identify` and `interval`");
  } else if (!espalier::json::find(params, "seconds", value) || !espalier::json::to_integer(value, seconds) || seconds < 1 || seconds > 3600) {
    reply.fail("`seconds` must be a whole number from 1 to 3600");
  } else {
    interval_ms = static_cast<unsigned long>(seconds) * 1000;
    reply.json("{\"message\":\"set\"}");
  }
}

void setup() {
  Serial.begin(115200);
  pinMode(RELAY, OUTPUT);
  device.firmware("All_In_One", "1.0.0");
  device.onPin("v0", relay);
  device.onCommand(command);
#if defined(ESP32)
  device.updates(600);
#endif
  device.ca(ROOT_CA);
  device.wifi(WIFI_NAME, WIFI_PASSWORD);
  device.begin(SERVER, DEVICE, TOKEN);
}

void loop() {
  device.loop();
  if (millis() - last < interval_ms) return;
  last = millis();
  device.add("uptime", millis() / 1000);
  device.add("free_heap", ESP.getFreeHeap());
  device.add("rssi", WiFi.RSSI());
  device.send();
}
