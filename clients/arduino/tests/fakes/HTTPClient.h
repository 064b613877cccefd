// The HTTP client of the core, as far as the first program of a new device uses it.
#ifndef FAKE_HTTP_CLIENT_H
#define FAKE_HTTP_CLIENT_H

#include <WiFiClient.h>

class HTTPClient {
 public:
  bool begin(const char* url) {
    const std::string text = url;
    const size_t host = text.find("://") + 3, path = text.find('/', host), colon = text.find(':', host);
    if (text.compare(0, 7, "http://") != 0 || colon > path) return false;
    host_ = text.substr(host, colon - host);
    port_ = static_cast<uint16_t>(std::stoi(text.substr(colon + 1)));
    path_ = text.substr(path);
    headers_.clear();
    return true;
  }
  bool begin(WiFiClient&, const char* url) { return begin(url); }
  void addHeader(const char* name, const char* value) { headers_ += std::string(name) + ": " + value + "\r\n"; }
  /// The status, or a number below 0.
  int POST(const String& body) {
    WiFiClient client;
    if (!client.connect(host_.c_str(), port_)) return -1;
    const std::string request = "POST " + path_ + " HTTP/1.0\r\nHost: " + host_ + "\r\n" + headers_ +
                                "Content-Length: " + std::to_string(body.length()) + "\r\n\r\n" + body.c_str();
    client.write(reinterpret_cast<const uint8_t*>(request.data()), request.size());
    answer_.clear();
    while (client.connected() || client.available() > 0) {
      uint8_t piece[512];
      const int count = client.read(piece, sizeof piece);
      if (count > 0) answer_.append(reinterpret_cast<char*>(piece), static_cast<size_t>(count));
      else delay(1);
    }
    return answer_.size() > 12 ? std::atoi(answer_.c_str() + 9) : -1;
  }
  String getString() {
    const size_t end = answer_.find("\r\n\r\n");
    return end == std::string::npos ? String("") : String(answer_.substr(end + 4));
  }
  void end() {}

 private:
  std::string host_, path_, headers_, answer_;
  uint16_t port_ = 0;
};

#endif
