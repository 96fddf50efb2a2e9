// SPDX-License-Identifier: Apache-2.0
#include "peers/map/node_header.h"

#include <fmt/format.h>

#include "xseg/base/crc32c.h"

namespace atl {
namespace {

constexpr uint16_t kMagic = 0x4E41;  // "AN"
constexpr uint8_t kVersion = 1;
constexpr uint8_t kIncompatFlags = 0x0F;
constexpr size_t kChecksumAt = 4;

uint32_t ChecksumOf(ConstSpan node, const NodePlace& place) {
  constexpr std::byte kZeros[4] = {};
  const uint32_t crc = Crc32c(kZeros, Crc32c(node.first(kChecksumAt), SeedOf(place)));
  return Crc32c(node.subspan(kChecksumAt + 4), crc);
}

bool LengthFits(NodeForm form, size_t length) {
  switch (form) {
    case NodeForm::kPalette2:
      return length == kNodeHeaderBytes + 2 * 2 + kLeafGrains / 8;
    case NodeForm::kPalette4:
      return length == kNodeHeaderBytes + 4 * 2 + kLeafGrains / 4;
    case NodeForm::kPalette16:
      return length == kNodeHeaderBytes + 16 * 2 + kLeafGrains / 2;
    case NodeForm::kPlain:
      return length == kNodeHeaderBytes + kLeafGrains * 2;
    case NodeForm::kInner:
      return length >= kNodeHeaderBytes + 16 && length <= kMaxNodeBytes && length % 8 == 0;
  }
  return false;
}

struct RawHeader {
  bool same_magic = false;
  uint8_t version = 0;
  uint8_t flags = 0;
  uint32_t checksum = 0;
  NodeHeader header;
};

RawHeader GetRaw(ConstSpan bytes) {
  Decoder in(bytes);
  RawHeader raw;
  raw.same_magic = in.Get<uint16_t>() == kMagic;
  raw.version = in.Get<uint8_t>();
  raw.flags = in.Get<uint8_t>();
  raw.checksum = in.Get<uint32_t>();
  raw.header.level = in.Get<uint8_t>();
  raw.header.form = static_cast<NodeForm>(in.Get<uint8_t>());
  raw.header.length = in.Get<uint16_t>();
  raw.header.first = in.Get<uint32_t>() * kLeafGrains;
  if (!in.ok()) return {};
  return raw;
}

}  // namespace

Status BadNode(const NodePlace& place, std::string_view what) {
  return {Code::kCorrupt,
          fmt::format("node at {} of {}: {}", place.offset, place.log.ToString(), what)};
}

uint32_t SeedOf(const NodePlace& place) {
  Encoder name;
  name.Put(static_cast<uint8_t>(place.log.kind));
  name.Put(place.log.owner);
  name.Put(place.log.epoch);
  name.Put(place.log.generation);
  name.Put(place.offset);
  return Crc32c(name.view());
}

void PutNodeHeader(Encoder* out, const NodeHeader& header) {
  CHECK(header.first < kMapGrains && header.first % SpanOf(header.level) == 0);
  CHECK(LengthFits(header.form, header.length));
  out->Put(kMagic);
  out->Put(kVersion);
  out->Put(uint8_t{0});
  out->Put(uint32_t{0});
  out->Put(header.level);
  out->Put(static_cast<uint8_t>(header.form));
  out->Put(header.length);
  out->Put(static_cast<uint32_t>(header.first / kLeafGrains));
}

void FinishNode(Encoder* out, size_t start, const NodePlace& place) {
  out->PatchAt(start + kChecksumAt, ChecksumOf(out->view().subspan(start), place));
}

Result<NodeHeader> ParseNodeHeader(ConstSpan bytes) {
  const RawHeader raw = GetRaw(bytes);
  if (!raw.same_magic) return Status(Code::kCorrupt, "no map node begins here");
  const NodeHeader& header = raw.header;
  const bool is_leaf = header.form != NodeForm::kInner;
  if (header.level > kTopLevel || (header.level == 0) != is_leaf ||
      !LengthFits(header.form, header.length)) {
    return Status(Code::kCorrupt,
                  fmt::format("a map node of level {}, form {} cannot have {} bytes", header.level,
                              static_cast<int>(header.form), header.length));
  }
  return header;
}

Result<NodeHeader> OpenNode(ConstSpan bytes, int level, uint64_t first, const NodePlace& place,
                            Decoder* body) {
  const auto header = ParseNodeHeader(bytes);
  if (!header.ok()) return BadNode(place, header.status().message());
  if (bytes.size() != header->length) return BadNode(place, "its length is wrong");
  const RawHeader raw = GetRaw(bytes);
  if (raw.checksum != ChecksumOf(bytes, place)) return BadNode(place, "its checksum is wrong");
  if (raw.version != kVersion || (raw.flags & kIncompatFlags) != 0) {
    return Status(Code::kUnsupported,
                  fmt::format("node at {} of {}: format version {}, features 0x{:x}", place.offset,
                              place.log.ToString(), raw.version, raw.flags & kIncompatFlags));
  }
  if (header->level != level || header->first != first) {
    return BadNode(place, fmt::format("it is of level {} at {}, wanted is level {} at {}",
                                      header->level, header->first, level, first));
  }
  *body = Decoder(bytes.subspan(kNodeHeaderBytes));
  return header;
}

Result<size_t> NodeLength(ConstSpan bytes) {
  ASSIGN_OR_RETURN(const NodeHeader header, ParseNodeHeader(bytes));
  return size_t{header.length};
}

}  // namespace atl
