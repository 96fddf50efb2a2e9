// SPDX-License-Identifier: Apache-2.0
//
// A store whose calls fail, are told wrong, or take very long, as the swarm of a seed says. It
// knows when it last did so: where nothing was done to a node, nothing may fail.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "peers/store/filter/forwarding_store.h"
#include "tests/sim/swarm.h"
#include "xseg/base/env.h"

namespace atl::sim {

class FaultFilter final : public ForwardingStore {
 public:
  // What a call that fails may have cost: called before it is told. True: it was a sync, and what
  // it was of is given up: no later one of this life succeeds, as in the file store.
  using Refused = std::function<bool(const StoreCall&)>;
  // All outlive it. Nothing fails as long as `*on` is false.
  FaultFilter(Env* env, std::unique_ptr<Store> below, const Swarm* swarm, const bool* on,
              Refused refused);

  // Nobody is told of a fault that is only no success at once.
  bool TryRead(const BlobId& blob, uint64_t offset, MutSpan out) override {
    return !stalls() && below().TryRead(blob, offset, out);
  }
  bool TryWrite(const BlobId& blob, uint64_t offset, ConstSpan data) override {
    return !stalls() && below().TryWrite(blob, offset, data);
  }

  // When the last fault was, or a moment far away if there was none yet.
  int64_t last_fault_ns() const { return last_fault_ns_; }
  // Whether a call is being held up.
  bool stalls() const { return stalled_ > 0; }

 private:
  Task<Status> Before(const StoreCall& call) override;
  Task<Status> After(const StoreCall& call, Status outcome) override;
  bool Hits(const StoreCall& call, uint32_t per_mille);
  Status Failure(const StoreCall& call, Code code, const char* how);

  Env* env_;
  const Swarm* swarm_;
  const bool* on_;
  Refused refused_;
  std::vector<decltype(StoreCall::target)> given_up_;
  int stalled_ = 0;
  int64_t last_fault_ns_ = -1'000'000'000'000'000;
};

}  // namespace atl::sim
