// Connections with TLS do not exist here: they never connect. What can be seen is whether a certificate was given.
#ifndef FAKE_WIFI_CLIENT_SECURE_H
#define FAKE_WIFI_CLIENT_SECURE_H

#include <WiFiClient.h>

#if defined(ESP8266)
namespace BearSSL {
class X509List {
 public:
  explicit X509List(const char*) {}
};
}  // namespace BearSSL
#endif

class WiFiClientSecure : public WiFiClient {
 public:
#if defined(ESP8266)
  void setTrustAnchors(const BearSSL::X509List*) {}
#else
  void setCACert(const char* pem) { seen().ca = pem; }
  void setHandshakeTimeout(unsigned long seconds) { seen().handshake_s = seconds; }
  using WiFiClient::connect;
#endif
  int connect(const char*, uint16_t) override { return 0; }

  /// What the library has told the last one of these.
  struct Seen {
    std::string ca;
    unsigned long handshake_s = 0;
  };
  static Seen& seen() {
    static Seen seen;
    return seen;
  }
};

#endif
