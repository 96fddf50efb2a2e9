// SPDX-License-Identifier: Apache-2.0
#include "peers/mapper/remote/map_server.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "peers/client/atoll.h"

namespace atl {
namespace {

bool IsInside(GrainRange range, uint64_t grains) {
  return range.count > 0 && range.first < grains && range.count <= grains - range.first;
}

Status OutOfBounds() { return {Code::kInvalid, "a range that is not inside of the volume"}; }

MapRuns ToRuns(uint64_t first, const MapPieces& pieces) {
  MapRuns out{.first = first};
  for (const MapPiece& piece : pieces) {
    if (out.runs.size() == kMaxMapRuns) break;
    MapRun run{.grains = AlignUp(piece.range.length, kSubGrain) / kSubGrain};
    if (piece.kind != PieceKind::kZero) {
      const auto same = [&piece](const MapSource& source) {
        return source.blob == piece.blob && source.slot == piece.slot && source.kind == piece.kind;
      };
      auto found = std::ranges::find_if(out.sources, same);
      if (found == out.sources.end()) {
        out.sources.push_back({piece.kind, piece.slot, piece.blob});
        found = out.sources.end() - 1;
      }
      run.source = static_cast<uint16_t>(found - out.sources.begin() + 1);
    }
    out.runs.push_back(run);
  }
  return out;
}

ByteRange BytesOf(GrainRange range) { return {range.first * kSubGrain, range.count * kSubGrain}; }

}  // namespace

MapServer::~MapServer() { CHECK(open_.empty()) << "maps are still open"; }

// --- Opening and closing -------------------------------------------------------------------------

Task<Result<OpenMapState>> MapServer::Do(const RpcCall& call, MapOpenOp& op) {
  if (op.home >= store_slots_) co_return Status(Code::kInvalid, "there is no such store");
  auto map = co_await Open(op);
  if (!map.ok()) co_return map.status();
  const auto open = std::make_shared<OpenMap>();
  open->handle = next_handle_++;
  open->owner = call.from;
  open->map = *std::move(map);
  open->admitted = op.admitted;
  open_.emplace(open->handle, open);
  co_return StateOf(*open);
}

Task<Result<std::unique_ptr<MapApi>>> MapServer::Open(const MapOpenOp& op) {
  if (op.admitted > 0 && op.generation == 0) {
    co_return Status(Code::kInvalid, "nobody is in a map that is opened for the first time");
  }
  if (!op.writable) co_return co_await maps_->OpenFrozen(op.home, op.uuid);
  auto map = op.generation == 0 ? co_await maps_->OpenWritable(op.home, op.uuid)
                                : co_await maps_->Reopen(op.home, op.uuid, op.generation);
  if (!map.ok()) co_return map.status();
  // Whoever was inside goes on; a new journal has room for all of them.
  for (uint32_t inside = 0; inside < op.admitted; ++inside) {
    const Status admitted = co_await (*map)->Admit();
    if (admitted.ok()) continue;
    for (; inside > 0; --inside) (*map)->Leave();
    (void)co_await (*map)->Close();
    co_return admitted;
  }
  co_return map;
}

Status MapServer::CheckHandle(const RpcCall& call, uint64_t handle) const {
  if (IsStaleHandle(handle, life_)) {
    return {Code::kStale, "the mapper that had this map open has died"};
  }
  const auto found = open_.find(handle);
  if (found == open_.end() || found->second->owner != call.from || found->second->closing) {
    return {Code::kNotFound, "this map is not open"};
  }
  return {};
}

Task<Result<MapServer::Use>> MapServer::Find(const RpcCall& call, uint64_t handle, For purpose) {
  CO_RETURN_IF_ERROR(CheckHandle(call, handle));
  const std::shared_ptr<OpenMap> open = open_.at(handle);
  if (purpose != For::kLook && !open->map->geometry().writable) {
    co_return Status(Code::kReadOnly, open->map->geometry().name + " is read-only");
  }
  if (purpose == For::kChange && open->pinning) {
    co_return Status(Code::kBusy, "this map is being pinned");
  }
  co_return Use{open, co_await open->gate.Enter()};
}

Task<Status> MapServer::CloseOne(std::shared_ptr<OpenMap> open, std::string why) {
  open->closing = true;
  if (!why.empty()) open->map->Abandon(std::move(why));
  co_await open->gate.Close();
  while (open->admitted > 0) {
    --open->admitted;
    open->map->Leave();
  }
  const Status status = co_await open->map->Close();
  open_.erase(open->handle);
  closed_.NotifyAll();
  co_return status;
}

Task<Status> MapServer::Do(const RpcCall& call, MapCloseOp& op) {
  CO_RETURN_IF_ERROR(CheckHandle(call, op.handle));
  co_return co_await CloseOne(open_.at(op.handle), "");
}

Task<Status> MapServer::Do(const RpcCall&, PeerGoneOp& op) {
  std::vector<std::shared_ptr<OpenMap>> left;
  for (const auto& [handle, open] : open_) {
    if (open->owner == op.port && !open->closing) left.push_back(open);
  }
  for (const auto& open : left) {
    if (!open->closing) (void)co_await CloseOne(open, "its composer has ended");
  }
  // Others may be closing some: what that gives up must not be given up under the next composer.
  const auto is_its = [&op](const auto& entry) { return entry.second->owner == op.port; };
  while (std::ranges::any_of(open_, is_its)) co_await closed_;
  co_return OkStatus();
}

Task<void> MapServer::Shutdown() {
  while (!open_.empty()) {
    const auto open = open_.begin()->second;
    if (open->closing) {
      co_await Yield{};
      continue;
    }
    (void)co_await CloseOne(open, "the mapper is stopping");
  }
}

Result<OpenMapState> MapServer::StateOf(OpenMap& open) {
  OpenMapState state;
  state.handle = open.handle;
  state.version = ++open.version;
  state.geometry = open.map->geometry();
  ASSIGN_OR_RETURN(state.header, EncodeHeader(open.map->header()));
  state.position = open.map->position();
  state.wants_pin = state.geometry.writable && open.map->wants_pin();
  return state;
}

Result<OpenMapState> MapServer::StateAfter(OpenMap& open, const Status& status) {
  if (!status.ok()) return status;
  return StateOf(open);
}

// --- Translations, room and commits --------------------------------------------------------------

Task<Result<MapRuns>> MapServer::Do(const RpcCall& call, MapTranslateOp& op) {
  CO_ASSIGN_OR_RETURN(const Use use, co_await Find(call, op.handle, For::kLook));
  const uint64_t grains = AlignUp(use->geometry().size, kSubGrain) / kSubGrain;
  if (!IsInside(op.range, grains)) co_return OutOfBounds();
  MapPieces pieces;
  CO_RETURN_IF_ERROR(co_await use->Translate(BytesOf(op.range), &pieces));
  const bool around = IsInside(op.window, grains) && op.window.first <= op.range.first &&
                      op.window.end() >= op.range.end();
  MapPieces more;
  if (around && use->TryTranslate(BytesOf(op.window), &more) && more.size() <= kMaxWindowRuns) {
    co_return ToRuns(op.window.first, more);
  }
  co_return ToRuns(op.range.first, pieces);
}

Status MapServer::Admit(OpenMap& open, uint32_t leave, uint32_t want, uint32_t* admitted) {
  if (leave > open.admitted) return {Code::kInvalid, "more requests left than were admitted"};
  open.admitted -= leave;
  for (; leave > 0; --leave) open.map->Leave();
  want = std::min(want, kMaxAdmitted);
  for (; *admitted < want && open.map->TryAdmit(); ++*admitted) ++open.admitted;
  return {};
}

Task<Result<MapAdmitted>> MapServer::Do(const RpcCall& call, MapAdmitOp& op) {
  CO_ASSIGN_OR_RETURN(const Use use, co_await Find(call, op.handle, For::kAdmit));
  MapAdmitted admitted;
  CO_RETURN_IF_ERROR(Admit(*use.open, op.leave, op.want, &admitted.count));
  if (admitted.count == 0) {
    CO_RETURN_IF_ERROR(co_await use->Admit());
    ++use.open->admitted;
    admitted.count = 1;
    CO_RETURN_IF_ERROR(Admit(*use.open, 0, op.want, &admitted.count));
  }
  co_return admitted;
}

Task<Result<MapCommitted>> MapServer::Do(const RpcCall& call, MapCommitOp& op) {
  CO_ASSIGN_OR_RETURN(const Use use, co_await Find(call, op.handle, For::kChange));
  if (!IsInside(op.range, AlignUp(use->geometry().size, kSubGrain) / kSubGrain)) {
    co_return OutOfBounds();
  }
  if (use.open->admitted == 0) co_return Status(Code::kInvalid, "a commit of nobody admitted");
  ++use.open->writing;
  const Status status = co_await use->Commit(op.range, op.change);
  --use.open->writing;
  CO_RETURN_IF_ERROR(status);
  MapCommitted done;
  CO_RETURN_IF_ERROR(Admit(*use.open, op.leave, op.want, &done.admitted));
  done.position = use->position();
  done.wants_pin = use->wants_pin();
  co_return done;
}

Task<Status> MapServer::Do(const RpcCall& call, MapBarrierOp& op) {
  CO_ASSIGN_OR_RETURN(const Use use, co_await Find(call, op.handle, For::kChange));
  if (op.position > use->position()) {
    co_return Status(Code::kInvalid, "a barrier behind the end of the journal");
  }
  ++use.open->writing;
  // The position is the composer's, noted before it synced the blob. Here it only moves on.
  (void)use->NotePosition();
  const Status status = co_await use->Barrier(op.position);
  --use.open->writing;
  co_return status;
}

// --- Changes of the whole ------------------------------------------------------------------------

Task<Status> MapServer::Do(const RpcCall& call, MapPreparePinOp& op) {
  CO_ASSIGN_OR_RETURN(const Use use, co_await Find(call, op.handle, For::kChange));
  // A pin must not find half of what it prepares.
  ++use.open->writing;
  const Status status = co_await use->PreparePin(std::move(op.change));
  --use.open->writing;
  co_return status;
}

Task<Result<OpenMapState>> MapServer::Do(const RpcCall& call, MapPinOp& op) {
  CO_ASSIGN_OR_RETURN(const Use use, co_await Find(call, op.handle, For::kChange));
  if (use.open->writing > 0) {
    co_return Status(Code::kInvalid, "a pin comes when everything is committed");
  }
  use.open->pinning = true;
  const Status status = co_await use->Pin(std::move(op.change));
  use.open->pinning = false;
  co_return StateAfter(*use.open, status);
}

Task<Result<OpenMapState>> MapServer::Do(const RpcCall& call, MapGrowOp& op) {
  CO_ASSIGN_OR_RETURN(const Use use, co_await Find(call, op.handle, For::kChange));
  CO_RETURN_IF_ERROR(ValidateSize(op.size));
  const Status status = co_await use->Grow(op.size);
  co_return StateAfter(*use.open, status);
}

Task<Result<OpenMapState>> MapServer::Do(const RpcCall& call, MapClearPendingOp& op) {
  CO_ASSIGN_OR_RETURN(const Use use, co_await Find(call, op.handle, For::kChange));
  const Status status = co_await use->ClearPending(op.uuid);
  co_return StateAfter(*use.open, status);
}

Task<Result<OpenMapState>> MapServer::Do(const RpcCall& call, MapSetNameOp& op) {
  CO_ASSIGN_OR_RETURN(const Use use, co_await Find(call, op.handle, For::kChange));
  CO_RETURN_IF_ERROR(ValidateName(op.name));
  const Status status = co_await use->SetName(op.name_space, std::move(op.name));
  co_return StateAfter(*use.open, status);
}

Task<Result<OpenMapState>> MapServer::Do(const RpcCall& call, MapSetReadOnlyOp& op) {
  CO_ASSIGN_OR_RETURN(const Use use, co_await Find(call, op.handle, For::kLook));
  const Status status = co_await use->SetReadOnly(std::move(op.reason), op.sync_failed);
  co_return StateAfter(*use.open, status);
}

Task<Result<OpenMapState>> MapServer::Do(const RpcCall& call, MapEndOpeningOp& op) {
  CO_ASSIGN_OR_RETURN(const Use use, co_await Find(call, op.handle, For::kChange));
  const Status status = co_await use->EndOpening();
  co_return StateAfter(*use.open, status);
}

Task<Status> MapServer::Do(const RpcCall& call, MapAbandonOp& op) {
  CO_ASSIGN_OR_RETURN(const Use use, co_await Find(call, op.handle, For::kLook));
  use->Abandon(std::move(op.reason));
  co_return OkStatus();
}

}  // namespace atl
