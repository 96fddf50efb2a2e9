// SPDX-License-Identifier: Apache-2.0
#include "xseg/client_segment.h"

#include <fcntl.h>

#include <cstring>

#include "xseg/base/crc32c.h"

namespace atl {
namespace {

constexpr uint64_t kRingsAt = kPageBytes;
constexpr uint64_t kSlotsAt = 2 * kPageBytes;

Result<ClientHeader> MakeHeader(const ClientGeometry& geometry) {
  if (geometry.slots < 64 || geometry.slots > kMaxSlotsPerPort || geometry.slots % 64 != 0) {
    return Status(Code::kInvalid, "a client has 64 to 512 slots, a multiple of 64");
  }
  ClientHeader header{};
  header.magic = kClientMagic;
  header.version = kClientVersion;
  header.header_bytes = sizeof(ClientHeader);
  header.slots = geometry.slots;
  header.slot_bytes = kSlotBytes;
  header.area_at = AlignUp(kSlotsAt + geometry.slots * kSlotBytes, kPageBytes);
  header.total_bytes = header.area_at;
  for (int c = 0; c < kBlockClasses; ++c) {
    if (geometry.blocks[c] > kMaxBlocksPerClass) {
      return Status(Code::kInvalid, "too many buffer blocks in a class");
    }
    header.blocks[c] = geometry.blocks[c];
    header.total_bytes += geometry.blocks[c] * kBlockBytes[c];
  }
  header.checksum =
      Crc32c(std::as_bytes(std::span(&header, 1)).first(offsetof(ClientHeader, checksum)));
  return header;
}

}  // namespace

Result<std::unique_ptr<ClientSegment>> ClientSegment::Create(const ClientGeometry& geometry) {
  ASSIGN_OR_RETURN(const ClientHeader header, MakeHeader(geometry));
  std::unique_ptr<ClientSegment> segment(new ClientSegment());
  segment->geometry_ = geometry;
  segment->area_at_ = header.area_at;
  segment->total_bytes_ = header.total_bytes;
  ASSIGN_OR_RETURN(segment->memory_, CreateSealedFile("atoll-client", header.total_bytes));
  RETURN_IF_ERROR(segment->Map());
  std::memcpy(segment->mapping_.data(), &header, sizeof(header));
  return segment;
}

Result<std::unique_ptr<ClientSegment>> ClientSegment::Attach(Fd memory) {
  ASSIGN_OR_RETURN(const uint64_t file_bytes, SizeOfSealedFile(memory.get()));
  ClientHeader header;
  RETURN_IF_ERROR(ReadStart(memory.get(), std::as_writable_bytes(std::span(&header, 1))));
  if (header.magic != kClientMagic) return Status(Code::kInvalid, "not a client segment");
  if (header.version != kClientVersion) {
    return Status(Code::kUnsupported, "a client segment of another layout version");
  }
  std::unique_ptr<ClientSegment> segment(new ClientSegment());
  segment->geometry_.slots = header.slots;
  std::copy(std::begin(header.blocks), std::end(header.blocks), segment->geometry_.blocks.begin());
  ASSIGN_OR_RETURN(const ClientHeader expected, MakeHeader(segment->geometry_));
  if (std::memcmp(&header, &expected, sizeof(header)) != 0 || file_bytes != header.total_bytes) {
    return Status(Code::kCorrupt, "a client segment's header contradicts itself");
  }
  segment->area_at_ = header.area_at;
  segment->total_bytes_ = header.total_bytes;
  segment->memory_ = std::move(memory);
  RETURN_IF_ERROR(segment->Map());
  return segment;
}

Status ClientSegment::Map() {
  ASSIGN_OR_RETURN(mapping_, Mapping::Map(memory_.get(), total_bytes_, Access::kReadWrite));
  return {};
}

void ClientSegment::GiveBack() const {
  (void)fallocate(memory_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  static_cast<off_t>(total_bytes_));
}

ClientRings& ClientSegment::rings() const {
  return *reinterpret_cast<ClientRings*>(mapping_.data() + kRingsAt);
}

std::span<SlotRecord> ClientSegment::slots() const {
  return {reinterpret_cast<SlotRecord*>(mapping_.data() + kSlotsAt), geometry_.slots};
}

std::array<uint64_t, kBlockClasses> ClientSegment::class_at() const {
  std::array<uint64_t, kBlockClasses> out{};
  uint64_t at = 0;
  for (int c = kBlockClasses - 1; c >= 0; --c) {
    out[c] = at;
    at += geometry_.blocks[c] * kBlockBytes[c];
  }
  return out;
}

}  // namespace atl
