// On the ESP8266 the same radio has another header.
#include <WiFi.h>
