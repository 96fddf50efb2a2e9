// SPDX-License-Identifier: Apache-2.0
#include "peers/composer/composer.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <array>
#include <cstring>

#include "peers/composer/passage.h"
#include "peers/mapper/header_store.h"

namespace atl {

Composer::Composer(Env* env, StoreSet* stores, BufferPool* buffers, std::unique_ptr<MapApi> map,
                   RightToAct right, ComposerOptions options)
    : env_(env),
      stores_(stores),
      buffers_(buffers),
      map_(std::move(map)),
      right_(std::move(right)),
      options_(options),
      retry_(*env) {}

Composer::~Composer() { CHECK(ranges_.in_flight() == 0); }

Status Composer::Counted(Status status) {
  if (status.ok()) return status;
  ++errors_;
  // What a client sees as an I/O error has its cause in the log.
  const Code code = status.code();
  if (code == Code::kIo || code == Code::kCorrupt || code == Code::kUnavailable) {
    spdlog::error("{}: {}", map_->geometry().name, status.ToString());
  }
  return status;
}

Status Composer::CheckOpen() const {
  if (!closed_) return {};
  return {Code::kUnavailable, fmt::format("{} is closed", map_->geometry().name)};
}

Status Composer::CheckRange(ByteRange range) const {
  const MapGeometry& geometry = map_->geometry();
  if (range.end() <= geometry.size) return {};
  return {Code::kInvalid, fmt::format("{}: {} bytes at {} are behind its end, which is at {} now",
                                      geometry.name, range.length, range.offset, geometry.size)};
}

Task<Status> Composer::CheckWritable() {
  CO_RETURN_IF_ERROR(co_await Failed());
  const MapGeometry& geometry = map_->geometry();
  if (!geometry.writable) {
    co_return Status(Code::kReadOnly, fmt::format("{} is read-only", geometry.name));
  }
  if (!geometry.read_only_reason.empty()) {
    co_return Status(Code::kReadOnly, fmt::format("volume {} is read-only: {}", geometry.name,
                                                  geometry.read_only_reason));
  }
  co_return OkStatus();
}

void Composer::Lose(std::string why) {
  if (fenced()) return;
  const bool first = failed_.ok();
  failed_ = Status(Code::kFenced, fmt::format("volume {} is no longer this node's: {}",
                                              map_->geometry().name, why));
  spdlog::error("{}", failed_.message());
  recorded_.Set();
  if (!first) return;  // Why it is read-only is to be recorded yet, perhaps.
  // Nothing is recorded: the volume is another one's.
  failure_ = failed_.ToString().substr(0, 512);
  map_->Abandon(failure_);
}

Task<Status> Composer::Fail(Status status) {
  if (!failed_.ok()) {
    const Status failed = co_await Failed();
    // Something else came first, and its reason says nothing of this.
    if (sync_failed() && !told_of_sync_ && !fenced()) {
      unrecorded_ = true;
      co_await Record();
    }
    co_return failed;
  }
  if (status.code() == Code::kFenced) {
    Lose(std::string(status.message()));
    co_return failed_;
  }
  failure_ = status.ToString().substr(0, 512);
  failed_ = Status(Code::kReadOnly, fmt::format("volume {} is read-only: {}", map_->geometry().name,
                                                status.ToString()));
  spdlog::error("{}", failed_.message());
  unrecorded_ = true;
  co_await Record();
  recorded_.Set();
  co_return failed_;
}

Task<void> Composer::Record() {
  const bool of_sync = sync_failed();
  const Status recorded = co_await map_->SetReadOnly(failure_, sync_failed_);
  if (recorded.ok() || recorded.code() == Code::kFenced) {
    told_of_sync_ = of_sync;
    unrecorded_ = sync_failed() != of_sync;
  } else {
    spdlog::error("{}: the reason why it is read-only could not be recorded: {}",
                  map_->geometry().name, recorded.ToString());
  }
}

Task<Status> Composer::Failed() {
  if (failed_.ok()) co_return OkStatus();
  co_await recorded_;
  co_return failed_;
}

Task<Status> Composer::Translate(ByteRange range, MapPieces* out) {
  const HopTimer timer(env_, &hops_, Hop::kMap);
  if (map_->TryTranslate(range, out)) co_return OkStatus();
  co_return co_await map_->Translate(range, out);
}

// --- Reading -------------------------------------------------------------------------------------

Task<void> Composer::ReadPiece(MapPiece piece, MutSpan out, Status* status) {
  if (piece.kind == PieceKind::kZero) {
    std::memset(out.data(), 0, out.size());
    co_return;
  }
  const HopTimer timer(env_, &hops_, Hop::kStoreRead);
  const Status read = co_await stores_->at(piece.slot).Read(piece.blob, piece.range.offset, out);
  // Never zeros.
  if (!read.ok()) *status = AbsentIsDamage(read);
}

Task<Status> Composer::ReadPieces(const MapPieces& pieces, uint64_t offset, MutSpan out) {
  Status status;
  if (pieces.size() == 1) {
    co_await ReadPiece(pieces[0], out, &status);
    co_return status;
  }
  TaskGroup group;
  for (const MapPiece& piece : pieces) {
    const MutSpan part = out.subspan(piece.range.offset - offset, piece.range.length);
    group.Run(ReadPiece(piece, part, &status));
  }
  co_await group.Join();
  co_return status;
}

Task<Status> Composer::Read(uint64_t offset, MutSpan out) {
  if (out.empty()) co_return OkStatus();
  const Visit visit(this);
  const HopTimer timer(env_, &hops_, Hop::kRead);
  read_bytes_ += out.size();
  co_return Counted(co_await DoRead(offset, out));
}

Task<Status> Composer::DoRead(uint64_t offset, MutSpan out) {
  const ByteRange range{offset, out.size()};
  Passage passage(this, range, RangeMode::kShared, kNoRoom);
  CO_RETURN_IF_ERROR(co_await passage.Enter());
  MapPieces pieces;
  CO_RETURN_IF_ERROR(co_await Translate(range, &pieces));
  CO_RETURN_IF_ERROR(co_await ReadPieces(pieces, offset, out));
  co_return StillOurs();
}

// --- Writing -------------------------------------------------------------------------------------

Task<Status> Composer::WriteOwn(uint64_t offset, ConstSpan data, bool data_sync) {
  const MapGeometry& geometry = map_->geometry();
  const WriteOptions options{.data_sync = data_sync};
  const HopTimer timer(env_, &hops_, Hop::kStoreWrite);
  const Status status =
      co_await stores_->at(geometry.slot).Write(geometry.own, offset, data, options);
  if (!status.ok()) ++completed_;  // Some of it may be there, for a sync to cover.
  if (!data_sync) co_return status;
  // It may be the sync that failed. A store that is full, or away, says so before anything happens.
  const bool late_no_space = stores_->at(geometry.slot).info().capabilities.late_no_space;
  const bool lost =
      status.code() == Code::kIo || (status.code() == Code::kNoSpace && late_no_space);
  sync_failed_ |= lost;
  co_return lost || status.code() == Code::kFenced ? co_await Fail(status) : status;
}

void Composer::NoteUnflushed(ByteRange written) {
  ++completed_;
  unflushed_.Add(GrainsOf(written), JournalChange::kOwn);
}

Task<Status> Composer::Commit(ByteRange whole_grains, JournalChange change) {
  // Raised before the change can be in the journal: a flush that covers the change with its barrier
  // must not take the blob, which has the data, for clean.
  ++completed_;
  Status status;
  {
    const HopTimer timer(env_, &hops_, Hop::kJournal);
    status = co_await map_->Commit(GrainsOf(whole_grains), change);
  }
  if (!status.ok()) co_return co_await Fail(status);
  unflushed_.Add(GrainsOf(whole_grains), change);
  CheckpointIfWanted();
  co_return OkStatus();
}

Task<Status> Composer::Write(uint64_t offset, ConstSpan data, DeviceWriteOptions options) {
  if (data.empty()) co_return OkStatus();
  const Visit visit(this);
  const HopTimer timer(env_, &hops_, Hop::kWrite);
  write_bytes_ += data.size();
  if (options.detect_zeroes) {
    const WriteRuns runs = FindZeroRuns(offset, data);
    if (runs.size() > 1 || runs[0].zero) {
      co_return Counted(co_await DoWriteRuns(runs, offset, data, options.fua));
    }
  }
  co_return Counted(co_await DoWrite(offset, data, options.fua));
}

Task<Status> Composer::DoWrite(uint64_t offset, ConstSpan data, bool fua) {
  if (!IsWritable()) CO_RETURN_IF_ERROR(co_await CheckWritable());
  bool durable = false;
  const FuaCount counted(&fua_writes_, fua);
  {
    const ByteRange range{offset, data.size()};
    Passage passage(this, range, RangeMode::kExclusive, kOneRoom);
    if (!passage.TryEnterAtOnce()) CO_RETURN_IF_ERROR(co_await passage.Enter());
    if (TryFirstWrite(offset, data)) {
      CO_RETURN_IF_ERROR(co_await Commit(range, JournalChange::kOwn));
    } else {
      CO_RETURN_IF_ERROR(co_await WriteHeld(offset, data, fua, &durable));
    }
    if (!failed_.ok()) CO_RETURN_IF_ERROR(co_await Failed());
    CO_RETURN_IF_ERROR(right_());
  }
  if (fua && !durable) co_return co_await Flush();
  co_return OkStatus();
}

// Writes that must be durable and come together share the sync of a flush. One alone syncs itself,
// as do all while a flush would have to sync much of others'; but that is dear only once.
bool Composer::FlushIsCheaper() {
  constexpr uint64_t kMostUnsynced = 256;
  // What is written in place would be written over by what the log has of it, after a loss of
  // power.
  if (log_ && log_->holds_writes()) return true;
  if (fua_writes_ < 2) return false;
  if (completed_ - synced_ <= kMostUnsynced) return true;
  if (log_ && log_->takes_more() && !unflushed_.too_many()) return true;
  CleanSoon(false);
  return false;
}

Task<Status> Composer::WriteHeld(uint64_t offset, ConstSpan data, bool fua, bool* durable) {
  CO_RETURN_IF_ERROR(co_await CheckWritable());
  const ByteRange range{offset, data.size()};
  MapPieces pieces;
  CO_RETURN_IF_ERROR(co_await Translate(range, &pieces));
  if (pieces.size() == 1 && pieces[0].kind == PieceKind::kOwn) {
    if (fua) co_await Yield{};  // The others of this turn are counted.
    *durable = fua && map_->IsBarriered(GrainsOf(range)) && !FlushIsCheaper();
    CO_RETURN_IF_ERROR(co_await WriteOwn(offset, data, *durable));
    if (!*durable) NoteUnflushed(range);
    co_return OkStatus();
  }
  CO_RETURN_IF_ERROR(co_await FirstWrite(offset, data, pieces));
  co_return co_await Commit(range.RoundOut(kSubGrain), JournalChange::kOwn);
}

// Whole sub-grains go to the current blob as they are; a partial one at either edge is completed
// from below first, if it is not in the current blob already.
Task<Status> Composer::FirstWrite(uint64_t offset, ConstSpan data, const MapPieces& pieces) {
  const ByteRange range{offset, data.size()};
  const ByteRange whole = range.RoundIn(kSubGrain);
  if (whole.empty()) {  // One sub-grain, or a part of each of two.
    const uint64_t cut = std::min(AlignUp(offset + 1, kSubGrain), range.end()) - offset;
    const uint64_t grain = AlignDown(offset, kSubGrain);
    CO_RETURN_IF_ERROR(co_await WriteCompleted(grain, offset, data.first(cut), pieces));
    if (cut == data.size()) co_return OkStatus();
    co_return co_await WriteCompleted(grain + kSubGrain, offset + cut, data.subspan(cut), pieces);
  }
  if (offset < whole.offset) {
    const ConstSpan head = data.first(whole.offset - offset);
    CO_RETURN_IF_ERROR(co_await WriteCompleted(whole.offset - kSubGrain, offset, head, pieces));
  }
  CO_RETURN_IF_ERROR(
      co_await WriteOwn(whole.offset, data.subspan(whole.offset - offset, whole.length), false));
  if (whole.end() < range.end()) {
    const ConstSpan tail = data.subspan(whole.end() - offset);
    co_return co_await WriteCompleted(whole.end(), whole.end(), tail, pieces);
  }
  co_return OkStatus();
}

Task<Status> Composer::WriteCompleted(uint64_t grain, uint64_t offset, ConstSpan data,
                                      const MapPieces& pieces) {
  MapPiece below;
  for (const MapPiece& piece : pieces) {
    if (piece.range.Overlaps({offset, data.size()})) below = piece;
  }
  if (below.kind == PieceKind::kOwn) co_return co_await WriteOwn(offset, data, false);
  Buffer buffer = co_await grains_.Get(kSubGrain);
  below.range = {grain, kSubGrain};
  Status status;
  co_await ReadPiece(below, buffer.span(), &status);
  CO_RETURN_IF_ERROR(status);
  std::memcpy(buffer.span().data() + (offset - grain), data.data(), data.size());
  co_return co_await WriteOwn(grain, buffer.span(), false);
}

// --- Zeroing -------------------------------------------------------------------------------------

Task<Status> Composer::Discard(ByteRange range, bool fua) {
  DeviceZeroOptions options;
  options.fua = fua;
  co_return co_await WriteZeroes(range, options);
}

Task<Status> Composer::WriteZeroes(ByteRange range, DeviceZeroOptions options) {
  if (range.empty()) co_return OkStatus();
  const Visit visit(this);
  const HopTimer timer(env_, &hops_, Hop::kWrite);
  co_return Counted(co_await DoZero(range, options));
}

Task<Status> Composer::DoZero(ByteRange range, DeviceZeroOptions options) {
  CO_RETURN_IF_ERROR(co_await CheckWritable());
  const Capabilities& capabilities = stores_->at(map_->geometry().slot).info().capabilities;
  if (options.fast_only && options.no_hole && capabilities.zero != Support::kNative) {
    co_return Status(Code::kUnsupported, "this store zeroes allocated space by writing zeros");
  }
  {
    Passage passage(this, range, RangeMode::kExclusive, kOneRoom);
    CO_RETURN_IF_ERROR(co_await passage.Enter());
    CO_RETURN_IF_ERROR(co_await CheckWritable());
    CO_RETURN_IF_ERROR(co_await ZeroHeld(range, options));
    CO_RETURN_IF_ERROR(co_await Failed());
    CO_RETURN_IF_ERROR(right_());
  }
  if (options.fua) co_return co_await Flush();
  co_return OkStatus();
}

Task<Status> Composer::ZeroEdge(ByteRange range) {
  if (range.empty()) co_return OkStatus();
  MapPieces pieces;
  CO_RETURN_IF_ERROR(co_await Translate(range, &pieces));
  if (pieces.size() == 1 && pieces[0].kind == PieceKind::kZero) co_return OkStatus();
  static constexpr std::array<std::byte, kSubGrain> kZeros{};
  const ConstSpan zeros = ConstSpan(kZeros).first(range.length);
  CO_RETURN_IF_ERROR(co_await FirstWrite(range.offset, zeros, pieces));
  if (pieces[0].kind == PieceKind::kOwn) {
    NoteUnflushed(range);
    co_return OkStatus();
  }
  co_return co_await Commit(range.RoundOut(kSubGrain), JournalChange::kOwn);
}

// Punches first, then changes the map, all under the request's range: a punch that came later could
// hit a newer write.
Task<Status> Composer::ZeroHeld(ByteRange range, DeviceZeroOptions options) {
  const MapGeometry& geometry = map_->geometry();
  Store& store = stores_->at(geometry.slot);
  // What lies behind the end of the volume is nobody's: its last sub-grain counts as whole.
  ByteRange padded = range;
  if (range.end() == geometry.size) padded.length = AlignUp(range.end(), kSubGrain) - range.offset;
  const ByteRange whole = padded.RoundIn(kSubGrain);
  if (whole.empty()) {
    const uint64_t cut = std::min(AlignUp(range.offset + 1, kSubGrain), range.end());
    CO_RETURN_IF_ERROR(co_await ZeroEdge({range.offset, cut - range.offset}));
    co_return co_await ZeroEdge({cut, range.end() - cut});
  }
  CO_RETURN_IF_ERROR(co_await ZeroEdge({range.offset, whole.offset - range.offset}));
  if (whole.end() < range.end()) {
    CO_RETURN_IF_ERROR(co_await ZeroEdge({whole.end(), range.end() - whole.end()}));
  }
  if (options.no_hole) {
    const ZeroOptions zero{.keep_allocated = true, .fast_only = options.fast_only};
    CO_RETURN_IF_ERROR(co_await store.Zero(geometry.own, whole, zero));
    co_return co_await Commit(whole, JournalChange::kOwn);
  }
  MapPieces pieces;
  if (map_->TryTranslate(whole, &pieces) && pieces.size() == 1 &&
      pieces[0].kind == PieceKind::kZero) {
    co_return OkStatus();
  }
  CO_RETURN_IF_ERROR(co_await store.Punch(geometry.own, whole));
  co_return co_await Commit(whole, JournalChange::kZero);
}

// --- What is where -------------------------------------------------------------------------------

Task<Status> Composer::DescribePiece(const MapPiece& piece, std::vector<DeviceExtent>* out) {
  const auto add = [out](ByteRange range, ExtentKind kind) {
    const DeviceExtent extent{range, kind == ExtentKind::kHole, kind != ExtentKind::kData};
    if (!out->empty() && out->back().hole == extent.hole && out->back().zero == extent.zero) {
      out->back().range.length += range.length;
    } else {
      out->push_back(extent);
    }
  };
  if (piece.kind == PieceKind::kZero) {
    add(piece.range, ExtentKind::kHole);
    co_return OkStatus();
  }
  auto extents = co_await stores_->at(piece.slot).Extents(piece.blob, piece.range);
  if (!extents.ok()) co_return extents.status();
  for (const BlobExtent& extent : *extents) add(extent.range, extent.kind);
  co_return OkStatus();
}

// In steps, each of which holds the gate for itself only: a fragmented map is not translated
// further than the answer has room for, and a large one lets pins come in between.
Task<Result<std::vector<DeviceExtent>>> Composer::Extents(ByteRange range, size_t limit) {
  constexpr uint64_t kFirstStep = 64 * kMiB;
  constexpr uint64_t kLastStep = 256 * kMiB;
  constexpr int kStepsPerBreath = 64;
  const Visit visit(this);
  std::vector<DeviceExtent> out;
  if (range.empty() || limit == 0) co_return out;
  MapPieces pieces;
  uint64_t length = kFirstStep;
  int steps = 0;
  for (uint64_t at = range.offset; at < range.end() && out.size() <= limit;) {
    const ByteRange step{at, std::min(length, range.end() - at)};
    Passage passage(this, step, RangeMode::kShared, kNoRoom);
    CO_RETURN_IF_ERROR(co_await passage.Enter());
    CO_RETURN_IF_ERROR(co_await Translate(step, &pieces));
    for (const MapPiece& piece : pieces) {
      CO_RETURN_IF_ERROR(co_await DescribePiece(piece, &out));
      if (out.size() > limit) break;
    }
    length = pieces.size() == 1 ? kLastStep : kFirstStep;
    at = step.end();
    if (++steps % kStepsPerBreath == 0) co_await Yield{};
  }
  if (out.size() > limit) out.resize(limit);
  CO_RETURN_IF_ERROR(StillOurs());
  co_return out;
}

}  // namespace atl
