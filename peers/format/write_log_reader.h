// SPDX-License-Identifier: Apache-2.0
//
// What counts of a write log after its writer has ended: found piece by piece, so that a log costs
// the memory of one piece and not its own.
//
// Pure: bytes in, decisions out.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "peers/format/write_log.h"

namespace atl {

// A record whose data was looked at and not kept.
struct PlacedRecord {
  WriteLogRecord record;
  uint64_t at = 0;  // In the log.
  uint64_t size = 0;
  uint32_t checksum = 0;
};

class WriteLogReader {
 public:
  // No piece is longer.
  static constexpr size_t kMostBytes = kMaxWriteLogRecord;

  // `lengths`: what there is of each half.
  WriteLogReader(const BlobId& log, uint32_t opening, std::array<uint64_t, 2> lengths);

  // Which bytes of the log it has to see next; empty once it has seen all that matters.
  ByteRange wants() const;
  void Take(ConstSpan bytes);

  // Then, in order. A torn last record is nothing unusual, as nobody was told that it was durable.
  // kCorrupt if one that was durable is damaged; kUnsupported if a newer program has written it.
  Result<std::vector<PlacedRecord>> Live() const;

 private:
  enum class Step : uint8_t { kFirstChain, kSecondChain, kFirstRest, kSecondRest, kDone };
  // A half as far as it is a chain.
  struct Half {
    uint64_t length = 0;
    uint64_t end = 0;  // Of the chain.
    std::vector<PlacedRecord> chain;
  };

  size_t half() const { return step_ == Step::kSecondChain || step_ == Step::kSecondRest ? 1 : 0; }
  // The half that was written to last, if any was.
  size_t newer() const;
  bool Follows(const PlacedRecord& next, const PlacedRecord& before) const;
  // The other half is all that came before the newer one.
  bool IsWhole() const;
  // Goes on from `position_`; returns how many of the bytes are done with.
  size_t TakeChain(ConstSpan bytes);
  size_t TakeRest(ConstSpan bytes);
  bool MayBeLater(ConstSpan page) const;
  void NextStep();

  BlobId log_;
  uint32_t opening_;
  std::array<Half, 2> halves_;
  Step step_ = Step::kFirstChain;
  uint64_t position_ = 0;  // In the half.
  uint64_t last_ = 0;      // The last record of the chains.
  uint64_t budget_;        // Of bytes made to look like records that may still be summed.
  bool lost_ = false;      // A record was durable that is not in its chain.
  Status unreadable_;
};

}  // namespace atl
