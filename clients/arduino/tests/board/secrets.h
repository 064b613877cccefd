// The secrets of a board that is a process: they come from the environment. Examples are compiled beside this file.
#include <cstdlib>

inline const char* from_environment(const char* name) {
  const char* text = std::getenv(name);
  return text != nullptr ? text : "";
}
#define WIFI_NAME "network"
#define WIFI_PASSWORD "password"
#define SERVER from_environment("ESPALIER_URL")
#define DEVICE from_environment("ESPALIER_DEVICE")
#define TOKEN from_environment("ESPALIER_TOKEN")
