// SPDX-License-Identifier: Apache-2.0
//
// The way of a request into its volume and out again. Private to the composer.
#pragma once

#include <optional>

#include "peers/composer/composer.h"

namespace atl {

// A request holds journal space (if it may change the map) from before the gate, is inside of the
// gate, and has its place in the order of its range, all until its end. Requests pass one after the
// other in the order in which they came, also where one has to wait for room or for the gate: else
// a read could overtake the write that was made before it.
class Composer::Passage {
 public:
  enum class Room : uint8_t { kNone, kJournal };

  Passage(Composer* composer, ByteRange range, RangeMode mode, Room room)
      : composer_(composer), range_(range), mode_(mode), room_(room) {}
  ~Passage() {
    hold_.reset();
    pass_.reset();
    if (admitted_) composer_->map_->Leave();
  }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

  Task<Status> Enter() {
    CO_RETURN_IF_ERROR(composer_->CheckOpen());
    if (!TryEnter()) {
      const HopTimer timer(composer_->env_, &composer_->hops_, Hop::kOrder);
      const auto turn = co_await composer_->line_.Lock();
      if (room_ == Room::kJournal && !TryAdmit()) {
        const Status admitted = co_await composer_->map_->Admit();
        admitted_ = admitted.ok();
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
    if (!admitted_) admitted_ = composer_->map_->TryAdmit();
    return admitted_;
  }
  bool TryEnter() {
    if (composer_->line_.is_locked() || composer_->gate_.closed()) return false;
    if (room_ == Room::kJournal && !TryAdmit()) return false;
    auto enter = composer_->gate_.Enter();
    CHECK(enter.await_ready());
    pass_.emplace(enter.await_resume());
    hold_.emplace(&composer_->ranges_, range_, mode_);
    return true;
  }

  Composer* composer_;
  ByteRange range_;
  RangeMode mode_;
  Room room_;
  bool admitted_ = false;
  std::optional<Gate::Pass> pass_;
  std::optional<RangeLock::Hold> hold_;
};

}  // namespace atl
