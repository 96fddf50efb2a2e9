// SPDX-License-Identifier: Apache-2.0
//
// How a session waits for its client's next requests. To sleep until the socket rings costs both
// sides more than most requests do, so:
//
//   the client                            then
//   -----------------------------------   -------------------------------------------------------
//   has replies that it has not read yet  pause: sleep by the clock, and find several requests
//                                         afterwards; it is slower than we are and misses nothing
//   answers soon                          spin: look again and again
//   takes longer                          sleep until the socket rings; it costs next to nothing
//
// Which of them it is follows from what the last waits were worth. A pause grows as long as unread
// replies are left at its end, and else shrinks, down to none. So does a spin that was in vain; it
// comes back when a sleep turns out to have been shorter than a spin.
//
// Pure. Threads: of the session.
#pragma once

#include <algorithm>
#include <cstdint>

#include "xseg/base/units.h"

namespace atl::nbd {

class Pace {
 public:
  static constexpr int64_t kMostSpinNs = 100 * kMicrosecond;
  static constexpr int64_t kLeastSpinNs = 4 * kMicrosecond;
  static constexpr int64_t kMostPauseNs = 100 * kMicrosecond;
  static constexpr int64_t kLeastPauseNs = 10 * kMicrosecond;
  // Whether there are unread replies is a system call: asked for after each pause, and else only
  // once in so many batches.
  static constexpr uint32_t kBatchesBetweenLooks = 8;

  int64_t spin_ns() const { return spin_ns_; }
  int64_t pause_ns() const { return pause_ns_; }

  // A batch of requests was taken in; true if the socket should be asked.
  bool WantsLook() { return pause_ns_ > 0 || ++batches_ % kBatchesBetweenLooks == 0; }
  // What it said, before the replies to the batch were sent.
  void OnLook(bool unread) {
    pause_ns_ = unread ? std::clamp(pause_ns_ * 5 / 4, kLeastPauseNs, kMostPauseNs) : pause_ns_ / 2;
    if (pause_ns_ < kLeastPauseNs) pause_ns_ = 0;
  }
  void OnSpin(bool found) {
    spin_ns_ = found ? kMostSpinNs : spin_ns_ / 2;
    if (spin_ns_ < kLeastSpinNs) spin_ns_ = 0;
  }
  // It was slept until the socket rang.
  void OnSleep(int64_t slept_ns) {
    if (slept_ns <= kMostSpinNs) spin_ns_ = kMostSpinNs;
  }

 private:
  int64_t spin_ns_ = 0;
  int64_t pause_ns_ = 0;
  uint32_t batches_ = 0;
};

}  // namespace atl::nbd
