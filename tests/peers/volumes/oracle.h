// SPDX-License-Identifier: Apache-2.0
//
// What a volume may read as, sector by sector. Each sector that a test writes carries one 64-bit
// mark over and over; 0 is zeros. A sector knows its last acknowledged mark, what it was when it
// was last known durable, and everything written since: after a crash it may be any that the
// promise allows, and the one that is then read becomes what it is.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "xseg/base/bytes.h"
#include "xseg/base/units.h"

namespace atl {

class Oracle {
 public:
  using Mark = uint64_t;

  uint64_t size() const { return size_; }
  void Resize(uint64_t size) {
    size_ = size;
    sectors_.erase(sectors_.lower_bound(size / kSector), sectors_.end());
  }

  // Bytes of a write of `mark` to whole sectors.
  static Bytes Fill(Mark mark, uint64_t length) {
    Bytes bytes(length);
    for (size_t i = 0; i + 8 <= length; i += 8) std::memcpy(bytes.data() + i, &mark, 8);
    return bytes;
  }

  // Submitted: from now on it may be seen after a crash. Acknowledged: it must be read.
  void Submit(ByteRange range, Mark mark) {
    ForEach(range, [&](Sector& sector) { sector.possible.insert(mark); });
  }
  void Acknowledge(ByteRange range, Mark mark) {
    ForEach(range, [&](Sector& sector) {
      sector.now = mark;
      sector.since_flush.insert(mark);
    });
  }
  // Everything acknowledged is durable.
  void Flush() {
    for (auto& [index, sector] : sectors_) {
      sector.since_flush = {sector.now};
      sector.possible.clear();
    }
  }

  // Checks what was read while nothing had crashed.
  void CheckRead(ByteRange range, ConstSpan bytes, const std::string& what) const {
    for (uint64_t at = range.offset; at < range.end(); at += kSector) {
      const Mark mark = MarkOf(bytes.subspan(at - range.offset, kSector), what, at);
      ASSERT_EQ(mark, NowOf(at / kSector)) << what << ": offset " << at;
    }
  }
  // After the death of processes: acknowledged writes are there; those under way may be.
  // After power loss: anything since the last flush may be.
  void CheckAfterCrash(ConstSpan bytes, bool power_lost, const std::string& what) {
    for (uint64_t at = 0; at < size_; at += kSector) {
      const Mark mark = MarkOf(bytes.subspan(at, kSector), what, at);
      const auto found = sectors_.find(at / kSector);
      if (found == sectors_.end()) {
        ASSERT_EQ(mark, 0u) << what << ": offset " << at << " was never written";
        continue;
      }
      Sector& sector = found->second;
      std::set<Mark> allowed = sector.possible;
      allowed.insert(sector.now);
      if (power_lost) allowed.insert(sector.since_flush.begin(), sector.since_flush.end());
      ASSERT_TRUE(allowed.contains(mark))
          << what << ": offset " << at << " reads " << mark << ", acknowledged was " << sector.now;
      sector.now = mark;
      sector.since_flush = {mark};
      sector.possible.clear();
    }
  }

 private:
  struct Sector {
    Mark now = 0;
    std::set<Mark> since_flush = {0};
    std::set<Mark> possible;
  };

  template <typename F>
  void ForEach(ByteRange range, F function) {
    for (uint64_t at = range.offset; at < range.end(); at += kSector) {
      function(sectors_[at / kSector]);
    }
  }
  Mark NowOf(uint64_t index) const {
    const auto found = sectors_.find(index);
    return found == sectors_.end() ? 0 : found->second.now;
  }
  static Mark MarkOf(ConstSpan sector, const std::string& what, uint64_t at) {
    Mark mark;
    std::memcpy(&mark, sector.data(), 8);
    for (size_t i = 0; i < sector.size(); i += 8) {
      Mark other;
      std::memcpy(&other, sector.data() + i, 8);
      EXPECT_EQ(other, mark) << what << ": a torn sector at " << at;
    }
    return mark;
  }

  uint64_t size_ = 0;
  std::map<uint64_t, Sector> sectors_;
};

}  // namespace atl
