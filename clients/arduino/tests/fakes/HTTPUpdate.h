// The updater, as arduino-esp32's behaves on the wire: HTTP/1.0, its headers in its order, 200 with a length and `x-MD5`, 304 for
// nothing to do, anything else a failure. What it "flashes" is the file of FakeEsp.
#ifndef FAKE_HTTP_UPDATE_H
#define FAKE_HTTP_UPDATE_H

#include <WiFi.h>
#include <md5.h>

enum followRedirects_t { HTTPC_DISABLE_FOLLOW_REDIRECTS, HTTPC_STRICT_FOLLOW_REDIRECTS, HTTPC_FORCE_FOLLOW_REDIRECTS };
enum t_httpUpdate_return { HTTP_UPDATE_FAILED, HTTP_UPDATE_NO_UPDATES, HTTP_UPDATE_OK };

class HTTPUpdate {
 public:
  // ESPALIER_FAKE_FOLLOW: some other part of the sketch has told it to follow them.
  HTTPUpdate() : follow_(std::getenv("ESPALIER_FAKE_FOLLOW") ? HTTPC_FORCE_FOLLOW_REDIRECTS : HTTPC_DISABLE_FOLLOW_REDIRECTS) {}
  void setFollowRedirects(followRedirects_t follow) { follow_ = follow; }
  t_httpUpdate_return update(WiFiClient& client, const String& url, const String& version = "") {
    error_ = "";
    const std::string text = url.c_str();
    const size_t host = text.find("://") + 3, path = text.find('/', host), colon = text.find(':', host);
    if (text.compare(0, 7, "http://") != 0 || path == std::string::npos || colon > path) return fail("the URL is none");
    const std::string name = text.substr(host, colon - host);
    if (!client.connect(name.c_str(), static_cast<uint16_t>(std::stoi(text.substr(colon + 1))))) return fail("connection refused");
    const std::string running = ESP.running();
    std::string request = "GET " + text.substr(path) + " HTTP/1.0\r\nHost: " + text.substr(host, path - host) +
                          "\r\nUser-Agent: ESP32-http-Update\r\nConnection: close\r\nCache-Control: no-cache\r\nx-ESP32-STA-MAC: " + WiFi.macAddress() +
                          "\r\nx-ESP32-AP-MAC: " + WiFi.softAPmacAddress() + "\r\nx-ESP32-free-space: " + std::to_string(ESP.getFreeSketchSpace()) +
                          "\r\nx-ESP32-sketch-size: " + std::to_string(running.size()) + "\r\n";
    if (!running.empty()) request += "x-ESP32-sketch-md5: " + md5_hex(running) + "\r\n";
    request += "x-ESP32-chip-size: " + std::to_string(ESP.getFlashChipSize()) + "\r\nx-ESP32-sdk-version: v5.1.4\r\nx-ESP32-mode: sketch\r\n";
    if (version.length() > 0) request += std::string("x-ESP32-version: ") + version.c_str() + "\r\n";
    request += "\r\n";
    client.write(reinterpret_cast<const uint8_t*>(request.data()), request.size());
    std::string answer;
    while (client.connected() || client.available() > 0) {
      uint8_t piece[4096];
      const int count = client.read(piece, sizeof piece);
      if (count > 0) answer.append(reinterpret_cast<char*>(piece), static_cast<size_t>(count));
      else delay(1);
    }
    client.stop();
    const std::string to = answer.compare(9, 1, "3") == 0 ? header(answer, "location") : "";
    if (follow_ != HTTPC_DISABLE_FOLLOW_REDIRECTS && !to.empty()) return update(client, to, version);
    return take(answer);
  }
  String getLastErrorString() { return error_; }

 private:
  t_httpUpdate_return fail(const std::string& why) {
    error_ = why;
    return HTTP_UPDATE_FAILED;
  }
  static std::string header(const std::string& head, const std::string& name) {
    std::string low;
    for (char c : head) low += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const size_t at = low.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const size_t from = at + name.size() + 4;
    return head.substr(from, head.find("\r\n", from) - from);
  }
  t_httpUpdate_return take(const std::string& answer) {
    const size_t end = answer.find("\r\n\r\n");
    if (answer.size() < 12 || end == std::string::npos) return fail("no answer");
    const std::string head = answer.substr(0, end + 2), body = answer.substr(end + 4), status = answer.substr(9, 3);
    std::printf("updater: status %s, x-MD5 %s\n", status.c_str(), header(head, "x-md5").c_str());
    if (status == "304") return HTTP_UPDATE_NO_UPDATES;
    if (status != "200") return fail("Wrong HTTP Code " + status);
    if (header(head, "content-length") != std::to_string(body.size())) return fail("Server Did Not Report Size");
    if (body.empty() || body[0] != '\xE9') return fail("Verify Bin Header Failed");
    if (header(head, "x-md5") != md5_hex(body)) return fail("Wrong MD5");
    std::ofstream(ESP.flash(), std::ios::binary) << body;
    ESP.restart();
  }
  followRedirects_t follow_;
  std::string error_;
};
extern HTTPUpdate httpUpdate;

#endif
