// SPDX-License-Identifier: Apache-2.0
//
// The composer of one open volume: every request passes here. It admits (the gate), orders
// (RangeLock), splits by what the map says, completes partial first writes from below, and keeps
// the promises of flush and FUA (docs/architecture.md, "The life of a write").
//
//   overwrite in the current epoch:  write, acknowledge
//   first write:  whole sub-grains to the current blob, then the journal, then acknowledge; all but
//                 the commit at once, if nobody is in its way
//   zeros:        punch the current blob, then the journal, then acknowledge; on request also for
//                 the zeros that are found in a write
//   flush:        note the journal position, sync the blob if dirty, barrier, sync the journal
//   flush of little, once there have been some:  read it back, append it to the write log
//
// After a failed sync, or a journal that cannot be appended to, the volume is read-only with the
// reason, recorded in its header before anybody is told.
//
// Threads: one executor thread. All calls have ended before it is destroyed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "peers/client/device.h"
#include "peers/composer/hops.h"
#include "peers/composer/range_lock.h"
#include "peers/composer/unflushed_writes.h"
#include "peers/composer/write_log.h"
#include "peers/composer/zero_runs.h"
#include "peers/mapper/map_api.h"
#include "peers/store/store_set.h"
#include "xseg/base/alarm.h"
#include "xseg/base/buffer.h"
#include "xseg/base/env.h"
#include "xseg/base/sync.h"

namespace atl {

// Not ok once this node may no longer act for the volume. Asked before each submit and again before
// each answer; cheap.
using RightToAct = std::function<Status()>;

struct ComposerOptions {
  // So many flushes that a write log would have served, and one is made. 0: never.
  uint32_t flushes_before_log = 16;
};

class Composer {
 public:
  // Sub-grains of one volume that are completed from below at once; others wait in line.
  static constexpr size_t kCompletionBuffers = 64;

  // All outlive the composer.
  Composer(Env* env, StoreSet* stores, BufferPool* buffers, std::unique_ptr<MapApi> map,
           RightToAct right, ComposerOptions options = {});
  ~Composer();

  const MapGeometry& geometry() const { return map_->geometry(); }
  MapApi& map() { return *map_; }
  BufferPool& buffers() { return *buffers_; }

  // As of Device (peers/client/device.h); ranges are inside of the volume.
  Task<Status> Read(uint64_t offset, MutSpan out);
  Task<Status> Write(uint64_t offset, ConstSpan data, DeviceWriteOptions options);
  Task<Status> Flush();
  Task<Status> Discard(ByteRange range, bool fua);
  Task<Status> WriteZeroes(ByteRange range, DeviceZeroOptions options);
  Task<Result<std::vector<DeviceExtent>>> Extents(ByteRange range, size_t limit);

  // Read and Write as a whole within the call, if nobody and nothing has to be waited for: true.
  // False: make the call above. See Device.
  bool TryRead(uint64_t offset, MutSpan out);
  bool TryWrite(uint64_t offset, ConstSpan data, DeviceWriteOptions options);
  ConstSpan TryView(uint64_t offset, size_t length);

  // Everything acknowledged before it is in what is pinned, everything after is not.
  Task<Status> Pin(PinChange change);
  // As much of that as can be done ahead, so that Pin has little to do. Where it fails, Pin will.
  // What it has made stays for the next pin, whatever becomes of this one.
  Task<void> PrepareToPin(PinChange change);
  // Waits for those who are inside, flushes and closes the map. Who waits on his way in, or comes
  // later, is told kUnavailable. The last call; nobody is inside any more when it ends.
  Task<Status> Close();

  // Another one has the volume, or may have it: whoever is inside, waits or comes is told so,
  // readers too. For good.
  void Lose(std::string why);
  bool fenced() const { return failed_.code() == Code::kFenced; }
  // Why, if it is.
  const Status& failed() const { return failed_; }

  // How long the gate was closed by the last pin.
  int64_t last_gate_ns() const { return last_gate_ns_; }
  const HopTimes& hops() const { return hops_; }
  uint64_t read_bytes() const { return read_bytes_; }
  uint64_t write_bytes() const { return write_bytes_; }
  uint64_t errors() const { return errors_; }
  uint64_t in_flight() const { return ranges_.in_flight(); }
  const std::string& read_only_reason() const { return map_->geometry().read_only_reason; }
  // True if the volume has failed and its header does not say so: whoever opens it again would not
  // know that what was acknowledged may be lost.
  bool failure_unrecorded() const { return unrecorded_; }
  // It was a sync that has failed, or may have been: what is not durable may be lost already.
  bool sync_failed() const { return sync_failed_ || barrier_failed_; }

 private:
  // One request's passage through admission, gate and order (passage.h).
  class Passage;
  friend class Passage;
  static constexpr uint32_t kNoRoom = 0;
  static constexpr uint32_t kOneRoom = 1;
  // One call, from its first moment to its last.
  class Visit {
   public:
    explicit Visit(Composer* composer) : composer_(composer) { ++composer_->visitors_; }
    ~Visit() {
      if (--composer_->visitors_ == 0) composer_->left_.NotifyAll();
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

   private:
    Composer* composer_;
  };

  // Counts a request that must be durable while it lives.
  class FuaCount {
   public:
    FuaCount(uint32_t* count, bool fua) : count_(fua ? count : nullptr) {
      if (count_ != nullptr) ++*count_;
    }
    ~FuaCount() {
      if (count_ != nullptr) --*count_;
    }
    FuaCount(const FuaCount&) = delete;
    FuaCount& operator=(const FuaCount&) = delete;

   private:
    uint32_t* count_;
  };

  bool IsWritable() const;
  bool TryFirstWrite(uint64_t offset, ConstSpan data);
  // The calls of the same name, without their timing.
  Task<Status> DoRead(uint64_t offset, MutSpan out);
  Task<Status> DoWrite(uint64_t offset, ConstSpan data, bool fua);
  Task<Status> DoWriteRuns(const WriteRuns& runs, uint64_t offset, ConstSpan data, bool fua);
  Task<Status> DoZero(ByteRange range, DeviceZeroOptions options);
  Status Counted(Status status);
  void CountRead(size_t bytes, int64_t took_ns);

  Status CheckOpen() const;
  // As of now: what was inside of the volume when the request was made may be behind its end.
  Status CheckRange(ByteRange range) const;
  Task<Status> CheckWritable();
  // The gate is open, nobody is in line before it or has a hold on the range that it would wait
  // for.
  bool PassesAtOnce(ByteRange range, RangeMode mode) const;
  // Before an answer is given: what was read is not the past of another one's volume.
  Status StillOurs() const { return fenced() ? failed_ : right_(); }
  Task<Status> Translate(ByteRange range, MapPieces* out);
  Task<Status> ReadPieces(const MapPieces& pieces, uint64_t offset, MutSpan out);
  Task<void> ReadPiece(MapPiece piece, MutSpan out, Status* status);

  // Inside of the gate, holding the range.
  Task<Status> WriteHeld(uint64_t offset, ConstSpan data, bool fua, bool* durable);
  bool FlushIsCheaper();
  Task<Status> FirstWrite(uint64_t offset, ConstSpan data, const MapPieces& pieces);
  Task<Status> WriteCompleted(uint64_t grain, uint64_t offset, ConstSpan data,
                              const MapPieces& pieces);
  Task<void> WriteRunHeld(WriteRun run, ConstSpan data, Status* outcome);
  Task<Status> ZeroRunHeld(ByteRange run);
  Task<Status> ZeroHeld(ByteRange range, DeviceZeroOptions options);
  Task<Status> ZeroEdge(ByteRange range);
  Task<Status> WriteOwn(uint64_t offset, ConstSpan data, bool data_sync);
  // What was written to the current blob and is not durable.
  void NoteUnflushed(ByteRange written);
  Task<Status> Commit(ByteRange whole_grains, JournalChange change);
  Task<Status> DescribePiece(const MapPiece& piece, std::vector<DeviceExtent>* out);

  Task<Status> FlushInsideGate();
  Task<void> PinAtClose();
  Task<Status> PinInsideGate(const PinChange& change);
  Task<Status> CheckZero(ByteRange range);
  Task<Status> DoFlush();
  // The whole blob and all of the map, whatever a log could take.
  Task<Status> FlushAll();
  Task<Status> FlushAllInsideGate();
  enum class SyncFor : uint8_t { kFlush, kCleaning };
  Task<Status> SyncBlob(SyncFor purpose);
  Task<Status> SyncNoted(SyncFor purpose);
  // Beside flushes, for those that come.
  void CleanSoon(bool must);
  Task<void> Clean();
  // True: all that was unflushed is durable in the write log.
  Task<Result<bool>> LogUnflushed();
  Task<Status> ReadBack(std::span<const JournalEntry> runs, MutSpan out);
  void MakeLogIfWanted();
  Task<void> MakeLog();
  Task<void> DropLog(BlobId log);
  // Records why and returns the status to give to everybody.
  Task<Status> Fail(Status status);
  Task<void> Record();
  // Ok, or why the volume has failed; nobody is told before that is recorded.
  Task<Status> Failed();
  void CheckpointIfWanted();
  Task<void> Checkpoint();

  Env* env_;
  StoreSet* stores_;
  BufferPool* buffers_;
  // For completion from below. Not from `buffers_`: those who wait for one would hold all of those.
  HeapBufferPool grains_{kCompletionBuffers * kSubGrain};
  std::unique_ptr<MapApi> map_;
  RightToAct right_;
  ComposerOptions options_;

  // Who has to wait on its way in holds it, so that nobody who comes later gets ahead.
  Mutex line_;
  Gate gate_;
  RangeLock ranges_;
  Mutex pin_mutex_;
  TaskGroup background_;
  bool checkpoint_scheduled_ = false;
  Alarm retry_;          // Of a checkpoint that was refused.
  bool idling_ = false;  // It sleeps long, since nobody waited for it.
  // When the one who waits for the room that a checkpoint makes began to; 0: nobody does.
  int64_t room_awaited_since_ns_ = 0;
  bool closing_ = false;  // No checkpoint begins any more.
  bool closed_ = false;   // Nobody comes in any more.
  uint64_t visitors_ = 0;
  Signal left_;
  int64_t last_gate_ns_ = 0;
  HopTimes hops_;
  MapPieces pieces_;  // Of what is done at once.
  uint64_t read_bytes_ = 0;
  uint64_t write_bytes_ = 0;
  uint64_t errors_ = 0;

  // Raised before each acknowledgement of a write that is not durable, and before its change of the
  // map can be in the journal; the blob is clean only if it equals the value noted before its last
  // successful sync.
  uint64_t completed_ = 0;
  uint64_t synced_ = 0;
  uint32_t fua_writes_ = 0;  // Under way.
  bool cleaning_ = false;
  int64_t may_clean_ns_ = 0;
  Mutex sync_mutex_;  // From a note of the journal's position to its barrier.

  UnflushedWrites unflushed_;
  std::unique_ptr<WriteLog> log_;  // Once it is worth it.
  uint32_t small_flushes_ = 0;     // That a log would have served.
  bool making_log_ = false;
  int64_t may_make_log_ns_ = 0;

  // One flush runs at a time; those that come before it has noted its position share it.
  struct FlushRound {
    Event done;
    Status status;
  };
  std::shared_ptr<FlushRound> joinable_flush_;
  Mutex flush_mutex_;

  Status failed_;  // Why the volume is read-only since it was opened.
  std::string failure_;
  bool sync_failed_ = false;     // Of the blob.
  bool barrier_failed_ = false;  // The map knows whether it was by a sync.
  bool told_of_sync_ = false;    // The header was told that.
  bool unrecorded_ = false;
  Event recorded_;  // Or it was tried.
};

}  // namespace atl
