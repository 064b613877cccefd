// Is there a new sketch for this board? The question to /api/ota/check and what the answer says. The download itself is done by
// the board's updater (HTTPUpdate), which checks the MD5 that the server sends with the image.
#ifndef ESPALIER_UPDATE_H
#define ESPALIER_UPDATE_H

#include "json.h"

namespace espalier {

/// A sketch to install.
struct Update {
  /// Its version, for people.
  char version[52];
  /// Where it is, on the server that was asked. The link works once.
  char path[300];
  /// Bytes.
  int64_t size;

  Update() : size(0) { version[0] = path[0] = '\0'; }

  /// Reads an answer; false when there is nothing to install or the answer is not understood.
  ///
  /// The host of the link is not looked at: the image comes from the server that this board trusts, over the same kind of
  /// connection, and the token goes nowhere else.
  bool read(Slice answer) {
    Slice value;
    if (!json::find(answer, "update_available", value) || !value.equals("true")) return false;
    Writer text(version, sizeof version);
    if (json::find(answer, "version", value) && !json::to_text(value, text)) version[0] = '\0';
    if (json::find(answer, "file_size", value) && !json::to_integer(value, size)) return false;
    char url[400];
    Writer out(url, sizeof url);
    if (!json::find(answer, "firmware_url", value) || !json::to_text(value, out)) return false;
    const char* host = strstr(url, "://");
    const char* slash = host != NULL ? strchr(host + 3, '/') : NULL;
    if (slash == NULL) return false;
    for (const char* c = slash; *c != '\0'; c++) {
      if (*c <= ' ' || *c == 0x7F) return false;
    }
    return copy_text(path, sizeof path, Slice(slash));
  }
};

/// Installs a sketch. It returns only when that did not work, with one sentence why.
typedef const char* (*UpdateHandler)(const Update& update, void* context);

}  // namespace espalier

#endif
