// Sends what every board knows of itself, every ten seconds. Without a network the samples wait, with their times.
#include <Espalier.h>

#include "secrets.h"

EspalierDevice device;
unsigned long last = 0;

void setup() {
  Serial.begin(115200);
  device.wifi(WIFI_NAME, WIFI_PASSWORD);
  device.begin(SERVER, DEVICE, TOKEN);
}

void loop() {
  device.loop();
  if (millis() - last < 10000) return;
  last = millis();
  device.add("uptime", millis() / 1000);
  device.add("free_heap", ESP.getFreeHeap());
  device.add("rssi", WiFi.RSSI());
  device.send();
}
