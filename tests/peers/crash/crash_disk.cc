// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/crash/crash_disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "xseg/base/check.h"
#include "xseg/base/fd.h"

namespace atl {
namespace {

using Kind = DiskOp::Kind;

bool IsOfNames(const DiskOp& op) { return op.kind <= Kind::kRename; }
bool MovesAway(const DiskOp& op) { return op.kind == Kind::kRename && op.to != op.node; }

}  // namespace

DiskImage::DiskImage(const std::vector<DiskOp>& ops, uint64_t clock, Lost lost, uint64_t seed)
    : clock_(clock), lost_(lost), random_(seed) {
  Sort(ops);
  ChooseNames();
  JoinRenames();
  MakeNames();
  List(0, "");
  for (const Entry& entry : entries_) {
    if (entry.is_directory || files_.contains(entry.node)) continue;
    files_[entry.node] = MakeFile(contents_[entry.node]);
  }
}

// What happened, by whom it happened to.
void DiskImage::Sort(const std::vector<DiskOp>& ops) {
  for (const DiskOp& op : ops) {
    const bool ended = op.ended <= clock_;
    const bool under_way = op.begun < clock_ && !ended && lost_ == Lost::kSomeUnsynced;
    if (!ended && !under_way) continue;
    if (op.kind == Kind::kMakeDir) directories_.insert(op.child);
    if (op.kind == Kind::kSync) {
      if (ended) synced_until_[op.node] = std::max(synced_until_[op.node], op.begun);
    } else if (!IsOfNames(op)) {
      contents_[op.node].push_back(&op);
    } else {
      changes_[op.node].ops.push_back(&op);
      if (MovesAway(op)) changes_[op.to].ops.push_back(&op);
    }
  }
}

bool DiskImage::IsCovered(const DiskOp& op) const {
  if (op.synced && op.ended <= clock_) return true;
  const auto found = synced_until_.find(op.node);
  return found != synced_until_.end() && op.ended <= found->second;
}

// How many of `all` there are, of which `floor` must be. The ends are likely.
size_t DiskImage::Choose(size_t floor, size_t all) {
  if (lost_ == Lost::kNothing || floor == all) return all;
  if (lost_ == Lost::kAllUnsynced) return floor;
  switch (random_() % 4) {
    case 0:
      return floor;
    case 1:
      return all;
    default:
      return floor + random_() % (all - floor + 1);
  }
}

// --- Names ---------------------------------------------------------------------------------------

void DiskImage::ChooseNames() {
  for (auto& [directory, changes] : changes_) {
    const auto synced = synced_until_.find(directory);
    const uint64_t until = synced == synced_until_.end() ? 0 : synced->second;
    for (size_t i = 0; i < changes.ops.size(); ++i) {
      if (changes.ops[i]->ended <= until) changes.floor = i + 1;
    }
    changes.kept = Choose(changes.floor, changes.ops.size());
  }
}

// A rename is in both directories or in none. What is durable in one is so in the other, and takes
// along what came before it there.
void DiskImage::JoinRenames() {
  for (bool changed = true; changed;) {
    changed = false;
    for (auto& [directory, changes] : changes_) {
      for (size_t here = 0; here < changes.ops.size(); ++here) {
        const DiskOp* op = changes.ops[here];
        if (!MovesAway(*op)) continue;
        Changes& other = changes_[op->node == directory ? op->to : op->node];
        const auto there =
            static_cast<size_t>(std::ranges::find(other.ops, op) - other.ops.begin());
        if (changes.floor > here && other.floor <= there) {
          other.floor = there + 1;
          other.kept = std::max(other.kept, other.floor);
          changed = true;
        } else if (changes.kept <= here && other.kept > there) {
          other.kept = there;
          changed = true;
        }
      }
    }
  }
}

void DiskImage::MakeNames() {
  for (const auto& [directory, changes] : changes_) {
    auto& names = names_[directory];
    for (size_t i = 0; i < changes.kept; ++i) {
      const DiskOp& op = *changes.ops[i];
      if (op.kind == Kind::kRename) {
        if (op.node == directory) names.erase(op.name);
        if (op.to == directory) names[op.to_name] = op.child;
      } else if (op.kind == Kind::kUnlink) {
        names.erase(op.name);
      } else {
        names[op.name] = op.child;
      }
    }
  }
}

void DiskImage::List(NodeId directory, const std::string& path) {
  const auto names = names_.find(directory);
  if (names == names_.end()) return;
  for (const auto& [name, child] : names->second) {
    const bool is_directory = directories_.contains(child);
    const std::string below = fmt::format("{}/{}", path, name);
    entries_.push_back({below, child, is_directory});
    if (is_directory) List(child, below);
  }
}

// --- Contents ------------------------------------------------------------------------------------

uint64_t DiskImage::ChooseSize(const std::vector<const DiskOp*>& ops) {
  size_t floor = 0;
  for (size_t i = 0; i < ops.size(); ++i) {
    if (IsCovered(*ops[i])) floor = i + 1;
  }
  const size_t kept = Choose(floor, ops.size());
  uint64_t size = 0;
  for (size_t i = 0; i < kept; ++i) {
    const DiskOp& op = *ops[i];
    if (op.kind == Kind::kZero) continue;
    size = op.cuts ? op.range.offset : std::max(size, op.range.end());
  }
  return size;
}

Bytes DiskImage::MakeFile(const std::vector<const DiskOp*>& ops) {
  struct Unit {
    size_t touched = 0, floor = 0, kept = 0, applied = 0;
  };
  const uint64_t size_of_unit = random_() % 2 == 0 ? kSector : kSubGrain;
  std::vector<Unit> units;
  const auto for_each = [&](const DiskOp& op, const auto& visit) {
    const ByteRange around = op.range.RoundOut(size_of_unit);
    for (uint64_t at = around.offset; at < around.end(); at += size_of_unit) {
      const uint64_t index = at / size_of_unit;
      if (units.size() <= index) units.resize(index + 1);
      visit(units[index], ByteRange{at, size_of_unit}.Intersect(op.range));
    }
  };
  for (const DiskOp* op : ops) {
    for_each(*op, [&](Unit& unit, ByteRange) {
      ++unit.touched;
      if (IsCovered(*op)) unit.floor = unit.touched;
    });
  }
  for (Unit& unit : units) unit.kept = Choose(unit.floor, unit.touched);
  Bytes bytes(ChooseSize(ops));
  for (const DiskOp* op : ops) {
    for_each(*op, [&](Unit& unit, ByteRange piece) {
      if (++unit.applied > unit.kept) return;
      const bool zeros = op->kind != Kind::kWrite;
      // Zeroing makes nothing longer.
      if (zeros) piece = piece.Intersect({0, bytes.size()});
      if (piece.empty()) return;
      if (bytes.size() < piece.end()) bytes.resize(piece.end());
      std::byte* to = bytes.data() + piece.offset;
      if (zeros) {
        std::fill_n(to, piece.length, std::byte{0});
      } else {
        std::copy_n(op->data.data() + (piece.offset - op->range.offset), piece.length, to);
      }
    });
  }
  return bytes;
}

// --- What it is ----------------------------------------------------------------------------------

uint64_t DiskImage::Hash() const {
  uint64_t hash = 0;
  const auto mix = [&hash](uint64_t value) {
    hash = (hash ^ value) * 0x9E3779B97F4A7C15ull;
    hash ^= hash >> 29;
  };
  const std::hash<std::string_view> hash_of;
  for (const Entry& entry : entries_) {
    mix(hash_of(entry.path));
    mix(entry.node);
    if (!entry.is_directory) mix(hash_of(AsText(files_.at(entry.node))));
  }
  return hash;
}

std::string DiskImage::ToString() const {
  std::string text;
  for (const Entry& entry : entries_) {
    text += fmt::format("  {:4} {}", entry.node, entry.path);
    text += entry.is_directory ? "/\n" : fmt::format(" {}\n", files_.at(entry.node).size());
  }
  return text;
}

void DiskImage::WriteTo(const std::string& root) const {
  std::map<NodeId, std::string> written;
  for (const Entry& entry : entries_) {
    const std::string path = root + entry.path;
    if (entry.is_directory) {
      CHECK(mkdir(path.c_str(), 0750) == 0) << path;
      continue;
    }
    const auto [first, fresh] = written.try_emplace(entry.node, path);
    if (!fresh) {
      CHECK(link(first->second.c_str(), path.c_str()) == 0) << path;
      continue;
    }
    const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
    const Bytes& bytes = files_.at(entry.node);
    CHECK(fd.valid() && ftruncate(fd.get(), static_cast<off_t>(bytes.size())) == 0) << path;
    for (uint64_t at = 0; at < bytes.size(); at += kSubGrain) {
      const ConstSpan piece =
          ConstSpan(bytes).subspan(at, std::min<uint64_t>(kSubGrain, bytes.size() - at));
      if (IsAllZero(piece)) continue;
      CHECK(pwrite(fd.get(), piece.data(), piece.size(), static_cast<off_t>(at)) ==
            static_cast<ssize_t>(piece.size()))
          << path;
    }
  }
}

}  // namespace atl
