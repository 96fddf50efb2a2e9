// SPDX-License-Identifier: Apache-2.0
//
// A number in shared memory that somebody may read at any time: every access is a relaxed atomic,
// so a reader sees an old or a new value and never a torn one. It orders nothing; what may be used
// when is decided by the state words (slot.h, port_record.h).
#pragma once

#include <atomic>
#include <type_traits>

namespace atl {

template <typename T>
class Relaxed {
 public:
  static_assert(std::is_integral_v<T> && std::atomic<T>::is_always_lock_free);

  T Load() const { return value_.load(std::memory_order_relaxed); }
  void Store(T value) { value_.store(value, std::memory_order_relaxed); }
  // For a single writer: not a read-modify-write.
  void Add(T difference) { Store(static_cast<T>(Load() + difference)); }

 private:
  std::atomic<T> value_;
};

}  // namespace atl
