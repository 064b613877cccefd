// Updates itself over the air (ESP32). Upload an image with the type `Garden_Light`, make a release and roll it out; the board
// asks every ten minutes, installs what it is offered and restarts.
#include <Espalier.h>

#include "secrets.h"

EspalierDevice device;

void setup() {
  Serial.begin(115200);
  device.firmware("Garden_Light", "1.0.0");
#if defined(ESP32)
  device.updates(600);
#endif
  device.wifi(WIFI_NAME, WIFI_PASSWORD);
  device.begin(SERVER, DEVICE, TOKEN);
}

void loop() {
  device.loop();
  delay(10);
}
