// SPDX-License-Identifier: Apache-2.0
#include "peers/mapper/remote/remote_map.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace atl {
namespace {

constexpr uint32_t kStock = 64;
// Sub-grains that are asked about at once, and the neighbourhood that is asked for along with them.
constexpr uint64_t kStepGrains = kGiB / kSubGrain;
constexpr uint64_t kWindowGrains = 16 * kMiB / kSubGrain;

}  // namespace

Result<std::unique_ptr<RemoteMap>> RemoteMap::Make(MapperLink* link, MapOpenOp opened,
                                                   OpenMapState state) {
  std::unique_ptr<RemoteMap> map(new RemoteMap(link, std::move(opened)));
  map->handle_ = state.handle;
  map->BeginJournal(state.position);
  RETURN_IF_ERROR(map->Take(std::move(state)));
  return map;
}

RemoteMap::~RemoteMap() = default;

// Answers may come in another order than they were given.
Status RemoteMap::Take(OpenMapState state) {
  if (state.version <= version_) return {};
  version_ = state.version;
  ASSIGN_OR_RETURN(header_, DecodeHeader(state.header, state.geometry.uuid));
  if (state.geometry.size < geometry_.size) cache_.Clear();
  // One that has failed stays so, whether the mapper knows it yet or not.
  std::string reason = std::move(geometry_.read_only_reason);
  geometry_ = std::move(state.geometry);
  if (!reason.empty()) geometry_.read_only_reason = std::move(reason);
  wants_pin_ = state.wants_pin;
  if (geometry_.writable) cache_.SetOwn(geometry_.slot, geometry_.own);
  return {};
}

void RemoteMap::BeginJournal(uint64_t position) {
  base_ = 0;
  position_ = barriered_position_ = position;
  unbarriered_.Clear();
  syncing_.Clear();
}

template <typename Make>
auto RemoteMap::Ask(Make make) -> Task<Result<typename decltype(make())::Wire::Reply>> {
  while (true) {
    if (reopening_) (void)co_await reopen_mutex_.Lock();
    CO_RETURN_IF_ERROR(lost_);
    const uint64_t session = session_;
    auto reply = co_await link_->client->Call(link_->mapper, make());
    if (reply.code() != Code::kStale) co_return reply;
    CO_RETURN_IF_ERROR(co_await Reopen(session));
  }
}

template <typename O>
Task<Status> RemoteMap::Change(O op) {
  const auto make = [this, &op] {
    O mine = op;
    mine.handle = handle_;
    return mine;
  };
  CO_ASSIGN_OR_RETURN(OpenMapState state, co_await Ask(make));
  co_return Take(std::move(state));
}

// --- When the mapper has died --------------------------------------------------------------------

Task<Status> RemoteMap::Reopen(uint64_t session) {
  const auto lock = co_await reopen_mutex_.Lock();
  if (session != session_ || !lost_.ok()) co_return lost_;
  reopening_ = true;
  const Status status = co_await ReopenOnce();
  reopening_ = false;
  // What may go away is tried again by the next one who asks.
  if (status.retryable()) co_return status;
  if (!status.ok()) {
    lost_ = status.With(geometry_.name + ": its mapper has died, and the next one cannot open it");
    spdlog::error("{}", lost_.ToString());
  }
  co_return lost_;
}

Task<Status> RemoteMap::ReopenOnce() {
  ++session_;
  // Who is inside is admitted anew; what was in stock is not.
  credits_ = burned_ = 0;
  MapOpenOp op = opened_;
  if (geometry_.writable) {
    op.generation = geometry_.generation;
    op.admitted = taken_;
  }
  CO_ASSIGN_OR_RETURN(OpenMapState state, co_await link_->client->Call(link_->mapper, op));
  handle_ = state.handle;
  version_ = 0;
  const uint64_t position = state.position;
  const BlobId own = geometry_.own;
  const bool told = !state.geometry.read_only_reason.empty();
  CO_RETURN_IF_ERROR(Take(std::move(state)));
  if (geometry_.own != own && !pinning_) {
    co_return Status(Code::kFenced, "it has a new epoch that is not of this node");
  }
  Continue(position);
  // Who waits for room is to hear at this one, too, that there will be none.
  if (!geometry_.read_only_reason.empty() && !told && !closing_) {
    background_.Run(TellAbandoned(geometry_.read_only_reason));
  }
  co_return OkStatus();
}

// All that was committed is in pinned journals now.
void RemoteMap::Continue(uint64_t position) {
  base_ = position_;
  position_ = barriered_position_ = base_ + position;
  unbarriered_.Clear();
  syncing_.Clear();
}

// --- Translations --------------------------------------------------------------------------------

GrainRange RemoteMap::WindowAround(GrainRange range) const {
  const uint64_t end = AlignUp(geometry_.size, kSubGrain) / kSubGrain;
  const uint64_t low = AlignDown(range.first, kWindowGrains);
  const uint64_t high = std::min(AlignUp(range.end(), kWindowGrains), end);
  return {low, std::max(high, range.end()) - low};
}

Task<Status> RemoteMap::Translate(ByteRange range, MapPieces* out) {
  const GrainRange grains = GrainsOf(range);
  out->clear();
  for (uint64_t at = grains.first; at < grains.end();) {
    const GrainRange step{at, std::min(kStepGrains, grains.end() - at)};
    CO_RETURN_IF_ERROR(co_await LookUp(step, range, out, &at));
  }
  co_return OkStatus();
}

// The caller holds `range`, so its answer is right whatever else is committed meanwhile. Of the
// window around it that holds only if nothing is.
Task<Status> RemoteMap::LookUp(GrainRange range, ByteRange wanted, MapPieces* out, uint64_t* end) {
  const bool quiet = commits_running_ == 0;
  const uint64_t begun = commits_begun_;
  const auto make = [this, range] { return MapTranslateOp{handle_, range, WindowAround(range)}; };
  CO_ASSIGN_OR_RETURN(const MapRuns answer, co_await Ask(make));
  const bool trust_window = quiet && begun == commits_begun_;
  const ByteRange asked{range.first * kSubGrain, range.count * kSubGrain};
  uint64_t at = answer.first;
  for (const MapRun& run : answer.runs) {
    MapPiece piece{.range = {at * kSubGrain, run.grains * kSubGrain}};
    at += run.grains;
    if (run.source > answer.sources.size() || at > kMapGrains) {
      co_return Status(Code::kInternal, "the mapper's answer makes no sense");
    }
    if (run.source > 0) {
      const MapSource& source = answer.sources[run.source - 1u];
      piece.kind = source.kind;
      piece.slot = source.slot;
      piece.blob = source.blob;
    }
    AppendPiece(asked.Intersect(wanted), piece, out);
    if (!trust_window) piece.range = piece.range.Intersect(asked);
    if (!piece.range.empty()) cache_.Learn(piece);
  }
  if (answer.first > range.first || at <= range.first) {
    co_return Status(Code::kInternal, "the mapper's answer is about something else");
  }
  *end = std::min(at, range.end());
  co_return OkStatus();
}

// --- Room and commits ----------------------------------------------------------------------------

bool RemoteMap::TryAdmit() {
  if (credits_ == 0) return false;
  --credits_;
  ++taken_;
  return true;
}

Task<Status> RemoteMap::Admit() {
  while (!TryAdmit()) {
    if (!geometry_.read_only_reason.empty()) {
      co_return Status(Code::kReadOnly, fmt::format("volume {} is read-only: {}", geometry_.name,
                                                    geometry_.read_only_reason));
    }
    const auto lock = co_await refill_mutex_.Lock();
    if (credits_ > 0) continue;
    uint64_t session = 0;
    const auto make = [this, &session] {
      session = session_;
      return MapAdmitOp{handle_, std::exchange(burned_, 0), kStock};
    };
    co_await link_->waiting.Acquire();
    const auto admitted = co_await Ask(make);
    link_->waiting.Release();
    if (!admitted.ok()) co_return admitted.status();
    if (session == session_) credits_ += admitted->count;
  }
  co_return OkStatus();
}

// Which request a commit belonged to does not matter: as many credits are spent as there are
// commits, or credits that are taken if those are fewer.
void RemoteMap::Leave() {
  CHECK(taken_ > 0);
  --taken_;
  if (spent_ > 0) {
    --spent_;
    ++burned_;
  } else {
    ++credits_;
  }
  spent_ = std::min(spent_, taken_);
}

Task<Status> RemoteMap::Commit(GrainRange range, JournalChange change) {
  ++spent_;
  ++commits_begun_;
  ++commits_running_;
  const bool refill = !refilling_ && credits_ < kStock / 2;
  if (refill) refilling_ = true;
  uint64_t session = 0;
  const auto make = [this, range, change, refill, &session] {
    session = session_;
    return MapCommitOp{handle_, range, change, std::exchange(burned_, 0), refill ? kStock : 0};
  };
  const auto done = co_await Ask(make);
  --commits_running_;
  if (refill) refilling_ = false;
  if (!done.ok()) co_return done.status();
  const bool current = session == session_;  // Else it is pinned by now.
  if (current) {
    credits_ += done->admitted;
    position_ = std::max(position_, base_ + done->position);
    wants_pin_ = wants_pin_ || done->wants_pin;
  }
  MapPiece piece{.range = {range.first * kSubGrain, range.count * kSubGrain}};
  if (change == JournalChange::kOwn) {
    piece.kind = PieceKind::kOwn;
    piece.slot = geometry_.slot;
    piece.blob = geometry_.own;
  }
  cache_.Learn(piece);
  unbarriered_.Set(range, 1);
  co_return OkStatus();
}

bool RemoteMap::IsBarriered(GrainRange range) {
  return !unbarriered_.Overlaps(range) && !syncing_.Overlaps(range);
}

uint64_t RemoteMap::NotePosition() {
  // What an earlier barrier did not make durable joins this one.
  GrainRun run;
  if (syncing_.empty()) std::swap(syncing_, unbarriered_);
  for (uint64_t at = 0; unbarriered_.FirstAfter(at, &run); at = run.range.end()) {
    syncing_.Set(run.range, 1);
  }
  unbarriered_.Clear();
  return position_;
}

Task<Status> RemoteMap::Barrier(uint64_t position) {
  uint64_t session = 0;
  const auto make = [this, position, &session] {
    session = session_;
    // After a change of the mapper there may be nothing left to do.
    return MapBarrierOp{handle_, position > base_ ? position - base_ : 0};
  };
  if (position <= barriered_position_) {
    syncing_.Clear();
    co_return OkStatus();
  }
  CO_RETURN_IF_ERROR((co_await Ask(make)).status());
  if (session != session_) co_return OkStatus();
  syncing_.Clear();
  barriered_position_ = std::max(barriered_position_, position);
  co_return OkStatus();
}

// --- Changes of the whole ------------------------------------------------------------------------

Task<Status> RemoteMap::PreparePin(PinChange change) {
  const auto make = [this, &change] { return MapPreparePinOp{handle_, change}; };
  co_return (co_await Ask(make)).status();
}

// Not asked again: it may have been done. To open the map again is a pin, too, so that is found out
// by what has come of the rest.
Task<Status> RemoteMap::Pin(PinChange change) {
  const BlobId own = geometry_.own;
  if (reopening_) (void)co_await reopen_mutex_.Lock();
  if (!lost_.ok()) co_return Status(Code::kUnavailable, lost_.ToString());
  const uint64_t session = session_;
  const MapPinOp op{handle_, change};
  pinning_ = true;
  auto pinned = co_await link_->client->Call(link_->mapper, op);
  const bool stale = pinned.code() == Code::kStale;
  const Status reopened = stale ? co_await Reopen(session) : OkStatus();
  pinning_ = false;
  if (!reopened.ok()) {
    // Whatever its code says of the opening, of the pin nothing is known.
    co_return reopened.code() == Code::kFenced ? reopened
                                               : Status(Code::kUnavailable, reopened.ToString());
  }
  if (stale && WasPinned(change, own)) co_return OkStatus();
  if (stale) co_return Status(Code::kConflict, geometry_.name + ": its mapper has been replaced");
  if (!pinned.ok()) co_return pinned.status();
  OpenMapState state = *std::move(pinned);
  BeginJournal(state.position);
  const Status taken = Take(std::move(state));
  if (taken.ok()) co_return taken;
  // Not by its own code: it has been pinned, and to what is not known.
  co_return Status(Code::kInternal, taken.ToString());
}

bool RemoteMap::WasPinned(const PinChange& change, const BlobId& own) const {
  if (change.begins_epoch()) return geometry_.own != own;
  return !change.new_size || geometry_.size == *change.new_size;
}

Task<Status> RemoteMap::Grow(uint64_t size) { return Change(MapGrowOp{handle_, size}); }

Task<Status> RemoteMap::ClearPending(const Uuid& uuid) {
  return Change(MapClearPendingOp{handle_, uuid});
}

Task<Status> RemoteMap::SetName(const Uuid& name_space, std::string name) {
  return Change(MapSetNameOp{handle_, name_space, std::move(name)});
}

Task<Status> RemoteMap::SetReadOnly(std::string reason, bool sync_failed) {
  geometry_.read_only_reason = reason;
  return Change(MapSetReadOnlyOp{handle_, std::move(reason), sync_failed});
}

Task<Status> RemoteMap::EndOpening() { return Change(MapEndOpeningOp{handle_}); }

void RemoteMap::Abandon(std::string reason) {
  geometry_.read_only_reason = reason;
  // Who waits for room waits at the mapper.
  background_.Run(TellAbandoned(std::move(reason)));
}

Task<void> RemoteMap::TellAbandoned(std::string reason) {
  const auto make = [this, &reason] { return MapAbandonOp{handle_, reason}; };
  (void)co_await Ask(make);
}

Task<Status> RemoteMap::Close() {
  closing_ = true;
  co_await background_.Join();
  const auto make = [this] { return MapCloseOp{handle_}; };
  co_return (co_await Ask(make)).status();
}

Task<Result<std::unique_ptr<MapApi>>> RemoteMapOpener::Open(MapOpenOp op) {
  CO_ASSIGN_OR_RETURN(OpenMapState state, co_await link_.client->Call(link_.mapper, op));
  const uint64_t handle = state.handle;
  op.generation = op.admitted = 0;
  auto map = RemoteMap::Make(&link_, std::move(op), std::move(state));
  if (map.ok()) co_return std::unique_ptr<MapApi>(*std::move(map));
  const MapCloseOp close{handle};
  (void)co_await link_.client->Tell(link_.mapper, close);
  co_return map.status();
}

}  // namespace atl
