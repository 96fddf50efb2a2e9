// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/remote/port_session.h"

#include <vector>

#include "peers/port_ops.h"

namespace atl {

Task<void> PortSession::Remove(Device* device) {
  while (recovering_) co_await settled_;
  devices_.erase(device);
}

// --- The way of a request ------------------------------------------------------------------------

Task<void> PortSession::Visit::Turn() {
  if (!again_ && session_->is_serving()) {
    ++session_->running_;
    co_return;
  }
  session_->waiting_.emplace(turn_, this);
  session_->RecoverIfDrained();
  while (session_->Next() != this) {
    co_await go_;
    go_.Reset();
  }
  ++session_->running_;
}

void PortSession::Visit::Sent() {
  if (session_->waiting_.erase(turn_) == 0) return;
  if (std::exchange(is_first_, false)) --session_->first_waiting_;
  // Everybody is woken by the one before, who sends at once: so they are sent in their order.
  session_->WakeNext();
}

void PortSession::Visit::Answered(Code code) {
  --session_->running_;
  again_ = code == Code::kStale;
  if (again_) session_->stale_ = true;
  if (session_->running_ > 0) return;
  session_->changes_made_.NotifyAll();
  session_->RecoverIfDrained();
}

PortSession::Visit* PortSession::Next() const {
  for (const auto& [turn, visit] : waiting_) {
    if (visit->is_first_ || (!stale_ && !recovering_)) return visit;
    if (first_waiting_ == 0) break;
  }
  return nullptr;
}

void PortSession::WakeNext() {
  if (Visit* const next = Next()) next->go_.Set();
}

// --- When the composer has died ------------------------------------------------------------------

void PortSession::Rejoin() {
  stale_ = true;
  RecoverIfDrained();
}

void PortSession::RecoverIfDrained() {
  if (!stale_ || running_ > 0 || recovering_) return;
  recovering_ = true;
  background_.Run(Recover());
}

Task<void> PortSession::Recover() {
  do {
    stale_ = false;
    const uint32_t life = client_->segment().port(composer_.port).LoadControl().incarnation;
    const std::vector<Device*> devices(devices_.begin(), devices_.end());
    for (Device* const device : devices) co_await device->Reopen();
    co_await MakeChangesAgain();
    // It may have died again meanwhile.
    const Status told = co_await client_->Tell(composer_, PortRejoinedOp{life});
    stale_ = stale_ || told.code() == Code::kStale;
  } while (stale_);
  recovering_ = false;
  settled_.NotifyAll();
  WakeNext();
}

Task<void> PortSession::MakeChangesAgain() {
  for (const auto& [turn, visit] : waiting_) {
    visit->is_first_ = visit->again_ && visit->changes_;
    first_waiting_ += visit->is_first_ ? 1 : 0;
  }
  WakeNext();
  while (first_waiting_ > 0 || running_ > 0) co_await changes_made_;
}

}  // namespace atl
