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
// When the mapper's process dies, its successor answers kStale. The map is then opened anew there,
// and what was asked is asked again; who uses the map sees a pause. To open it, the successor makes
// durable and pins all that was committed, so from then on that counts as behind a barrier. What is
// known of the map stays right. If it cannot be opened again, everything fails with the reason.
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
  // The link outlives it. `state` is what `opened` was answered; kInternal if it makes no sense.
  static Result<std::unique_ptr<RemoteMap>> Make(MapperLink* link, MapOpenOp opened,
                                                 OpenMapState state);
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
  Task<Status> SetReadOnly(std::string reason, bool sync_failed) override;
  Task<Status> EndOpening() override;
  void Abandon(std::string reason) override;
  const Header& header() const override { return header_; }
  Task<Status> Close() override;

 private:
  RemoteMap(MapperLink* link, MapOpenOp opened) : link_(link), opened_(std::move(opened)) {}
  Status Take(OpenMapState state);
  void BeginJournal(uint64_t position);
  template <typename O>
  Task<Status> Change(O op);
  Task<Status> LookUp(GrainRange range, ByteRange wanted, MapPieces* out, uint64_t* end);
  Task<void> TellAbandoned(std::string reason);
  GrainRange WindowAround(GrainRange range) const;

  // Calls the mapper with what `make` yields; again, with what it yields then, after a mapper has
  // died and the map is open at the next one.
  template <typename Make>
  auto Ask(Make make) -> Task<Result<typename decltype(make())::Wire::Reply>>;
  // Opens the map anew, unless somebody has since `session`.
  Task<Status> Reopen(uint64_t session);
  Task<Status> ReopenOnce();
  void Continue(uint64_t position);
  bool WasPinned(const PinChange& change, const BlobId& own) const;

  MapperLink* link_;
  MapOpenOp opened_;  // Without what is asked for when it is opened again.
  uint64_t handle_ = 0;
  uint64_t version_ = 0;  // Of the last state that was taken.
  // Counts the mappers at which it was open: of what an earlier one answers only the outcome
  // counts.
  uint64_t session_ = 1;
  bool reopening_ = false;
  bool closing_ = false;
  Mutex reopen_mutex_;
  Status lost_;           // Why it could not be opened again.
  bool pinning_ = false;  // The current blob may be another one when it is.
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

  // Positions go on over a change of the mapper: `base_` is where its first journal begins.
  uint64_t base_ = 0;
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
  Task<Result<std::unique_ptr<MapApi>>> Reopen(StoreSlot home, Uuid uuid,
                                               uint32_t generation) override {
    return Open({home, uuid, true, generation});
  }

 private:
  Task<Result<std::unique_ptr<MapApi>>> Open(MapOpenOp op);
  MapperLink link_;
};

}  // namespace atl
