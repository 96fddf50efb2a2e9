// SPDX-License-Identifier: Apache-2.0
//
// A sparse space of bytes on the heap that knows which of its bytes are durable: the disk of the
// memory driver.
//
// The fault model. A unit is 512 aligned bytes. A write makes its units dirty; Sync makes them
// durable. PowerLoss decides for each dirty unit, by the world's random numbers, whether the newest
// bytes survived or those before. Between two writes to a dirty unit the first may have reached the
// disk (again by chance), so the older of two unsynced writes may be what survives. A unit that is
// not dirty never changes.
//
// Threads: none of its own; the caller's.
#pragma once

#include <absl/container/btree_map.h>

#include <array>
#include <cstddef>
#include <memory>
#include <random>
#include <vector>

#include "peers/store/store.h"

namespace atl {

// Bytes that a world has, and the part of them that is kept for logs and records.
struct SpaceBudget {
  uint64_t limit = 0;
  uint64_t reserve = 0;
  uint64_t used = 0;

  enum class Purpose { kData, kMetadata };
  bool Take(uint64_t bytes, Purpose purpose);
  void Give(uint64_t bytes) { used -= bytes; }
};

class SparseSpace {
 public:
  // `budget` may be null: somebody else counts. `random` null: every write is durable at once.
  SparseSpace(SpaceBudget* budget, std::mt19937_64* random) : budget_(budget), random_(random) {}
  ~SparseSpace();
  SparseSpace(const SparseSpace&) = delete;
  SparseSpace& operator=(const SparseSpace&) = delete;

  void Read(uint64_t offset, MutSpan out) const;
  // False, and nothing changed, if there is no room.
  [[nodiscard]] bool Write(uint64_t offset, ConstSpan data);
  [[nodiscard]] bool ZeroAllocated(ByteRange range);
  void Punch(ByteRange range);

  void Sync() { SyncRange({0, kMaxVolumeSize}); }
  // Makes the units that `range` touches durable.
  void SyncRange(ByteRange range);
  void PowerLoss();

  std::vector<BlobExtent> Extents(ByteRange range) const;
  uint64_t used_bytes() const { return used_pages_ * kPage; }

 private:
  static constexpr uint64_t kPage = 4 * kKiB;
  static constexpr uint64_t kUnit = kSector;
  static constexpr uint64_t kUnits = kPage / kUnit;
  using Buffer = std::array<std::byte, kPage>;

  struct Page {
    std::unique_ptr<Buffer> now;     // Null reads as zero.
    std::unique_ptr<Buffer> before;  // What is durable of the dirty units; null: zeros.
    uint8_t dirty = 0;               // One bit for each unit.
    bool kept = false;               // Takes space though it has no buffer.
    bool takes_space() const { return now != nullptr || kept; }
  };
  using Pages = absl::btree_map<uint64_t, Page>;

  uint64_t MissingPages(ByteRange range) const;
  bool TakePages(uint64_t count);
  // To be called before the units of `part`, a range within the page, change.
  void Touch(Page& page, ByteRange part);
  void SyncUnits(Page& page, uint8_t units);
  void LosePage(Page& page);
  // Drops the entry if it says nothing any more.
  Pages::iterator Settle(Pages::iterator at);

  SpaceBudget* budget_;
  std::mt19937_64* random_;
  uint64_t used_pages_ = 0;
  Pages pages_;
};

}  // namespace atl
