// SPDX-License-Identifier: Apache-2.0
//
// Blocks that are kept back so that a full file system can still take log entries and records, and
// with them removals: a preallocated file that is cut short piece by piece. Data never gets any.
//
// Other writers of the file system may be quicker to take a piece that was given up; then the next
// one is given up, until there is none.
//
// Threads: any; several instances may share the file.
#pragma once

#include "peers/store/file/posix.h"

namespace atl {

class SpaceReserve {
 public:
  static constexpr uint64_t kDefaultBytes = 64 * 1024 * 1024;
  // What is given up at once: a log's step and the directory blocks beside it.
  static constexpr uint64_t kPieceBytes = 1024 * 1024;

  // Fills it to `size` bytes as far as the file system has room.
  static Result<SpaceReserve> Open(const Dir& root, uint64_t size);

  // Frees a piece; false if nothing is left.
  bool GiveUpPiece();
  // Takes back what was given up, if there is room.
  void Refill();
  uint64_t bytes() const;

 private:
  Fd fd_;
  uint64_t size_ = 0;
};

// Runs `work`, and again each time that it fails for want of space and a piece could be given up.
template <typename Work>
auto WithReserve(SpaceReserve& reserve, Work work) {
  auto outcome = work();
  while (outcome.code() == Code::kNoSpace && reserve.GiveUpPiece()) outcome = work();
  return outcome;
}

}  // namespace atl
