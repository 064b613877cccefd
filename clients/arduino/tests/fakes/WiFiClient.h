// A connection over the computer's own sockets.
#ifndef FAKE_WIFI_CLIENT_H
#define FAKE_WIFI_CLIENT_H

#include <Client.h>
#include <netdb.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

class WiFiClient : public Client {
 public:
  WiFiClient() : socket_(-1) {}
  ~WiFiClient() override { stop(); }
  WiFiClient(const WiFiClient&) = delete;
  WiFiClient& operator=(const WiFiClient&) = delete;

  /// The cable: without it nothing connects and nothing goes through.
  static bool& plugged() {
    static bool plugged = true;
    return plugged;
  }
  /// How often anything was connected.
  static int& connections() {
    static int connections = 0;
    return connections;
  }

  int connect(const char* host, uint16_t port) override {
    stop();
    connections()++;
    if (!plugged()) return 0;
    addrinfo hints{}, *found = nullptr;
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host, std::to_string(port).c_str(), &hints, &found) != 0) return 0;
    socket_ = ::socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    const bool done = socket_ >= 0 && ::connect(socket_, found->ai_addr, found->ai_addrlen) == 0;
    freeaddrinfo(found);
    if (!done) stop();
    return done ? 1 : 0;
  }
#if defined(ESP32)
  virtual int connect(const char* host, uint16_t port, int32_t timeout_ms) {
    timeout() = static_cast<unsigned long>(timeout_ms);
    return connect(host, port);
  }
#else
  void setTimeout(unsigned long ms) { timeout() = ms; }
#endif
  /// How long the last connection was waited for at most, milliseconds.
  static unsigned long& timeout() {
    static unsigned long timeout = 0;
    return timeout;
  }
  size_t write(const uint8_t* bytes, size_t count) override {
    size_t sent = 0;
    while (plugged() && socket_ >= 0 && sent < count) {
      const ssize_t now = ::send(socket_, bytes + sent, count - sent, MSG_NOSIGNAL);
      if (now <= 0) break;
      sent += static_cast<size_t>(now);
    }
    return sent;
  }
  int available() override {
    int count = 0;
    return socket_ >= 0 && ioctl(socket_, FIONREAD, &count) == 0 ? count : 0;
  }
  int read(uint8_t* bytes, size_t count) override {
    if (available() == 0) return -1;
    return static_cast<int>(::recv(socket_, bytes, count, 0));
  }
  void stop() override {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  uint8_t connected() override {
    if (socket_ < 0) return 0;
    char byte;
    const ssize_t seen = ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return seen > 0 || (seen < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) ? 1 : 0;
  }

 private:
  int socket_;
};

#endif
