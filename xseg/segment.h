// SPDX-License-Identifier: Apache-2.0
//
// The segment: a sealed memory file that a node's peers share. It holds ports, their request slots
// and mailboxes, their metrics, and a pool of buffers (docs/LAYOUT.md). Geometry is fixed when it
// is made. No durable state lives here.
//
//   auto segment = Segment::Create({.ports = 8});          // The supervisor.
//   auto same = Segment::Attach(std::move(fds));            // Everybody else.
//
// A segment is mapped by Atoll's own peers only, which trust each other's writes; an outside client
// gets a segment of its own (client_segment.h). Attaching still believes nothing: any descriptor
// gives a segment or a Status. The header is read once and never again.
//
// Threads: the object does not change after it is made and may be used by all threads. It outlives
// its ports, pools and inspectors.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "xseg/base/bytes.h"
#include "xseg/base/status.h"
#include "xseg/base/uuid.h"
#include "xseg/buffer_ref.h"
#include "xseg/geometry.h"
#include "xseg/memory_file.h"
#include "xseg/metrics.h"
#include "xseg/port_record.h"
#include "xseg/segment_fds.h"
#include "xseg/slot.h"

namespace atl {

inline constexpr uint64_t kSegmentMagic = 0x316D6765536C7441;  // "AtlSegm1".
inline constexpr uint32_t kSegmentVersion = 2;

// The first page; zero to its end.
struct SegmentHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t header_bytes;  // sizeof(SegmentHeader).
  Uuid uuid;
  uint32_t ports;
  uint32_t slots_per_port;
  uint32_t blocks[kBlockClasses];
  uint32_t slot_bytes;  // kSlotBytes.
  uint64_t total_bytes;
  uint64_t ports_at;
  uint64_t slots_at;
  uint64_t mailboxes_at;
  uint64_t metrics_at;
  uint64_t block_words_at;
  uint64_t hints_at;
  uint64_t area_at;
  uint32_t reserved;
  uint32_t checksum;  // CRC-32C of the bytes before it.
};
static_assert(sizeof(SegmentHeader) == 128);
static_assert(offsetof(SegmentHeader, magic) == 0);
static_assert(offsetof(SegmentHeader, version) == 8);
static_assert(offsetof(SegmentHeader, header_bytes) == 12);
static_assert(offsetof(SegmentHeader, uuid) == 16);
static_assert(offsetof(SegmentHeader, ports) == 32);
static_assert(offsetof(SegmentHeader, slots_per_port) == 36);
static_assert(offsetof(SegmentHeader, blocks) == 40);
static_assert(offsetof(SegmentHeader, slot_bytes) == 52);
static_assert(offsetof(SegmentHeader, total_bytes) == 56);
static_assert(offsetof(SegmentHeader, ports_at) == 64);
static_assert(offsetof(SegmentHeader, slots_at) == 72);
static_assert(offsetof(SegmentHeader, mailboxes_at) == 80);
static_assert(offsetof(SegmentHeader, metrics_at) == 88);
static_assert(offsetof(SegmentHeader, block_words_at) == 96);
static_assert(offsetof(SegmentHeader, hints_at) == 104);
static_assert(offsetof(SegmentHeader, area_at) == 112);
static_assert(offsetof(SegmentHeader, checksum) == 124);

// Which slot of the whole table: owner * slots_per_port + number.
using SlotIndex = uint32_t;

class Segment {
 public:
  // `uuid` names it in reports.
  static Result<std::unique_ptr<Segment>> Create(const Geometry& geometry, const Uuid& uuid);
  static Result<std::unique_ptr<Segment>> Attach(SegmentFds fds,
                                                 Access access = Access::kReadWrite);
  // From its memory file alone: to look at it (inspect.h), since it cannot ring.
  static Result<std::unique_ptr<Segment>> AttachToInspect(Fd memory);
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  const Geometry& geometry() const { return geometry_; }
  const SegmentLayout& layout() const { return layout_; }
  const Uuid& uuid() const { return uuid_; }
  const SegmentFds& fds() const { return fds_; }
  // -1 if this process has none.
  int doorbell_fd(PortIndex port) const {
    return port < fds_.doorbells.size() ? fds_.doorbells[port].get() : -1;
  }

  PortRecord& port(PortIndex port) const {
    CHECK(port < geometry_.ports);
    return At<PortRecord>(layout_.ports_at)[port];
  }
  uint32_t slot_count() const { return geometry_.ports * geometry_.slots_per_port; }
  SlotRecord& slot(SlotIndex slot) const {
    CHECK(slot < slot_count());
    return At<SlotRecord>(layout_.slots_at)[slot];
  }
  SlotIndex first_slot(PortIndex owner) const { return owner * geometry_.slots_per_port; }
  PortIndex owner_of(SlotIndex slot) const {
    return static_cast<PortIndex>(slot / geometry_.slots_per_port);
  }
  struct Direction {
    PortIndex to;
    PortIndex from;
  };
  Mailbox& mailbox(Direction way) const {
    CHECK(way.to < geometry_.ports && way.from < geometry_.ports);
    return At<Mailbox>(layout_.mailboxes_at)[way.to * geometry_.ports + way.from];
  }
  PortMetrics& metrics(PortIndex port) const {
    CHECK(port < geometry_.ports);
    return At<PortMetrics>(layout_.metrics_at)[port];
  }

  // One word for each block of a class, and one hint bit (block_pool.h).
  std::span<std::atomic<uint32_t>> block_words(int block_class) const;
  std::span<std::atomic<uint64_t>> hints(int block_class) const;
  // Page aligned; may be registered with io_uring as fixed buffers (in pieces of at most 1 GiB).
  MutSpan area() const { return {base() + layout_.area_at, layout_.area_bytes}; }
  // The bytes that a reference names, or kInvalid.
  Result<MutSpan> Resolve(BufferRef ref) const;
  // The reference to bytes of the area, which these must be.
  BufferRef RefOf(ConstSpan bytes) const;

  // All bytes, for tests that damage them.
  MutSpan raw() const { return {base(), mapping_.size()}; }

 private:
  Segment() = default;
  std::byte* base() const { return mapping_.data(); }
  template <typename T>
  T* At(uint64_t offset) const {
    return reinterpret_cast<T*>(base() + offset);
  }

  Geometry geometry_;
  SegmentLayout layout_;
  Uuid uuid_;
  SegmentFds fds_;
  Mapping mapping_;
};

}  // namespace atl
