// SPDX-License-Identifier: Apache-2.0
//
// The way of a request into its volume and out again. Private to the composer.
//
// A request holds journal space (if it may change the map) from before the gate, is inside of the
// gate, and has its place in the order of its range, all until its end. Requests pass one after the
// other in the order in which they came, also where one has to wait for room or for the gate: else
// a read could overtake the write that was made before it.
//
// Threads: the composer's.
#pragma once

#include <cstdint>
#include <optional>

#include "peers/composer/composer.h"

namespace atl {

class Composer::Passage {
 public:
  // `rooms`: how often it is admitted by the map (kCommitsAdmitted).
  Passage(Composer* composer, ByteRange range, RangeMode mode, uint32_t rooms)
      : composer_(composer), range_(range), mode_(mode), rooms_(rooms) {}
  ~Passage() {
    hold_.reset();
    pass_.reset();
    for (; admitted_ > 0; --admitted_) composer_->map_->Leave();
  }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

  // Without waiting, or not at all.
  bool TryEnterAtOnce() {
    return composer_->PassesAtOnce(range_, mode_) && composer_->right_().ok() && TryEnter();
  }

  Task<Status> Enter() {
    CO_RETURN_IF_ERROR(composer_->CheckOpen());
    if (!TryEnter()) {
      // Without it no pin makes room, and those in line wait until it is back.
      CO_RETURN_IF_ERROR(composer_->right_());
      const HopTimer timer(composer_->env_, &composer_->hops_, Hop::kOrder);
      const auto turn = co_await composer_->line_.Lock();
      // Nobody else waits for room with some of it in his hands: all others stand in line.
      while (!TryAdmit()) {
        composer_->room_awaited_since_ns_ = composer_->env_->BootNs();
        if (composer_->idling_) composer_->retry_.Ring();
        const Status admitted = co_await composer_->map_->Admit();
        composer_->room_awaited_since_ns_ = 0;
        if (admitted.ok()) ++admitted_;
        CO_RETURN_IF_ERROR(composer_->CheckOpen());
        // Who hears here that the volume has failed must not hear it before the others.
        if (!admitted.ok()) CO_RETURN_IF_ERROR(co_await composer_->Failed());
        CO_RETURN_IF_ERROR(admitted);
      }
      pass_.emplace(co_await composer_->gate_.Enter());
      CO_RETURN_IF_ERROR(composer_->CheckOpen());
      hold_.emplace(&composer_->ranges_, range_, mode_);
    }
    if (!hold_->await_ready()) {
      const HopTimer timer(composer_->env_, &composer_->hops_, Hop::kOrder);
      co_await *hold_;
    }
    CO_RETURN_IF_ERROR(composer_->right_());
    co_return composer_->CheckRange(range_);
  }

 private:
  bool TryAdmit() {
    for (; admitted_ < rooms_; ++admitted_) {
      if (!composer_->map_->TryAdmit()) return false;
    }
    return true;
  }
  bool TryEnter() {
    if (composer_->line_.is_locked() || composer_->gate_.closed()) return false;
    if (!TryAdmit()) return false;
    auto enter = composer_->gate_.Enter();
    CHECK(enter.await_ready());
    pass_.emplace(enter.await_resume());
    hold_.emplace(&composer_->ranges_, range_, mode_);
    return true;
  }

  Composer* composer_;
  ByteRange range_;
  RangeMode mode_;
  uint32_t rooms_;
  uint32_t admitted_ = 0;
  std::optional<Gate::Pass> pass_;
  std::optional<RangeLock::Hold> hold_;
};

}  // namespace atl
