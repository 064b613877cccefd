// The radio: connected a moment after begin().
#ifndef FAKE_WIFI_H
#define FAKE_WIFI_H

#include <WiFiClient.h>

enum wl_status_t { WL_IDLE_STATUS = 0, WL_CONNECTED = 3, WL_DISCONNECTED = 6 };
enum { WIFI_STA = 1 };

class FakeWiFi {
 public:
  void mode(int) {}
  void begin(const char*, const char*) { status_ = WL_CONNECTED; }
  void disconnect() { status_ = WL_DISCONNECTED; }
  wl_status_t status() { return status_; }
  int RSSI() { return -57; }
  const char* macAddress() { return "24:6F:28:01:02:03"; }
  const char* softAPmacAddress() { return "24:6F:28:01:02:04"; }

 private:
  wl_status_t status_ = WL_IDLE_STATUS;
};
extern FakeWiFi WiFi;

#endif
