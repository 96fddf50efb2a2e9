// SPDX-License-Identifier: Apache-2.0
//
// How many requests of a session are with others at a time.
//
// Another process that serves them on this CPU answers all it has got at once. Did it get all that
// the client has out, the client would have nothing to do until then, and we nothing until it has
// taken all the replies: the two CPUs would take turns. With a portion of them, each is busy with
// one portion while the other is with the next.
//
// What takes its time elsewhere, on a disk, is better asked for all at once, and answered as it
// comes. So requests go by portions only while they come back so: all together, and soon.
//
// Pure. Threads: of the session.
#pragma once

#include <cstdint>

#include "xseg/base/units.h"

namespace atl::nbd {

class Portions {
 public:
  static constexpr uint32_t kPortion = 16;
  static constexpr int64_t kSoonNs = 200 * kMicrosecond;
  // So often in a row, to be sure.
  static constexpr uint32_t kSure = 8;

  // False: the next one waits until others are answered.
  bool HasRoom(uint32_t executing) const { return together_ < kSure || executing < kPortion; }

  // So many came back in one turn, while `left` are still with others; the first of them all had
  // gone so long ago.
  void OnReplies(uint32_t count, uint32_t left, int64_t took_ns) {
    if (left > 0 || took_ns > kSoonNs) {
      together_ = 0;
    } else if (count >= kPortion && together_ < kSure) {
      ++together_;
    }
  }

 private:
  uint32_t together_ = 0;
};

}  // namespace atl::nbd
