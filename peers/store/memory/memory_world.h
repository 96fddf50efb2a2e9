// SPDX-License-Identifier: Apache-2.0
//
// The medium of the memory driver. Several MemoryStores that share a world are several instances
// (nodes, or processes) on one store: what one stores the others read.
//
//   MemoryWorld world({.seed = 7});
//   MemoryStore a(env, {.world = &world}), b(env, {.world = &world});
//   ... a.Die(late) or world.PowerLoss() ...
//
// Threads: a world and all its stores belong to one thread. It outlives its stores.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>

#include "peers/store/memory/sparse_space.h"
#include "peers/store/record_state.h"
#include "peers/store/store.h"

namespace atl {

struct MemoryWorldOptions {
  // Everything acknowledged is durable; a power loss takes nothing away.
  bool durable_at_ack = false;
  uint64_t capacity_bytes = kTiB;
  uint64_t reserve_bytes = 64 * kMiB;
  uint64_t seed = 1;
};

class MemoryStore;

class MemoryWorld {
 public:
  explicit MemoryWorld(MemoryWorldOptions options = {});

  // Every instance is dead, and what was not durable is lost or survives by chance: blobs and logs
  // never synced as a whole, written bytes by units, records by version. Operations in flight are
  // lost. Stores made from now on see a new cache identity.
  void PowerLoss();
  void PowerLoss(uint64_t seed) {
    random_.seed(seed);
    PowerLoss();
  }

  // The disk has refused to take what was not synced of it: that is lost, or survives by chance,
  // and everybody lives on. The sync that was told so is the caller's to fail.
  void LoseUnsynced(const BlobId& blob, uint64_t seed);
  void LoseUnsynced(const LogId& log, uint64_t seed);

  const Uuid& uuid() const { return uuid_; }
  const MemoryWorldOptions& options() const { return options_; }

 private:
  friend class MemoryStore;

  // What a blob and a log have in common.
  struct Medium {
    uint64_t owner = 0;      // The instance that adopted it; 0: none.
    uint64_t in_flight = 0;  // Changes submitted and not yet landed.
    bool sealed = false;
    bool removed = false;
    bool entry_durable = false;  // Its directory entry outlives a power loss.
  };
  struct Blob : Medium {
    Blob(SpaceBudget* budget, std::mt19937_64* random) : space(budget, random) {}
    SparseSpace space;
  };
  struct Log : Medium {
    explicit Log(std::mt19937_64* random) : space(nullptr, random) {}
    SparseSpace space;
    uint64_t end = 0;
    uint64_t durable_end = 0;
    uint64_t reserved = 0;
    uint64_t claimed = 0;  // Taken from the budget: whole pages of max(end, reserved).
  };
  struct RecordValue {
    RecordState state;
    Bytes payload;
  };
  struct RecordSlot {
    std::optional<RecordValue> now;
    std::optional<RecordValue> durable;
    bool dirty = false;  // `now` is not durable yet.
    bool empty() const { return !now && !dirty; }
  };

  std::mt19937_64* loss_random() { return options_.durable_at_ack ? nullptr : &random_; }
  bool Chance() { return random_() % 2 == 0; }
  std::shared_ptr<Blob> NewBlob();
  std::shared_ptr<Log> NewLog();
  // Grows or shrinks what `log` takes of the budget; false if there is no room.
  bool Claim(Log& log, uint64_t length);
  void Lose(Blob& blob) { blob.space.PowerLoss(); }
  void Lose(Log& log);
  // The thing is gone: its space is free.
  void Forget(Blob& blob) { blob.space.Punch({0, kMaxVolumeSize}); }
  void Forget(Log& log) { Claim(log, 0); }

  MemoryWorldOptions options_;
  std::mt19937_64 random_;
  Uuid uuid_;
  uint64_t boots_ = 1;
  uint64_t next_instance_ = 1;
  std::set<MemoryStore*> stores_;
  std::set<uint64_t> alive_;

  SpaceBudget budget_;
  std::map<BlobId, std::shared_ptr<Blob>> blobs_;
  std::map<LogId, std::shared_ptr<Log>> logs_;
  std::map<ChunkId, Bytes> chunks_;
  std::map<RecordKey, RecordSlot> records_;
  // By kind: no version up to this one is given to a record made from now on.
  std::map<RecordKind, uint64_t> floors_;
};

}  // namespace atl
