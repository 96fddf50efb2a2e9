// SPDX-License-Identifier: Apache-2.0
#include "peers/format/envelope.h"

#include <fmt/format.h>

namespace atl {

void PutEnvelope(Encoder* out, std::string_view magic, uint16_t version, const FormatFlags& flags) {
  CHECK(magic.size() == 4);
  out->Raw(AsBytes(magic));
  out->Put(version);
  out->Put(uint16_t{0});
  out->Put(flags.compat);
  out->Put(flags.read_only_compat);
  out->Put(flags.incompat);
}

Result<FormatFlags> GetEnvelope(Decoder* in, std::string_view magic, uint16_t version,
                                const FormatFlags& known) {
  if (in->remaining() < kEnvelopeBytes) {
    in->Fail();
    return Status(Code::kCorrupt, fmt::format("too short for a structure '{}'", magic));
  }
  const bool same_magic = AsText(in->Raw(4)) == magic;
  const auto found_version = in->Get<uint16_t>();
  const auto reserved = in->Get<uint16_t>();
  FormatFlags flags;
  flags.compat = in->Get<uint32_t>();
  flags.read_only_compat = in->Get<uint32_t>();
  flags.incompat = in->Get<uint32_t>();
  if (!same_magic) return Status(Code::kCorrupt, fmt::format("the magic is not '{}'", magic));
  if (found_version != version) {
    return Status(Code::kUnsupported, fmt::format("'{}' has format version {}, known here is {}",
                                                  magic, found_version, version));
  }
  if (reserved != 0) {
    return Status(Code::kCorrupt, fmt::format("'{}' has bytes set that must be zero", magic));
  }
  if (const uint32_t unknown = flags.incompat & ~known.incompat; unknown != 0) {
    return Status(Code::kUnsupported,
                  fmt::format("'{}' needs features 0x{:x}, unknown here", magic, unknown));
  }
  return flags;
}

}  // namespace atl
