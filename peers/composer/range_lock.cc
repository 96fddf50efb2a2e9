// SPDX-License-Identifier: Apache-2.0
#include "peers/composer/range_lock.h"

#include <utility>

#include "xseg/base/check.h"
#include "xseg/base/scheduler.h"

namespace atl {

RangeLock::~RangeLock() { CHECK(first_ == nullptr) << "a request outlives its volume"; }

bool RangeLock::IsFree(ByteRange range, RangeMode mode) const {
  range = range.RoundOut(kSubGrain);
  for (const Hold* hold = first_; hold != nullptr; hold = hold->after_) {
    if (hold->Conflicts(range, mode)) return false;
  }
  return true;
}

RangeLock::Hold::Hold(RangeLock* lock, ByteRange range, RangeMode mode)
    : lock_(lock), range_(range.RoundOut(kSubGrain)), mode_(mode), before_(lock->last_) {
  for (Hold* hold = lock_->first_; hold != nullptr; hold = hold->after_) {
    waits_for_ += Conflicts(*hold);
  }
  (before_ ? before_->after_ : lock_->first_) = this;
  lock_->last_ = this;
  ++lock_->count_;
}

RangeLock::Hold::~Hold() { Release(); }

void RangeLock::Hold::Release() {
  if (lock_ == nullptr) return;
  for (Hold* hold = after_; hold != nullptr; hold = hold->after_) {
    if (!Conflicts(*hold)) continue;
    CHECK(hold->waits_for_ > 0);
    if (--hold->waits_for_ == 0 && hold->waiting_) {
      Scheduler::Current().Post(std::exchange(hold->waiting_, {}));
    }
  }
  (before_ ? before_->after_ : lock_->first_) = after_;
  (after_ ? after_->before_ : lock_->last_) = before_;
  --lock_->count_;
  lock_ = nullptr;
}

}  // namespace atl
