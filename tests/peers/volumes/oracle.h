// SPDX-License-Identifier: Apache-2.0
//
// What a volume may read as, sector by sector. Each write and each zeroing has a mark, greater than
// all before it; a written sector carries its mark over and over, a zeroed one zeros.
//
// Requests whose ranges overlap take effect in the order in which they are made, so each sector has
// a row of them: the last one that is known to be durable, then those that came since. Who reads
// sees the last one. One that has failed, or of which nobody has heard, has happened or has not:
// then it is the last acknowledged one or a later one. So it is after the death of processes; after
// power loss it is the durable one or a later one; and the one that is then read becomes what it
// is.
//
// What is not as it must be is said in words, which are empty if nothing is wrong.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
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

  // What a read of `range` that is made now must show, if nothing fails.
  std::vector<Mark> Shown(ByteRange range) const {
    std::vector<Mark> marks;
    for (const Sector& sector : In(range)) marks.push_back(sector.now().shown());
    return marks;
  }
  static std::string CheckRead(const std::vector<Mark>& shown, ByteRange range, ConstSpan bytes,
                               const std::string& what) {
    for (size_t i = 0; i < shown.size(); ++i) {
      const uint64_t at = range.offset + i * kSector;
      Mark mark = 0;
      std::string torn = MarkOf(bytes.subspan(i * kSector, kSector), what, at, &mark);
      if (!torn.empty()) return torn;
      if (mark == shown[i]) continue;
      return what + ": offset " + std::to_string(at) + " reads " + std::to_string(mark) +
             " and was written as " + std::to_string(shown[i]);
    }
    return {};
  }
  std::string CheckRead(ConstSpan bytes, const std::string& what) const {
    return CheckRead(Shown({0, size()}), {0, size()}, bytes, what);
  }

  // The newest request to each sector: what a read that is made now comes behind.
  std::vector<Mark> Newest(ByteRange range) const {
    std::vector<Mark> marks;
    for (const Sector& sector : In(range)) marks.push_back(sector.now().mark);
    return marks;
  }
  // Of a read that came behind `newest`, once it is known how those before it have ended and before
  // any of them is made durable.
  std::string CheckReadBehind(const std::vector<Mark>& newest, ByteRange range, ConstSpan bytes,
                              const std::string& what) const {
    const auto sectors = In(range);
    for (size_t i = 0; i < newest.size(); ++i) {
      const uint64_t at = range.offset + i * kSector;
      Mark mark = 0;
      std::string torn = MarkOf(bytes.subspan(i * kSector, kSector), what, at, &mark);
      if (!torn.empty()) return torn;
      const Mark floor = sectors[i].acknowledged(newest[i]);
      if (sectors[i].Allows(mark, floor, newest[i])) continue;
      return what + ": offset " + std::to_string(at) + " reads " + std::to_string(mark) +
             ", acknowledged before was " + std::to_string(floor) + ", the newest before " +
             std::to_string(newest[i]);
    }
    return {};
  }
  enum class Crash : uint8_t {
    kNone,  // Somebody has looked, which makes nothing durable.
    kDeath,
    kPowerLoss,
  };
  std::string Settle(ConstSpan bytes, Crash crash, const std::string& what) {
    for (size_t i = 0; i < sectors_.size(); ++i) {
      Mark mark = 0;
      std::string torn = MarkOf(bytes.subspan(i * kSector, kSector), what, i * kSector, &mark);
      if (!torn.empty()) return torn;
      if (sectors_[i].Settle(mark, crash)) continue;
      return what + ": offset " + std::to_string(i * kSector) + " reads " + std::to_string(mark) +
             ", acknowledged was " + std::to_string(sectors_[i].acknowledged()) + ", durable " +
             std::to_string(sectors_[i].durable.mark);
    }
    return {};
  }

  // The mark that a sector carries.
  static std::string MarkOf(ConstSpan sector, const std::string& what, uint64_t at, Mark* mark) {
    std::memcpy(mark, sector.data(), 8);
    if (std::memcmp(sector.data(), sector.data() + 8, sector.size() - 8) == 0) return {};
    return what + ": a torn sector at " + std::to_string(at);
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
    Mark acknowledged() const { return acknowledged(now().mark); }
    // The last one up to `newest`.
    Mark acknowledged(Mark newest) const {
      for (size_t i = later.size(); i > 0; --i) {
        if (later[i - 1].acknowledged && later[i - 1].mark <= newest) return later[i - 1].mark;
      }
      return durable.mark;
    }
    bool Allows(Mark shown, Mark floor, Mark newest) const {
      if (floor == durable.mark && durable.shown() == shown) return true;
      return std::ranges::any_of(later, [&](const Entry& entry) {
        return entry.mark >= floor && entry.mark <= newest && entry.shown() == shown;
      });
    }
    void MakeDurable(Mark mark) {
      const auto found = std::ranges::find(later, mark, &Entry::mark);
      if (found == later.end()) return;
      durable = *found;
      durable.acknowledged = true;
      later.erase(later.begin(), found + 1);
    }
    bool Settle(Mark shown, Crash crash) {
      const Mark floor = crash == Crash::kPowerLoss ? durable.mark : acknowledged();
      bool allowed = floor == durable.mark && durable.shown() == shown;
      Entry is = durable;
      for (const Entry& entry : later) {
        if (entry.mark < floor || entry.shown() != shown) continue;
        allowed = true;
        is = entry;
      }
      is.acknowledged = true;
      if (!allowed) return false;
      if (crash != Crash::kNone) durable = is;
      later.clear();
      if (is.mark != durable.mark) later.push_back(is);
      return true;
    }
  };

  std::span<const Sector> In(ByteRange range) const {
    return std::span(sectors_).subspan(range.offset / kSector, range.length / kSector);
  }
  std::span<Sector> In(ByteRange range) {
    return std::span(sectors_).subspan(range.offset / kSector, range.length / kSector);
  }

  std::vector<Sector> sectors_;
};

}  // namespace atl
