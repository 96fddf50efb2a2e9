// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/fault_filter.h"

#include <algorithm>
#include <utility>

namespace atl::sim {
namespace {

bool TakesSpace(StoreOp op) {
  switch (op) {
    case StoreOp::kAdopt:
    case StoreOp::kAdoptLog:
    case StoreOp::kWrite:
    case StoreOp::kZero:
    case StoreOp::kReserve:
    case StoreOp::kAppend:
    case StoreOp::kSwapRecord:
      return true;
    default:
      return false;
  }
}

bool CannotFail(StoreOp op) {
  return op == StoreOp::kDisown || op == StoreOp::kDisownLog || op == StoreOp::kClose;
}

}  // namespace

FaultFilter::FaultFilter(Env* env, std::unique_ptr<Store> below, const Swarm* swarm, const bool* on,
                         Refused refused)
    : ForwardingStore(std::move(below)),
      env_(env),
      swarm_(swarm),
      on_(on),
      refused_(std::move(refused)) {}

bool FaultFilter::Hits(const StoreCall& call, uint32_t per_mille) {
  if (!*on_ || per_mille == 0 || !swarm_->failing.test(static_cast<size_t>(call.op))) return false;
  return env_->Random() % 1000 < per_mille;
}

Status FaultFilter::Failure(const StoreCall& call, Code code, const char* how) {
  last_fault_ns_ = env_->BootNs();
  if (code == Code::kIo && refused_(call)) given_up_.push_back(call.target);
  return {code, info().name + ": " + how + ": " + Describe(call)};
}

Task<Status> FaultFilter::Before(const StoreCall& call) {
  if (std::ranges::find(given_up_, call.target) != given_up_.end()) {
    const bool syncs = call.op == StoreOp::kSync || call.op == StoreOp::kSyncLog;
    const bool adopts = call.op == StoreOp::kAdopt || call.op == StoreOp::kAdoptLog;
    if (syncs) co_return Failure(call, Code::kIo, "injected: given up");
    if (adopts) co_return Failure(call, Code::kFenced, "injected: given up");
  }
  if (Hits(call, swarm_->stalled)) {
    const auto most = static_cast<uint64_t>(swarm_->longest_stall_ns);
    last_fault_ns_ = env_->BootNs();
    ++stalled_;
    co_await env_->Sleep(static_cast<int64_t>(env_->Random() % most));
    --stalled_;
    last_fault_ns_ = env_->BootNs();
  }
  if (TakesSpace(call.op) && Hits(call, swarm_->full)) {
    co_return Failure(call, Code::kNoSpace, "injected: no space");
  }
  if (!CannotFail(call.op) && Hits(call, swarm_->refused)) {
    const Code code = env_->Random() % 4 == 0 ? Code::kUnavailable : Code::kIo;
    co_return Failure(call, code, "injected: refused");
  }
  co_return OkStatus();
}

Task<Status> FaultFilter::After(const StoreCall& call, Status outcome) {
  if (outcome.ok() && !CannotFail(call.op) && Hits(call, swarm_->lost)) {
    co_return Failure(call, Code::kIo, "injected: the answer is lost");
  }
  co_return outcome;
}

}  // namespace atl::sim
