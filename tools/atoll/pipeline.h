// SPDX-License-Identifier: Apache-2.0
//
// Copies in pieces, several at once, until the first failure or an interrupt.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "tools/atoll/interrupt.h"
#include "xseg/base/status.h"
#include "xseg/base/sync.h"
#include "xseg/base/task.h"
#include "xseg/base/units.h"

namespace atl {

inline constexpr uint64_t kPieceBytes = kMiB;
inline constexpr uint64_t kPiecesInFlight = 16;

class Pipeline {
 public:
  // Waits for a free place and starts the piece, or drops it if there was a failure already.
  Task<void> Run(Task<Status> piece) {
    co_await places_.Acquire();
    if (!failed()) {
      group_.Run(Finish(std::move(piece)));
    } else {
      places_.Release();
    }
  }
  // Starts `make(part)` for each part of `range` between multiples of kPieceBytes.
  template <typename F>
  Task<void> RunPieces(ByteRange range, F make) {
    while (!range.empty() && !failed()) {
      const uint64_t room = AlignDown(range.offset, kPieceBytes) + kPieceBytes - range.offset;
      const ByteRange part{range.offset, std::min(room, range.length)};
      co_await Run(make(part));
      range = {part.end(), range.length - part.length};
    }
  }
  // Waits for all; the first failure.
  Task<Status> Join() {
    co_await group_.Join();
    co_return first_;
  }
  bool failed() {
    if (first_.ok() && InterruptGuard::interrupted()) Fail({Code::kCancelled, "interrupted"});
    return !first_.ok();
  }
  void Fail(Status status) {
    if (first_.ok()) first_ = std::move(status);
  }

 private:
  Task<void> Finish(Task<Status> piece) {
    Status status = co_await piece;
    if (!status.ok()) Fail(std::move(status));
    places_.Release();
  }

  Semaphore places_{kPiecesInFlight};
  TaskGroup group_;
  Status first_;
};

}  // namespace atl
