// SPDX-License-Identifier: Apache-2.0
//
// Which sub-grains were written or zeroed since the last flush, as long as they are few: what a
// record of the write log can take. Of many it only says that there are many.
//
// Threads: the composer's.
#pragma once

#include <vector>

#include "peers/format/write_log.h"
#include "peers/map/interval_map.h"

namespace atl {

class UnflushedWrites {
 public:
  // `most_grains`: of data in one record.
  void SetLimit(uint64_t most_grains) { most_grains_ = most_grains; }

  // The write has ended, and its range is held yet.
  void Add(GrainRange range, JournalChange change);
  bool empty() const { return !too_many_ && runs_.empty(); }
  bool too_many() const { return too_many_; }
  // Of data; not of too many.
  uint64_t grains() const { return grains_; }
  // All of them, which are none then; not of too many.
  std::vector<JournalEntry> Take();
  // All are durable or about to be.
  void Forget();

 private:
  void Count();

  uint64_t most_grains_ = kMaxLoggedGrains;
  IntervalMap runs_;
  uint64_t grains_ = 0;  // At least so many: what was written again is counted again at first.
  size_t zeros_ = 0;     // The same, of runs.
  bool too_many_ = false;
};

}  // namespace atl
