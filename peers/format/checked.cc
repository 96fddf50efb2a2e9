// SPDX-License-Identifier: Apache-2.0
#include "peers/format/checked.h"

#include <fmt/format.h>

#include "xseg/base/crc32c.h"

namespace atl {
namespace {

constexpr uint16_t kVersion = 1;

// Over `bytes` with the checksum itself taken as zeros.
uint32_t ChecksumOf(ConstSpan bytes, uint32_t seed) {
  constexpr std::byte kZeros[4] = {};
  uint32_t crc = Crc32c(bytes.first(kEnvelopeBytes), seed);
  crc = Crc32c(kZeros, crc);
  return Crc32c(bytes.subspan(kCheckedHeaderBytes), crc);
}

}  // namespace

void BeginChecked(Encoder* out, std::string_view magic, const FormatFlags& flags) {
  CHECK(out->size() == 0);
  PutEnvelope(out, magic, kVersion, flags);
  out->Put(uint32_t{0});
}

Bytes FinishChecked(Encoder* out, uint32_t seed) {
  out->PatchAt(kEnvelopeBytes, ChecksumOf(out->view(), seed));
  return out->Take();
}

uint32_t SealChecked(MutSpan bytes, uint32_t seed) {
  const uint32_t checksum = ChecksumOf(bytes, seed);
  std::memcpy(bytes.data() + kEnvelopeBytes, &checksum, sizeof(checksum));
  return checksum;
}

Result<CheckedBody> OpenChecked(ConstSpan bytes, std::string_view magic, uint32_t seed) {
  if (bytes.size() < kCheckedHeaderBytes) {
    return Status(Code::kCorrupt,
                  fmt::format("{} bytes are too short for a structure '{}'", bytes.size(), magic));
  }
  if (AsText(bytes.first(magic.size())) != magic) {
    return Status(Code::kCorrupt, fmt::format("the magic is not '{}'", magic));
  }
  // The checksum comes before version and flags, or damage would look like a newer program's work.
  const auto checksum = Decoder(bytes.subspan(kEnvelopeBytes)).Get<uint32_t>();
  if (checksum != ChecksumOf(bytes, seed)) {
    return Status(Code::kCorrupt, fmt::format("the checksum of '{}' is wrong", magic));
  }
  Decoder envelope(bytes.first(kEnvelopeBytes));
  ASSIGN_OR_RETURN(const FormatFlags flags, GetEnvelope(&envelope, magic, kVersion, kKnownFlags));
  return CheckedBody{flags, checksum, Decoder(bytes.subspan(kCheckedHeaderBytes))};
}

}  // namespace atl
