// SPDX-License-Identifier: Apache-2.0
//
// The resources that this node has open. All devices of one resource share one composer, so they
// see each other's writes at once. A resource stays open while a device or an explicit hold is in
// it, and for a moment after.
//
//   absent --Get--> opening --> open --last user leaves--> lingering --> closing --> absent
//   absent --Exclude--> excluded --> absent
//
// Their locks are looked at three times in the term of a lease, and whenever somebody joins. A lock
// that somebody has broken is noticed so: nothing is served from the past any longer than that.
//
// Threads: one executor thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "peers/composer/composer.h"
#include "peers/mapper/map_opener.h"
#include "peers/volumes/locks.h"
#include "peers/volumes/names.h"
#include "xseg/base/alarm.h"

namespace atl {

class OpenTable {
 public:
  // How long an unused resource stays open for the next user.
  static constexpr int64_t kLinger = 1 * kSecond;

  class Entry;
  // Keeps the resource open while it lives.
  class [[nodiscard]] Use {
   public:
    Use() = default;
    Use(OpenTable* table, std::shared_ptr<Entry> entry);
    Use(Use&& other) noexcept;
    Use& operator=(Use&& other) noexcept;
    ~Use() { Leave(); }
    explicit operator bool() const { return entry_ != nullptr; }
    // Open, and not being closed by a node that stops.
    bool alive() const;
    // kUnavailable if not.
    Status CheckAlive() const;
    Composer& composer() const;
    // Held by who needs the volume's one pending operation, or its composer or map over more than
    // one call: a node that stops closes the volume after that. `alive` is asked once it is held.
    Mutex& exclusive() const;
    void Leave();

   private:
    OpenTable* table_ = nullptr;
    std::shared_ptr<Entry> entry_;
  };

  // Keeps the resource closed while it lives; who wants to open it waits.
  class [[nodiscard]] Exclusion {
   public:
    Exclusion(OpenTable* table, std::shared_ptr<Entry> entry);
    Exclusion(Exclusion&& other) noexcept;
    Exclusion& operator=(Exclusion&&) = delete;
    ~Exclusion() { End(); }
    void End();

   private:
    OpenTable* table_;
    std::shared_ptr<Entry> entry_;
  };

  // All outlive the table.
  OpenTable(Env* env, StoreSet* stores, MapOpener* maps, BufferPool* buffers,
            const NodeIdentity* identity, Locks* locks, ComposerOptions options);
  ~OpenTable();

  // Opens it, or joins those who have it open: takes the lock, recovers, finishes what is pending.
  Task<Result<Use>> Get(StoreSlot slot, Uuid uuid);

  bool is_open(const Uuid& uuid) const;
  // Open, and not taken from this node.
  bool serves(const Uuid& uuid) const;
  // Users besides lingering.
  uint64_t users(const Uuid& uuid) const;
  // It has failed, and its header could not be told why. It is not opened before that is recorded,
  // for a flush would then be acknowledged after a failed sync.
  bool has_unrecorded_failure(const Uuid& uuid) const;
  // `atoll open`: holds it until Unhold.
  Task<Status> Hold(StoreSlot slot, Uuid uuid);
  void Unhold(const Uuid& uuid);
  bool is_held(const Uuid& uuid) const { return held_.contains(uuid); }

  // Closes it at once if nobody uses it; kBusy, with the number of users, if somebody does.
  Task<Status> CloseUnused(Uuid uuid, std::string name);
  // The same, and it stays closed: for whoever works on a closed volume, from before the first look
  // at its lock until after the last. Else a client that comes meanwhile opens it under the same
  // lock, and is acknowledged what the operation then throws away.
  Task<Result<Exclusion>> Exclude(Uuid uuid, std::string name);
  // Under an exclusion: the volume is recovered, what is pending is finished, and nobody gets in.
  Task<Status> OpenAndClose(StoreSlot slot, Uuid uuid);
  // Gives back the lock of what is not open, or is just being closed. If the store refuses it is
  // tried again with every look at the locks: else others would take it for open here.
  Task<Status> ReleaseLock(StoreSlot slot, Uuid uuid);
  // After a lock could not be taken, or was taken and that was not told: returns why.
  Task<Status> NotAcquired(StoreSlot slot, Uuid uuid, Status why);
  // Flushes and closes everything, whoever uses it, and ends the leases.
  Task<Status> Shutdown();

  // The lease of this node in a store, made at the first need.
  Task<Result<LeaseKeeper*>> Lease(StoreSlot slot);
  std::vector<std::pair<Uuid, std::shared_ptr<Entry>>> Snapshot() const;
  // Null if it is not open.
  std::shared_ptr<Entry> Find(const Uuid& uuid) const;

 private:
  friend class Use;
  friend class Exclusion;
  Task<Status> Open(std::shared_ptr<Entry> entry);
  Task<Result<std::unique_ptr<Composer>>> OpenVolume(StoreSlot slot, Uuid uuid);
  Task<Result<std::unique_ptr<MapApi>>> OpenLocked(StoreSlot slot, Uuid uuid, std::string name);
  Task<Result<std::unique_ptr<Composer>>> OpenSnapshot(StoreSlot slot, Uuid uuid);
  std::unique_ptr<Composer> MakeComposer(std::unique_ptr<MapApi> map, LeaseKeeper* lease);
  Task<Status> RecordFailure(StoreSlot slot, Uuid uuid);
  // Finishes the pending operation of a volume whose lock we hold.
  Task<Status> Settle(StoreSlot slot, Uuid uuid);
  Task<Status> Close(std::shared_ptr<Entry> entry);
  void Watch(StoreSlot slot);
  Task<void> WatchLocks(StoreSlot slot, Alarm* alarm);
  Task<void> ReleaseAgain(StoreSlot slot);
  // Finds out whether the lock of what is open is ours yet. If it is not, nothing is served any
  // more.
  Task<void> CheckLock(std::shared_ptr<Entry> entry);
  Task<void> CloseAfterLinger(std::shared_ptr<Entry> entry, uint64_t turn);
  void Left(const std::shared_ptr<Entry>& entry);

  Env* env_;
  StoreSet* stores_;
  MapOpener* maps_;
  BufferPool* buffers_;
  const NodeIdentity* identity_;
  Locks* locks_;
  ComposerOptions options_;
  std::map<Uuid, std::shared_ptr<Entry>> entries_;
  std::map<Uuid, Use> held_;
  struct Failure {
    std::string reason;
    bool sync_failed = false;
  };
  std::map<Uuid, Failure> unrecorded_;               // Why closed volumes have failed.
  std::set<std::pair<StoreSlot, Uuid>> unreleased_;  // Locks that could not be given back.
  std::vector<std::unique_ptr<LeaseKeeper>> leases_;
  Mutex lease_mutex_;
  TaskGroup background_;
  std::vector<std::unique_ptr<Alarm>> watches_;  // By store, from its first use; rung by Shutdown.
  bool shutting_down_ = false;
};

class OpenTable::Entry {
 public:
  Uuid uuid;
  StoreSlot slot = 0;
  enum class State : uint8_t { kOpening, kOpen, kClosing, kClosed, kExcluded };
  State state = State::kOpening;
  Status status;  // Why opening failed.
  Event settled;  // Opening has ended, well or not.
  Event closed;
  uint64_t users = 0;
  uint64_t turn = 0;  // Raised by every new user, so that an old linger knows it is void.
  std::unique_ptr<Composer> composer;
  Mutex exclusive;
};

}  // namespace atl
