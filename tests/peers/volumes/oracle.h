// SPDX-License-Identifier: Apache-2.0
//
// What a volume may read as, sector by sector. Each write and each zeroing has a mark, greater than
// all before it; a written sector carries its mark over and over, a zeroed one zeros.
//
// Requests whose ranges overlap take effect in the order in which they are made, so each sector has
// a row of them: the last one that is known to be durable, then those that came since. Who reads
// sees the last one. After the death of processes the sector is the last acknowledged one or a
// later one; after power loss, the durable one or a later one; and the one that is then read
// becomes what it is.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "xseg/base/bytes.h"
#include "xseg/base/units.h"

namespace atl {

class Oracle {
 public:
  using Mark = uint64_t;  // 0: never written.
  enum class Kind : uint8_t { kWrite, kZero };

  uint64_t size() const { return sectors_.size() * kSector; }
  void Resize(uint64_t size) { sectors_.resize(size / kSector); }

  // Bytes of a write of `mark` to whole sectors.
  static Bytes Fill(Mark mark, uint64_t length) {
    Bytes bytes(length);
    for (size_t i = 0; i + 8 <= length; i += 8) std::memcpy(bytes.data() + i, &mark, 8);
    return bytes;
  }

  void Submit(ByteRange range, Mark mark, Kind kind) {
    for (Sector& sector : In(range)) sector.later.push_back({mark, kind, false});
  }
  void Acknowledge(ByteRange range, Mark mark, bool durable) {
    for (Sector& sector : In(range)) {
      if (durable) sector.MakeDurable(mark);
      for (Entry& entry : sector.later) entry.acknowledged |= entry.mark == mark;
    }
  }

  // What is acknowledged, and so is made durable by a flush that is made now.
  std::vector<Mark> Acknowledged() const {
    std::vector<Mark> marks;
    marks.reserve(sectors_.size());
    for (const Sector& sector : sectors_) marks.push_back(sector.acknowledged());
    return marks;
  }
  void MakeDurable(const std::vector<Mark>& marks) {
    for (size_t i = 0; i < std::min(marks.size(), sectors_.size()); ++i) {
      sectors_[i].MakeDurable(marks[i]);
    }
  }
  void Flush() { MakeDurable(Acknowledged()); }
  // What a snapshot may be that was begun when `floor` was acknowledged and has ended now.
  Oracle ImageSince(const std::vector<Mark>& floor) const {
    Oracle image = *this;
    image.MakeDurable(floor);
    return image;
  }

  // What a read of `range` that is made now must show.
  std::vector<Mark> Shown(ByteRange range) const {
    std::vector<Mark> marks;
    for (uint64_t i = range.offset / kSector; i < range.end() / kSector; ++i) {
      marks.push_back(sectors_[i].now().shown());
    }
    return marks;
  }
  static void CheckRead(const std::vector<Mark>& shown, ByteRange range, ConstSpan bytes,
                        const std::string& what) {
    for (size_t i = 0; i < shown.size(); ++i) {
      const uint64_t at = range.offset + i * kSector;
      if (MarkOf(bytes.subspan(i * kSector, kSector), what, at) == shown[i]) continue;
      ADD_FAILURE() << what << ": offset " << at << " is not as it was written, which was "
                    << shown[i];
      return;
    }
  }
  void CheckRead(ConstSpan bytes, const std::string& what) const {
    CheckRead(Shown({0, size()}), {0, size()}, bytes, what);
  }

  enum class Crash : uint8_t { kDeath, kPowerLoss };
  void Settle(ConstSpan bytes, Crash crash, const std::string& what) {
    const std::string wrong = TrySettle(bytes, crash);
    if (!wrong.empty()) ADD_FAILURE() << what << ": " << wrong;
  }
  // Where `bytes` are not what they may be it says why, and is of no use any more.
  std::string TrySettle(ConstSpan bytes, Crash crash) {
    for (size_t i = 0; i < sectors_.size(); ++i) {
      const auto mark = WholeMarkOf(bytes.subspan(i * kSector, kSector));
      if (mark && sectors_[i].Settle(*mark, crash)) continue;
      const std::string at = "offset " + std::to_string(i * kSector);
      if (!mark) return "a torn sector at " + at;
      return at + " reads " + std::to_string(*mark) + ", acknowledged was " +
             std::to_string(sectors_[i].acknowledged()) + ", durable " +
             std::to_string(sectors_[i].durable.mark);
    }
    return {};
  }

  // The mark that a sector carries.
  static Mark MarkOf(ConstSpan sector, const std::string& what, uint64_t at) {
    const auto mark = WholeMarkOf(sector);
    if (!mark) ADD_FAILURE() << what << ": a torn sector at " << at;
    return mark.value_or(0);
  }
  // None: the sector is torn.
  static std::optional<Mark> WholeMarkOf(ConstSpan sector) {
    Mark mark;
    std::memcpy(&mark, sector.data(), 8);
    if (std::memcmp(sector.data(), sector.data() + 8, sector.size() - 8) != 0) return std::nullopt;
    return mark;
  }

 private:
  struct Entry {
    Mark mark = 0;
    Kind kind = Kind::kZero;
    bool acknowledged = true;
    Mark shown() const { return kind == Kind::kZero ? 0 : mark; }
  };
  struct Sector {
    Entry durable;
    std::vector<Entry> later;

    const Entry& now() const { return later.empty() ? durable : later.back(); }
    Mark acknowledged() const {
      for (size_t i = later.size(); i > 0; --i) {
        if (later[i - 1].acknowledged) return later[i - 1].mark;
      }
      return durable.mark;
    }
    void MakeDurable(Mark mark) {
      const auto found = std::ranges::find(later, mark, &Entry::mark);
      if (found == later.end()) return;
      durable = *found;
      durable.acknowledged = true;
      later.erase(later.begin(), found + 1);
    }
    bool Settle(Mark shown, Crash crash) {
      const Mark floor = crash == Crash::kDeath ? acknowledged() : durable.mark;
      bool allowed = floor == durable.mark && durable.shown() == shown;
      Entry is = durable;
      for (const Entry& entry : later) {
        if (entry.mark < floor || entry.shown() != shown) continue;
        allowed = true;
        is = entry;
      }
      is.acknowledged = true;
      if (allowed) *this = {is, {}};
      return allowed;
    }
  };

  std::span<Sector> In(ByteRange range) {
    return std::span(sectors_).subspan(range.offset / kSector, range.length / kSector);
  }

  std::vector<Sector> sectors_;
};

}  // namespace atl
