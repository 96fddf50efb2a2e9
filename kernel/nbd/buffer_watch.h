// SPDX-License-Identifier: Apache-2.0
//
// Payload buffers are shared by all clients, and a client that stops reading its replies, or sends
// a large payload byte by byte, keeps some of them from the others. As long as there are enough,
// nobody minds: a client may be stopped in a debugger for a day. While somebody has to wait for
// one, whoever keeps buffers because of its own socket has to get on, or is cut off: the one that
// keeps most goes first, one in each round, until nobody waits any more.
//
// Threads: of one executor.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <utility>

#include "kernel/nbd/limits.h"
#include "kernel/nbd/waiting.h"
#include "xseg/base/buffer.h"
#include "xseg/base/env.h"
#include "xseg/base/task.h"

namespace atl::nbd {

class BufferHolder {
 public:
  struct State {
    const BufferPool* pool = nullptr;
    bool waits = false;            // For a buffer of that pool.
    uint64_t held_bytes = 0;       // Of that pool.
    uint64_t moved_bytes = 0;      // Through its socket, both ways, ever.
    int64_t stalled_since_ns = 0;  // It waits for its socket since then; 0: it does not.
  };
  virtual State buffer_state() const = 0;
  // `why` is for the log; empty: it need not know.
  virtual void CutOff(std::string_view why) = 0;

 protected:
  ~BufferHolder() = default;
};

class BufferWatch {
 public:
  BufferWatch(Env* env, const ServerLimits& limits) : env_(env), limits_(limits), alarm_(env) {}
  BufferWatch(const BufferWatch&) = delete;
  BufferWatch& operator=(const BufferWatch&) = delete;
  ~BufferWatch() { CHECK(!running_ && holders_.empty()); }

  void Add(BufferHolder* holder) { holders_.emplace(holder, 0); }
  void Remove(BufferHolder* holder) { holders_.erase(holder); }
  // A holder begins or ends to wait. The watch runs only meanwhile.
  void BeginWait();
  void EndWait();
  // After the last holder has gone.
  Task<void> Close();

 private:
  Task<void> Watch();
  void Mark();
  void CutWorst();

  Env* env_;
  ServerLimits limits_;
  Alarm alarm_;
  uint64_t waiting_ = 0;
  bool running_ = false;
  Waker ended_;
  std::map<BufferHolder*, uint64_t> holders_;  // With moved_bytes at the last mark.
};

// The pool of a device, seen by one connection: it tells the watch when it has to wait.
class WatchedPool final : public BufferPool {
 public:
  WatchedPool(BufferPool* pool, BufferWatch* watch) : pool_(pool), watch_(watch) {}
  Task<Buffer> Get(size_t bytes) override;
  Buffer TryGet(size_t bytes) override { return pool_->TryGet(bytes); }
  const BufferPool* pool() const { return pool_; }
  bool waits() const { return waiting_ > 0; }

 private:
  // Its buffers are the inner pool's and go back there.
  void Put(MutSpan block) override { CHECK(block.empty()) << "not a buffer of this pool"; }

  BufferPool* pool_;
  BufferWatch* watch_;
  uint64_t waiting_ = 0;
};

}  // namespace atl::nbd
