// MD5 (RFC 1321), for the updater that compares it. It protects nothing here and nowhere else.
#ifndef FAKE_MD5_H
#define FAKE_MD5_H

#include <cmath>
#include <cstdint>
#include <string>

inline std::string md5_hex(std::string text) {
  static const int turns[16] = {7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};
  uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  const uint64_t bits = static_cast<uint64_t>(text.size()) * 8;
  text += '\x80';
  while (text.size() % 64 != 56) text += '\0';
  for (int i = 0; i < 8; i++) text += static_cast<char>(bits >> (8 * i));
  for (size_t at = 0; at < text.size(); at += 64) {
    uint32_t word[16];
    for (size_t i = 0; i < 16; i++) {
      word[i] = 0;
      for (size_t j = 4; j-- > 0;) word[i] = word[i] << 8 | static_cast<unsigned char>(text[at + 4 * i + j]);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (uint32_t i = 0; i < 64; i++) {
      uint32_t f = i < 16 ? (b & c) | (~b & d) : i < 32 ? (d & b) | (~d & c) : i < 48 ? b ^ c ^ d : c ^ (b | ~d);
      const uint32_t nth = i < 16 ? i : i < 32 ? (5 * i + 1) % 16 : i < 48 ? (3 * i + 5) % 16 : 7 * i % 16;
      f += a + word[nth] + static_cast<uint32_t>(std::floor(std::fabs(std::sin(i + 1.0)) * 4294967296.0));
      const int turn = turns[i / 16 * 4 + i % 4];
      a = d;
      d = c;
      c = b;
      b += f << turn | f >> (32 - turn);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
  }
  std::string hex;
  for (uint32_t part : state) {
    for (int i = 0; i < 4; i++) {
      static const char digits[] = "0123456789abcdef";
      const unsigned byte = part >> (8 * i) & 255;
      hex += digits[byte >> 4];
      hex += digits[byte & 15];
    }
  }
  return hex;
}

#endif
