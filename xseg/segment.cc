// SPDX-License-Identifier: Apache-2.0
#include "xseg/segment.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "xseg/base/crc32c.h"

namespace atl {
namespace {

uint32_t ChecksumOf(const SegmentHeader& header) {
  return Crc32c(std::as_bytes(std::span(&header, 1)).first(offsetof(SegmentHeader, checksum)));
}

SegmentHeader MakeHeader(const Geometry& geometry, const SegmentLayout& layout, const Uuid& uuid) {
  SegmentHeader header{};
  header.magic = kSegmentMagic;
  header.version = kSegmentVersion;
  header.header_bytes = sizeof(SegmentHeader);
  header.uuid = uuid;
  header.ports = geometry.ports;
  header.slots_per_port = geometry.slots_per_port;
  std::copy(geometry.blocks.begin(), geometry.blocks.end(), header.blocks);
  header.slot_bytes = kSlotBytes;
  header.total_bytes = layout.total_bytes;
  header.ports_at = layout.ports_at;
  header.slots_at = layout.slots_at;
  header.mailboxes_at = layout.mailboxes_at;
  header.metrics_at = layout.metrics_at;
  header.block_words_at = layout.block_words_at;
  header.hints_at = layout.hints_at;
  header.area_at = layout.area_at;
  header.checksum = ChecksumOf(header);
  return header;
}

// The header as it would be made from its own geometry must be the header as it is.
Status CheckHeader(const SegmentHeader& header, uint64_t file_bytes, Geometry* geometry,
                   SegmentLayout* layout) {
  if (header.magic != kSegmentMagic) return {Code::kInvalid, "not a segment"};
  if (header.version != kSegmentVersion) {
    return {Code::kUnsupported, "a segment of another layout version"};
  }
  geometry->ports = header.ports;
  geometry->slots_per_port = header.slots_per_port;
  std::copy(std::begin(header.blocks), std::end(header.blocks), geometry->blocks.begin());
  ASSIGN_OR_RETURN(*layout, PlanLayout(*geometry));
  const SegmentHeader expected = MakeHeader(*geometry, *layout, header.uuid);
  if (std::memcmp(&header, &expected, sizeof(header)) != 0) {
    return {Code::kCorrupt, "a segment's header contradicts itself"};
  }
  if (file_bytes != layout->total_bytes) {
    return {Code::kCorrupt, "a segment's size is not what its header says"};
  }
  return {};
}

Result<Fd> MakeEventFd() {
  Fd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) return Status::FromErrno(errno, "eventfd");
  return fd;
}

void InitialisePools(const Segment& segment) {
  for (int c = 0; c < kBlockClasses; ++c) {
    const uint32_t blocks = segment.geometry().blocks[c];
    auto hints = segment.hints(c);
    for (uint32_t block = 0; block < blocks; ++block) {
      hints[block / 64].fetch_or(1ull << (block % 64), std::memory_order_relaxed);
    }
  }
}

}  // namespace

Result<std::unique_ptr<Segment>> Segment::Create(const Geometry& geometry, const Uuid& uuid) {
  ASSIGN_OR_RETURN(const SegmentLayout layout, PlanLayout(geometry));
  std::unique_ptr<Segment> segment(new Segment());
  segment->geometry_ = geometry;
  segment->layout_ = layout;
  segment->uuid_ = uuid;
  ASSIGN_OR_RETURN(segment->fds_.memory, CreateSealedFile("atoll-segment", layout.total_bytes));
  for (uint32_t port = 0; port < geometry.ports; ++port) {
    ASSIGN_OR_RETURN(Fd doorbell, MakeEventFd());
    segment->fds_.doorbells.push_back(std::move(doorbell));
  }
  ASSIGN_OR_RETURN(segment->mapping_, Mapping::Map(segment->fds_.memory.get(), layout.total_bytes,
                                                   Access::kReadWrite));
  InitialisePools(*segment);
  const SegmentHeader header = MakeHeader(geometry, layout, uuid);
  std::memcpy(segment->base(), &header, sizeof(header));
  return segment;
}

Result<std::unique_ptr<Segment>> Segment::Attach(SegmentFds fds, Access access) {
  ASSIGN_OR_RETURN(const uint64_t file_bytes, SizeOfSealedFile(fds.memory.get()));
  SegmentHeader header;
  RETURN_IF_ERROR(ReadStart(fds.memory.get(), std::as_writable_bytes(std::span(&header, 1))));
  std::unique_ptr<Segment> segment(new Segment());
  RETURN_IF_ERROR(CheckHeader(header, file_bytes, &segment->geometry_, &segment->layout_));
  if (!fds.doorbells.empty() && fds.doorbells.size() != segment->geometry_.ports) {
    return Status(Code::kInvalid, "a segment came with the wrong number of doorbells");
  }
  segment->uuid_ = header.uuid;
  segment->fds_ = std::move(fds);
  ASSIGN_OR_RETURN(segment->mapping_, Mapping::Map(segment->fds_.memory.get(), file_bytes, access));
  return segment;
}

Result<std::unique_ptr<Segment>> Segment::AttachToInspect(Fd memory) {
  SegmentFds fds;
  fds.memory = std::move(memory);
  return Attach(std::move(fds), Access::kReadOnly);
}

std::span<std::atomic<uint32_t>> Segment::block_words(int block_class) const {
  uint64_t before = 0;
  for (int c = 0; c < block_class; ++c) before += geometry_.blocks[c];
  return {At<std::atomic<uint32_t>>(layout_.block_words_at) + before,
          geometry_.blocks[block_class]};
}

std::span<std::atomic<uint64_t>> Segment::hints(int block_class) const {
  uint64_t offset = layout_.hints_at;
  for (int c = 0; c < block_class; ++c) {
    offset += AlignUp(HintWords(geometry_.blocks[c]) * 8, kCacheLine);
  }
  return {At<std::atomic<uint64_t>>(offset), HintWords(geometry_.blocks[block_class])};
}

Result<MutSpan> Segment::Resolve(BufferRef ref) const {
  if (!ref.FitsIn(layout_.area_bytes)) {
    return Status(Code::kInvalid, "a buffer reference outside of the segment");
  }
  return area().subspan(ref.offset, ref.length);
}

BufferRef Segment::RefOf(ConstSpan bytes) const {
  const MutSpan whole = area();
  CHECK(bytes.data() >= whole.data() && bytes.size() <= kMaxBufferBytes &&
        bytes.data() + bytes.size() <= whole.data() + whole.size())
      << "these bytes are not in the segment";
  return {static_cast<uint64_t>(bytes.data() - whole.data()), static_cast<uint32_t>(bytes.size())};
}

}  // namespace atl
