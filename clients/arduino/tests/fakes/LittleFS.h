// The file system: a folder that ESPALIER_FAKE_FILES names.
#ifndef FAKE_LITTLE_FS_H
#define FAKE_LITTLE_FS_H

#include <Arduino.h>

class File {
 public:
  explicit File(FILE* file = nullptr) : file_(file) {}
  explicit operator bool() const { return file_ != nullptr; }
  size_t write(const uint8_t* bytes, size_t count) { return std::fwrite(bytes, 1, count, file_); }
  int read(uint8_t* bytes, size_t count) { return static_cast<int>(std::fread(bytes, 1, count, file_)); }
  size_t size() {
    const long at = std::ftell(file_);
    std::fseek(file_, 0, SEEK_END);
    const long size = std::ftell(file_);
    std::fseek(file_, at, SEEK_SET);
    return static_cast<size_t>(size);
  }
  void close() {
    if (file_ != nullptr) std::fclose(file_);
    file_ = nullptr;
  }

 private:
  FILE* file_;
};

class FakeFS {
 public:
  bool begin(bool = false) { return folder() != nullptr; }
  File open(const char* path, const char* mode) { return File(std::fopen(full(path).c_str(), mode)); }
  bool exists(const char* path) {
    File file = open(path, "r");
    const bool there = static_cast<bool>(file);
    file.close();
    return there;
  }
  bool remove(const char* path) { return std::remove(full(path).c_str()) == 0; }

 private:
  static const char* folder() { return std::getenv("ESPALIER_FAKE_FILES"); }
  static std::string full(const char* path) { return std::string(folder() ? folder() : "/nowhere") + path; }
};
extern FakeFS LittleFS;

#endif
