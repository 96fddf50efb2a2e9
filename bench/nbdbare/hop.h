// SPDX-License-Identifier: Apache-2.0
//
// Reads by another process on the same CPU: it is told which, copies them out of the image into
// shared memory, and says so. Both wait by futex, at once.
//
// Threads: of whoever made it.
#pragma once

#include <atomic>
#include <cstdint>

#include "bench/nbdbare/image.h"
#include "xseg/base/units.h"

namespace atl::nbdbare {

class Hop {
 public:
  static constexpr uint32_t kMostReads = 64;
  static constexpr uint32_t kMostBytes = 4 * kKiB;

  // The other process begins, and ends with this one.
  explicit Hop(const Image& image);
  Hop(const Hop&) = delete;
  Hop& operator=(const Hop&) = delete;

  bool Takes(uint32_t bytes) const { return bytes <= kMostBytes && asked_ < kMostReads; }
  // Where the bytes are after the next Finish.
  std::byte* Ask(uint64_t offset, uint32_t bytes);
  // Until all that was asked for is there. That stays until the next Ask.
  void Finish();

 private:
  struct Shared {
    alignas(128) std::atomic<uint32_t> there;
    alignas(128) std::atomic<uint32_t> back;
    alignas(128) uint32_t count;
    struct Read {
      uint64_t offset;
      uint32_t bytes;
    } reads[kMostReads];
    alignas(4096) std::byte data[kMostReads][kMostBytes];
  };

  [[noreturn]] void RunOther(const Image& image);

  Shared* shared_;
  uint32_t asked_ = 0;
};

}  // namespace atl::nbdbare
