// SPDX-License-Identifier: Apache-2.0
//
// Builds what clients say and what servers answer, byte by byte from the specification and without
// the server's own builders, so that a test compares two things.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "xseg/base/bytes.h"

namespace atl::nbd {

class Script {
 public:
  Script& U8(unsigned value) { return Big(value, 1); }
  Script& U16(unsigned value) { return Big(value, 2); }
  Script& U32(uint64_t value) { return Big(value, 4); }
  Script& U64(uint64_t value) { return Big(value, 8); }
  Script& Text(std::string_view text) {
    for (char c : text) out_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  Script& Fill(size_t count, unsigned value) {
    out_.resize(out_.size() + count, static_cast<std::byte>(value));
    return *this;
  }
  Script& Add(const Bytes& bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    return *this;
  }

  Script& ClientFlags(uint32_t flags) { return U32(flags); }
  Script& Option(uint32_t option, const Bytes& data = {}) {
    return U64(0x49484156454F5054).U32(option).U32(data.size()).Add(data);
  }
  Script& OptionReply(uint32_t option, uint32_t type, const Bytes& data = {}) {
    return U64(0x3e889045565a9).U32(option).U32(type).U32(data.size()).Add(data);
  }
  struct RequestFields {
    unsigned flags = 0;
    unsigned type = 0;
    uint64_t cookie = 0;
    uint64_t offset = 0;
    uint64_t length = 0;
  };
  Script& Request(const RequestFields& request) {
    return U32(0x25609513)
        .U16(request.flags)
        .U16(request.type)
        .U64(request.cookie)
        .U64(request.offset)
        .U32(request.length);
  }
  Script& Simple(uint64_t cookie, uint32_t error = 0) {
    return U32(0x67446698).U32(error).U64(cookie);
  }
  Script& Chunk(unsigned flags, unsigned type, uint64_t cookie, const Bytes& payload = {}) {
    return U32(0x668e33ef).U16(flags).U16(type).U64(cookie).U32(payload.size()).Add(payload);
  }

  const Bytes& bytes() const { return out_; }
  operator Bytes() const { return out_; }      // NOLINT
  operator ConstSpan() const { return out_; }  // NOLINT

 private:
  Script& Big(uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) out_.push_back(static_cast<std::byte>(value >> (8 * i)));
    return *this;
  }
  Bytes out_;
};

// The data of GO and INFO.
inline Bytes InfoData(std::string_view name, std::initializer_list<unsigned> infos = {}) {
  Script data;
  data.U32(name.size()).Text(name).U16(static_cast<unsigned>(infos.size()));
  for (unsigned info : infos) data.U16(info);
  return data;
}
// The data of LIST_META_CONTEXT and SET_META_CONTEXT.
inline Bytes MetaData(std::string_view name, std::vector<std::string> queries) {
  Script data;
  data.U32(name.size()).Text(name).U32(queries.size());
  for (const auto& query : queries) data.U32(query.size()).Text(query);
  return data;
}

// For messages of failed comparisons: hex, cut where it gets long.
inline std::string Hex(ConstSpan bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < bytes.size() && i < 400; ++i) {
    const auto value = static_cast<unsigned>(bytes[i]);
    out += kDigits[value >> 4];
    out += kDigits[value & 15];
    if (i % 4 == 3) out += ' ';
  }
  return out + " (" + std::to_string(bytes.size()) + " bytes)";
}

}  // namespace atl::nbd
