// SPDX-License-Identifier: Apache-2.0
//
// Order between requests: those whose ranges, rounded out to 4 KiB, overlap take effect in the
// order in which they came, over all connections; two readers do not wait for each other.
//
// Requests in flight stand in one list in the order of their arrival; each counts those before it
// that it has to wait for. Nothing is allocated.
#pragma once

#include <coroutine>
#include <cstdint>

#include "xseg/base/units.h"

namespace atl {

enum class RangeMode : uint8_t { kShared, kExclusive };

class RangeLock {
 public:
  // Lives in the coroutine of the request, from its arrival to its end. Not movable: the list
  // points to it.
  //
  //   RangeLock::Hold hold(&ranges, range, RangeMode::kExclusive);
  //   co_await hold;
  class Hold {
   public:
    Hold(RangeLock* lock, ByteRange range, RangeMode mode);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    // Lets the next ones go before this is destroyed.
    void Release();

    bool await_ready() const noexcept { return waits_for_ == 0; }
    void await_suspend(std::coroutine_handle<> handle) { waiting_ = handle; }
    void await_resume() const noexcept {}

   private:
    friend class RangeLock;
    bool Conflicts(ByteRange range, RangeMode mode) const {
      return (mode_ == RangeMode::kExclusive || mode == RangeMode::kExclusive) &&
             range_.Overlaps(range);
    }
    bool Conflicts(const Hold& other) const { return Conflicts(other.range_, other.mode_); }

    RangeLock* lock_;
    ByteRange range_;
    RangeMode mode_;
    uint32_t waits_for_ = 0;
    std::coroutine_handle<> waiting_;
    Hold* before_ = nullptr;
    Hold* after_ = nullptr;
  };

  RangeLock() = default;
  ~RangeLock();
  RangeLock(const RangeLock&) = delete;
  RangeLock& operator=(const RangeLock&) = delete;

  uint64_t in_flight() const { return count_; }
  // A hold of this range would not have to wait.
  bool IsFree(ByteRange range, RangeMode mode) const;

 private:
  Hold* first_ = nullptr;
  Hold* last_ = nullptr;
  uint64_t count_ = 0;
};

}  // namespace atl
