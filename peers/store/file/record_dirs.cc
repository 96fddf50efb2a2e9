// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/record_dirs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "peers/store/file/layout.h"

namespace atl {
namespace {

// How often something that others change all the time is looked at again.
constexpr int kLookTries = 1'000;
constexpr int kSwapTries = 100;
constexpr int kClearTries = 100;
// How long an empty directory may be somebody's step before it is damage.
constexpr int kEmptyTries = 20;
constexpr useconds_t kEmptyPauseUs = 1'000;

std::string NoneMarker(const std::string& hex) { return hex + ".none"; }

uint64_t Highest(const std::vector<std::string>& names) {
  uint64_t highest = 0;
  for (const std::string& name : names) highest = std::max(highest, ParseNumber(name).value_or(0));
  return highest;
}

Result<uint64_t> HighestIn(const Dir& dir) {
  ASSIGN_OR_RETURN(const auto names, ListNames(dir));
  return Highest(names);
}

Status Conflict(const RecordKey& key, const std::string& what) {
  return {Code::kConflict, key.ToString() + ": " + what};
}

Status TooBusy(const RecordKey& key) {
  return {Code::kBusy, key.ToString() + " changes all the time"};
}

// An empty file; no error if it is there.
Status TouchAt(const Dir& parent, const std::string& name, sys::Site site = sys::Site::current()) {
  return OpenFileAt(parent, name, O_RDWR | O_CREAT, 0640, site).status();
}

}  // namespace

Result<RecordDirs> RecordDirs::Open(const Dir& root) {
  RecordDirs dirs;
  ASSIGN_OR_RETURN(const Dir records, MakeDirAt(root, kRecordsDir));
  ASSIGN_OR_RETURN(const Dir floors, MakeDirAt(root, kFloorsDir));
  dirs.kinds_.resize(static_cast<size_t>(RecordKind::kLease) + 1);
  for (const RecordKind kind : kRecordKinds) {
    Kind& entry = dirs.kinds_[static_cast<size_t>(kind)];
    ASSIGN_OR_RETURN(entry.records, MakeDirAt(records, DirOf(kind)));
    ASSIGN_OR_RETURN(entry.floors, MakeDirAt(floors, DirOf(kind)));
  }
  RETURN_IF_ERROR(SyncDir(records));
  RETURN_IF_ERROR(SyncDir(floors));
  RETURN_IF_ERROR(SyncDir(root));
  return dirs;
}

// --- Looking -------------------------------------------------------------------------------------

// nullopt: something changed meanwhile, look again.
Result<std::optional<RecordDirs::View>> RecordDirs::LookOnce(const RecordKey& key) const {
  View view;
  auto dir = OpenDirAt(KindOf(key.kind).records, FileNameOf(key.name));
  if (dir.code() == Code::kNotFound) return std::optional<View>(std::move(view));
  if (!dir.ok()) return dir.status();
  view.dir = *std::move(dir);
  ASSIGN_OR_RETURN(view.version, HighestIn(*view.dir));
  if (view.version == 0) return std::optional<View>(std::move(view));
  const std::string name = std::to_string(view.version);
  auto fd = OpenFileAt(*view.dir, name, O_RDONLY);
  if (fd.code() == Code::kNotFound) return std::optional<View>();
  if (!fd.ok()) return fd.status();
  view.fd = *std::move(fd);
  const std::string path = view.dir->PathOf(name);
  ASSIGN_OR_RETURN(const Bytes bytes, ReadWhole(view.fd.get(), kMaxRecordFile, path));
  ASSIGN_OR_RETURN(const uint64_t again, HighestIn(*view.dir));
  if (again != view.version) return std::optional<View>();
  ASSIGN_OR_RETURN(view.file, DecodeRecordFile(bytes, key, view.version, path));
  return std::optional<View>(std::move(view));
}

Result<RecordDirs::View> RecordDirs::Look(const RecordKey& key) const {
  const std::string hex = FileNameOf(key.name);
  int empty = 0;
  for (int tries = 0; tries < kLookTries; ++tries) {
    ASSIGN_OR_RETURN(std::optional<View> view, LookOnce(key));
    if (!view) continue;
    if (!view->dir || view->version > 0) return *std::move(view);
    ASSIGN_OR_RETURN(const bool on_purpose, ExistsAt(KindOf(key.kind).records, NoneMarker(hex)));
    if (on_purpose) return *std::move(view);
    if (++empty > kEmptyTries) {
      return Status(Code::kCorrupt, view->dir->path + ": a record without any version");
    }
    usleep(kEmptyPauseUs);
  }
  return TooBusy(key);
}

// Also absence: nobody may act on a removal that power could take back.
Status RecordDirs::MakeDurable(const RecordKey& key, const View& view) const {
  if (view.version > 0 && durable_->Knows(key, view.version)) return {};
  if (view.version > 0) RETURN_IF_ERROR(SyncFile(view.fd.get(), view.dir->path));
  if (view.dir) RETURN_IF_ERROR(SyncDir(*view.dir));
  RETURN_IF_ERROR(SyncDir(KindOf(key.kind).records));
  if (view.version > 0) durable_->Learn(key, view.version);
  return {};
}

Result<Record> RecordDirs::Get(const RecordKey& key, ReadFor purpose) const {
  ASSIGN_OR_RETURN(View view, Look(key));
  if (purpose == ReadFor::kAct) RETURN_IF_ERROR(MakeDurable(key, view));
  if (!view.has_record()) return Status(Code::kNotFound, key.ToString() + " is not there");
  return Record{.version = view.version,
                .operation = view.file.state.operation,
                .payload = std::move(view.file.payload)};
}

bool RecordDirs::IsThere(const RecordKey& key) const {
  const auto view = Look(key);
  return !view.ok() || view->has_record();
}

Result<std::vector<RecordName>> RecordDirs::List(RecordKind kind) const {
  ASSIGN_OR_RETURN(const auto files, ListNames(KindOf(kind).records));
  std::vector<RecordName> names;
  for (const std::string& file : files) {
    if (const auto name = ParseRecordName(file)) names.push_back(*name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// --- Swapping ------------------------------------------------------------------------------------

Result<RecordDirs::View> RecordDirs::Begin(const RecordKey& key, View view) const {
  const Kind& kind = KindOf(key.kind);
  const std::string hex = FileNameOf(key.name);
  RETURN_IF_ERROR(TouchAt(kind.records, NoneMarker(hex)));
  ASSIGN_OR_RETURN(view.dir, MakeDirAt(kind.records, hex));
  return view;
}

Result<RecordDirs::Outcome> RecordDirs::LinkTemp(const View& on, const TempFile& temp,
                                                 const RecordFile& file) const {
  const Dir& dir = *on.dir;
  const std::string name = std::to_string(file.state.version);
  const std::string path = dir.PathOf(temp.name);
  RETURN_IF_ERROR(WriteAllAt(temp.fd.get(), 0, EncodeRecordFile(file), path));
  RETURN_IF_ERROR(SyncFile(temp.fd.get(), path));
  if (sys::LinkAt(dir.get(), temp.name.c_str(), dir.get(), name.c_str()) != 0) {
    if (errno == EEXIST || errno == ENOENT) return Outcome::kLost;
    return PosixError(errno, "link", dir.PathOf(name));
  }
  At(Step::kLinked);
  ASSIGN_OR_RETURN(const uint64_t newest, HighestIn(dir));
  return newest == file.state.version ? Outcome::kWon : Outcome::kLost;
}

// Steps 2 to 5: `file` becomes the version after what `on` saw. A first version gets its number
// here.
Result<RecordDirs::Outcome> RecordDirs::Put(const View& on, RecordFile& file) const {
  const Dir& dir = *on.dir;
  if (on.file.read_only) {
    return Status(Code::kUnsupported, dir.path + ": a newer program wrote it; it is not changed");
  }
  auto temp = MakeTempAt(dir);
  if (temp.code() == Code::kNotFound) return Outcome::kLost;
  if (!temp.ok()) return temp.status();
  Result<Outcome> outcome = Outcome::kLost;
  const auto newest = HighestIn(dir);
  if (!newest.ok()) {
    outcome = newest.status();
  } else if (*newest == on.version) {
    At(Step::kVerified);
    if (on.version == 0) {
      // Read after the directory was seen without versions: whoever removed one had raised it.
      const auto floor = Floor(KindOf(file.key.kind));
      if (floor.ok()) file.state = RecordState{}.Next(*floor + 1, file.state.operation);
      outcome = floor.ok() ? LinkTemp(on, *temp, file) : Result<Outcome>(floor.status());
    } else {
      outcome = LinkTemp(on, *temp, file);
    }
  }
  // The version is a link of its own; without it nobody wants the temporary.
  RETURN_IF_ERROR(UnlinkAt(dir, temp->name));
  return outcome;
}

// Step 6. From here on `version` outlives a power loss.
Status RecordDirs::Settle(const RecordKey& key, const Dir& dir, uint64_t version) const {
  RETURN_IF_ERROR(SyncDir(dir));
  const Kind& kind = KindOf(key.kind);
  const std::string marker = NoneMarker(FileNameOf(key.name));
  ASSIGN_OR_RETURN(const bool marked, ExistsAt(kind.records, marker));
  if (marked) {
    // Whoever made D may not have come to this.
    RETURN_IF_ERROR(SyncDir(kind.records));
    RETURN_IF_ERROR(UnlinkAt(kind.records, marker));
  }
  ASSIGN_OR_RETURN(const auto names, ListNames(dir));
  for (const std::string& name : names) {
    const auto number = ParseNumber(name);
    if (number && *number < version) RETURN_IF_ERROR(UnlinkAt(dir, name));
  }
  return {};
}

Result<uint64_t> RecordDirs::Swap(const RecordKey& key, uint64_t expected, ConstSpan payload,
                                  const Uuid& operation) const {
  for (int tries = 0; tries < kSwapTries; ++tries) {
    ASSIGN_OR_RETURN(View view, Look(key));
    At(Step::kRead);
    if (view.is_tombstone()) {
      if (expected != 0) return Conflict(key, "removed");
      RETURN_IF_ERROR(MakeDurable(key, view));
      RETURN_IF_ERROR(Clear(key, *view.dir, view.version));
      continue;
    }
    if (view.version != expected) {
      const auto made = view.file.state.MadeBy(operation, expected);
      if (!made) return Conflict(key, fmt::format("has version {}", view.version));
      RETURN_IF_ERROR(MakeDurable(key, view));
      return *made;
    }
    if (expected == 0) {
      auto begun = Begin(key, std::move(view));
      if (begun.code() == Code::kNotFound) continue;
      if (!begun.ok()) return begun.status();
      view = *std::move(begun);
    }
    RecordFile file{.key = key,
                    .state = view.file.state.Next(expected + 1, operation),
                    .payload = Bytes(payload.begin(), payload.end())};
    ASSIGN_OR_RETURN(const Outcome outcome, Put(view, file));
    if (outcome == Outcome::kLost) continue;
    RETURN_IF_ERROR(Settle(key, *view.dir, file.state.version));
    durable_->Learn(key, file.state.version);
    return file.state.version;
  }
  return TooBusy(key);
}

// --- Removing ------------------------------------------------------------------------------------

Status RecordDirs::Remove(const RecordKey& key, uint64_t version, const Uuid& operation) const {
  const Kind& kind = KindOf(key.kind);
  for (int tries = 0; tries < kSwapTries; ++tries) {
    ASSIGN_OR_RETURN(const View view, Look(key));
    if (view.is_tombstone()) {
      RETURN_IF_ERROR(MakeDurable(key, view));
      RETURN_IF_ERROR(Clear(key, *view.dir, view.version));
      if (view.file.state.operation == operation) return {};
    }
    if (!view.has_record()) return {Code::kNotFound, key.ToString() + " is not there"};
    if (view.version != version) {
      return Conflict(key, fmt::format("has version {}", view.version));
    }
    RETURN_IF_ERROR(RaiseFloor(kind, version + 1));
    RecordFile file{.key = key,
                    .state = view.file.state.Next(version + 1, operation),
                    .tombstone = true,
                    .payload = {}};
    ASSIGN_OR_RETURN(const Outcome outcome, Put(view, file));
    if (outcome == Outcome::kLost) continue;
    RETURN_IF_ERROR(SyncDir(*view.dir));
    At(Step::kTombstoneLinked);
    return Clear(key, *view.dir, version + 1);
  }
  return TooBusy(key);
}

Status RecordDirs::Clear(const RecordKey& key, const Dir& dir, uint64_t tombstone) const {
  const Kind& kind = KindOf(key.kind);
  const std::string hex = FileNameOf(key.name), keep = std::to_string(tombstone);
  RETURN_IF_ERROR(TouchAt(kind.records, NoneMarker(hex)));
  // Power may take the marker, which is in another directory, and leave D empty: that is damage.
  RETURN_IF_ERROR(SyncDir(kind.records));
  for (int tries = 0;; ++tries) {
    if (tries == kClearTries) return TooBusy(key);
    ASSIGN_OR_RETURN(const auto names, ListNames(dir));
    // Cleared by somebody else, and perhaps made anew.
    if (Highest(names) != tombstone) return {};
    if (names.size() == 1) break;
    for (const std::string& name : names) {
      if (name != keep) RETURN_IF_ERROR(UnlinkAt(dir, name));
    }
  }
  At(Step::kEmptied);
  RETURN_IF_ERROR(UnlinkAt(dir, keep));
  At(Step::kTombstoneUnlinked);
  // Not empty: somebody makes the record anew in it. Absent: somebody else was quicker.
  if (sys::UnlinkAt(kind.records.get(), hex.c_str(), AT_REMOVEDIR) != 0) {
    if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOENT) return {};
    return PosixError(errno, "rmdir", dir.path);
  }
  return UnlinkAt(kind.records, NoneMarker(hex));
}

// --- The floor -----------------------------------------------------------------------------------

Result<uint64_t> RecordDirs::Floor(const Kind& kind) const {
  // A raise puts the new number before it takes the old one away. Two equal listings in a row did
  // not fall into the middle of one.
  ASSIGN_OR_RETURN(uint64_t before, HighestIn(kind.floors));
  for (int tries = 0; tries < kLookTries; ++tries) {
    ASSIGN_OR_RETURN(const uint64_t now, HighestIn(kind.floors));
    if (now == before) return now;
    before = now;
  }
  return Status(Code::kBusy, kind.floors.path + " changes all the time");
}

Status RecordDirs::RaiseFloor(const Kind& kind, uint64_t version) const {
  ASSIGN_OR_RETURN(const uint64_t floor, Floor(kind));
  if (floor < version) RETURN_IF_ERROR(TouchAt(kind.floors, std::to_string(version)));
  // Also if another one raised it: it may not have come to this.
  RETURN_IF_ERROR(SyncDir(kind.floors));
  ASSIGN_OR_RETURN(const auto names, ListNames(kind.floors));
  const uint64_t highest = Highest(names);
  for (const std::string& name : names) {
    const auto number = ParseNumber(name);
    if (number && *number < highest) RETURN_IF_ERROR(UnlinkAt(kind.floors, name));
  }
  return {};
}

// --- Sweeping ------------------------------------------------------------------------------------

// Temporaries of the dead: the living hold a lock on theirs.
Result<uint64_t> RecordDirs::SweepTemps(const Dir& dir, bool dry_run) const {
  uint64_t count = 0;
  ASSIGN_OR_RETURN(const auto names, ListNames(dir));
  for (const std::string& name : names) {
    if (!name.starts_with(kTempPrefix)) continue;
    auto fd = OpenFileAt(dir, name, O_RDWR);
    if (!fd.ok()) continue;
    ASSIGN_OR_RETURN(const bool dead, TryLock(fd->get(), dir.PathOf(name)));
    if (!dead) continue;
    ++count;
    if (!dry_run) RETURN_IF_ERROR(UnlinkAt(dir, name));
  }
  return count;
}

Result<uint64_t> RecordDirs::SweepOne(const RecordKey& key, bool dry_run) const {
  ASSIGN_OR_RETURN(const View view, Look(key));
  if (!view.dir) return uint64_t{0};
  const Dir& dir = *view.dir;
  if (view.is_tombstone()) {
    if (dry_run) return uint64_t{1};
    RETURN_IF_ERROR(MakeDurable(key, view));
    RETURN_IF_ERROR(Clear(key, dir, view.version));
    return uint64_t{1};
  }
  ASSIGN_OR_RETURN(uint64_t count, SweepTemps(dir, dry_run));
  if (view.version == 0) {
    // Nobody is making it, if it is empty now.
    const Dir& records = KindOf(key.kind).records;
    if (!dry_run) sys::UnlinkAt(records.get(), FileNameOf(key.name).c_str(), AT_REMOVEDIR);
    return count + 1;
  }
  ASSIGN_OR_RETURN(const auto names, ListNames(dir));
  const auto stale =
      static_cast<uint64_t>(std::count_if(names.begin(), names.end(), [&](const std::string& name) {
        return ParseNumber(name).value_or(view.version) < view.version;
      }));
  if (stale > 0 && !dry_run) {
    // The older one may go only when the newest outlives a power loss.
    RETURN_IF_ERROR(MakeDurable(key, view));
    RETURN_IF_ERROR(Settle(key, dir, view.version));
  }
  return count + stale;
}

Result<uint64_t> RecordDirs::SweepMarkers(const Kind& kind, bool dry_run) const {
  uint64_t count = 0;
  ASSIGN_OR_RETURN(const auto names, ListNames(kind.records));
  for (const std::string& name : names) {
    const std::string_view hex = std::string_view(name).substr(0, name.find('.'));
    if (!ParseRecordName(hex) || NoneMarker(std::string(hex)) != name) continue;
    ASSIGN_OR_RETURN(const bool used, ExistsAt(kind.records, std::string(hex)));
    if (used) continue;
    ++count;
    if (!dry_run) RETURN_IF_ERROR(UnlinkAt(kind.records, name));
  }
  return count;
}

Result<uint64_t> RecordDirs::Sweep(bool dry_run) const {
  uint64_t count = 0;
  for (const RecordKind kind : kRecordKinds) {
    ASSIGN_OR_RETURN(const auto names, List(kind));
    for (const RecordName& name : names) {
      const auto swept = SweepOne({.kind = kind, .name = name}, dry_run);
      // A damaged record is for those who read it to report; it must not stop the sweep.
      if (swept.ok()) count += *swept;
    }
    ASSIGN_OR_RETURN(const uint64_t markers, SweepMarkers(KindOf(kind), dry_run));
    count += markers;
  }
  return count;
}

}  // namespace atl
