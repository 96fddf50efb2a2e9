// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/task.h"

#include <array>
#include <new>
#include <vector>

#ifndef __has_feature
#define __has_feature(x) 0
#endif

namespace atl::internal {
namespace {

// Frames are rounded up to classes of 128 bytes; a thread keeps at most kKeptPerClass of each.
constexpr size_t kClassBytes = 128;
constexpr size_t kClasses = 16;
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
constexpr size_t kKeptPerClass = 0;  // The sanitizer shall see each frame's end.
#else
constexpr size_t kKeptPerClass = 256;
#endif

struct FramePool {
  std::array<std::vector<void*>, kClasses> free;
  ~FramePool() {
    for (auto& list : free) {
      for (void* frame : list) ::operator delete(frame);
    }
    alive = false;
  }
  // Frames may be freed by destructors that run after the pool's own.
  static thread_local bool alive;
};
thread_local bool FramePool::alive = true;
thread_local FramePool pool;

size_t ClassOf(size_t size) { return (size + kClassBytes - 1) / kClassBytes; }

}  // namespace

void* AllocateFrame(size_t size) {
  const size_t index = ClassOf(size);
  if (index >= kClasses || !FramePool::alive) return ::operator new(size);
  auto& list = pool.free[index];
  if (list.empty()) return ::operator new(index * kClassBytes);
  void* frame = list.back();
  list.pop_back();
  return frame;
}

void FreeFrame(void* frame, size_t size) {
  const size_t index = ClassOf(size);
  if (index >= kClasses || !FramePool::alive || pool.free[index].size() >= kKeptPerClass) {
    ::operator delete(frame);
    return;
  }
  pool.free[index].push_back(frame);
}

}  // namespace atl::internal
