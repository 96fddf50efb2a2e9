// SPDX-License-Identifier: Apache-2.0
//
// An open map that the mapper's process has. Reads and overwrites of what is known here cost no
// hop; a first write costs one, for its commit, which also brings room for later requests.
//
//   room:      requests are admitted from a stock of credits. A request that made no commit gives
//              its credit back to the stock; one that did has spent it, and the mapper is told so
//              with the next commit, whose answer brings new ones.
//   position:  the end of the commits whose answers have come. The mapper may be further by then,
//              but only by commits that were sent before, whose data is written; so a sync that
//              begins after NotePosition covers all that a Barrier of that position speaks of.
//
// Threads: the client's.
#pragma once

#include <memory>
#include <string>

#include "peers/map/interval_map.h"
#include "peers/map_ops.h"
#include "peers/mapper/map_opener.h"
#include "peers/mapper/remote/translation_cache.h"
#include "peers/port_rpc/rpc_client.h"
#include "xseg/base/sync.h"

namespace atl {

// What all maps of one opener share.
struct MapperLink {
  RpcClient* client;
  RpcTarget mapper;
  // Calls that wait for room in a journal hold slots for long; others make that room.
  Semaphore waiting{64};
};

class RemoteMap final : public MapApi {
 public:
  // The link outlives it. `state` is what the open answered; kInternal if it makes no sense.
  static Result<std::unique_ptr<RemoteMap>> Make(MapperLink* link, OpenMapState state);
  ~RemoteMap() override;

  const MapGeometry& geometry() const override { return geometry_; }
  bool TryTranslate(ByteRange range, MapPieces* out) override { return cache_.Find(range, out); }
  Task<Status> Translate(ByteRange range, MapPieces* out) override;
  bool TryAdmit() override;
  Task<Status> Admit() override;
  void Leave() override;
  Task<Status> Commit(GrainRange range, JournalChange change) override;
  bool IsBarriered(GrainRange range) override;
  uint64_t NotePosition() override;
  uint64_t position() const override { return position_; }
  Task<Status> Barrier(uint64_t position) override;
  bool wants_pin() const override { return wants_pin_; }
  Task<Status> PreparePin(PinChange change) override;
  Task<Status> Pin(PinChange change) override;
  Task<Status> Grow(uint64_t size) override;
  Task<Status> ClearPending(const Uuid& uuid) override;
  Task<Status> SetName(const Uuid& name_space, std::string name) override;
  Task<Status> SetReadOnly(std::string reason) override;
  void Abandon(std::string reason) override;
  const Header& header() const override { return header_; }
  Task<Status> Close() override;

 private:
  explicit RemoteMap(MapperLink* link) : link_(link) {}
  Status Take(OpenMapState state);
  void BeginJournal(uint64_t position);
  template <typename O>
  Task<Status> Change(O op);
  Task<Status> Ask(GrainRange range, ByteRange wanted, MapPieces* out, uint64_t* end);
  Task<void> TellAbandoned(MapAbandonOp op);
  GrainRange WindowAround(GrainRange range) const;

  MapperLink* link_;
  uint64_t handle_ = 0;
  uint64_t version_ = 0;  // Of the last state that was taken.
  MapGeometry geometry_;
  Header header_;
  bool wants_pin_ = false;
  TranslationCache cache_;

  // Raised when a commit begins, so that an answer which it may have overtaken teaches nothing.
  uint64_t commits_begun_ = 0;
  uint64_t commits_running_ = 0;

  uint32_t credits_ = 0;
  uint32_t taken_ = 0;   // By requests that have not left.
  uint32_t spent_ = 0;   // Their commits, as far as they count.
  uint32_t burned_ = 0;  // Credits that the mapper has not yet been told about.
  bool refilling_ = false;
  Mutex refill_mutex_;

  uint64_t position_ = 0;
  uint64_t barriered_position_ = 0;
  // Commits that no completed barrier covers: since the last NotePosition, and before it.
  IntervalMap unbarriered_;
  IntervalMap syncing_;
  TaskGroup background_;
};

class RemoteMapOpener final : public MapOpener {
 public:
  // The client outlives it, and it outlives what it opens.
  RemoteMapOpener(RpcClient* client, RpcTarget mapper) : link_{client, std::move(mapper)} {}
  Task<Result<std::unique_ptr<MapApi>>> OpenWritable(StoreSlot home, Uuid uuid) override {
    return Open({home, uuid, true});
  }
  Task<Result<std::unique_ptr<MapApi>>> OpenFrozen(StoreSlot home, Uuid uuid) override {
    return Open({home, uuid, false});
  }

 private:
  Task<Result<std::unique_ptr<MapApi>>> Open(MapOpenOp op);
  MapperLink link_;
};

}  // namespace atl
