// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/crash/fault_injector.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <string_view>

namespace atl {
namespace {

FaultSite SiteOf(const sys::Call& call) {
  const std::string_view path = call.site.file_name();
  return {.file = std::string(path.substr(path.rfind('/') + 1)),
          .line = call.site.line(),
          .op = call.op};
}

bool CanBeShort(const sys::Call& call) {
  using sys::Op;
  const bool moves = call.op == Op::kRead || call.op == Op::kWrite || call.op == Op::kCopy;
  return moves && call.length > 1;
}

// Space is taken everywhere; to punch and to zero is not given to each file system.
bool IsPlainReserve(const sys::Call& call) {
  return call.op == sys::Op::kAllocate && (call.flags & ~FALLOC_FL_KEEP_SIZE) == 0;
}

}  // namespace

std::string FaultSite::ToString() const {
  return fmt::format("{}:{} {}", file, line, sys::NameOf(op));
}

const char* NameOf(Fault fault) {
  static constexpr const char* kNames[] = {"EIO", "ENOSPC", "EINTR", "short"};
  return kNames[static_cast<size_t>(fault)];
}

std::optional<int64_t> FaultInjector::Answer(Fault fault, sys::Call* call) {
  if (fault == Fault::kIo) return -EIO;
  if (fault == Fault::kNoSpace) return -ENOSPC;
  if (fault == Fault::kInterrupted) return -EINTR;
  call->length /= 2;
  return std::nullopt;
}

bool FaultInjector::fired() const {
  const std::lock_guard lock(mutex_);
  return fired_;
}

bool FaultInjector::waits_for_second() const {
  const std::lock_guard lock(mutex_);
  return then_.has_value();
}

std::optional<int64_t> FaultInjector::Before(sys::Call& call) {
  const std::lock_guard lock(mutex_);
  const FaultSite site = SiteOf(call);
  Count& count = counts_[site];
  ++count.calls;
  if (CanBeShort(call)) ++count.long_calls;
  const bool is_it =
      plan_ && !fired_ && plan_->site == site &&
      (plan_->fault == Fault::kShort ? CanBeShort(call) && count.long_calls == plan_->call
                                     : count.calls == plan_->call);
  if (is_it) {
    fired_ = true;
    if (const auto answer = Answer(plan_->fault, &call)) return answer;
  } else if (fired_ && then_ && then_->site == site) {
    const Fault fault = then_->fault;
    then_.reset();
    if (const auto answer = Answer(fault, &call)) return answer;
  }
  if (lacking_.contains(call.op) && !IsPlainReserve(call)) return -EOPNOTSUPP;
  if (call.op == sys::Op::kSync) return 0;
  return std::nullopt;
}

}  // namespace atl
