// SPDX-License-Identifier: Apache-2.0
//
// The memory driver in virtual time, where power may fail. What one seed does is always the same.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "tests/peers/volumes/node_harness.h"
#include "tests/peers/volumes/world.h"

namespace atl {

class MemoryModelWorld final : public World {
 public:
  MemoryModelWorld(uint64_t seed, int64_t max_delay_ns)
      : env_(seed), medium_({.seed = seed}), max_delay_ns_(max_delay_ns) {
    env_.ShuffleReady();
  }
  ~MemoryModelWorld() override {
    if (node_) node_->Kill();
  }

  void Start() override {
    const Uuid before = incarnation_;
    if (node_) (void)node_->Stop();
    node_.reset();
    NodeOptions options;
    options.name = "n" + std::to_string(++lives_);
    options.max_delay_ns = max_delay_ns_;
    options.composers.flushes_before_log = lives_ % 2 == 0 ? 2 : 16;
    node_ = std::make_unique<MemoryNode>(&env_, &medium_, options);
    incarnation_ = node_->incarnation();
    if (before.is_zero()) return;
    const Status buried = env_.Run(node_->atoll().BuryPredecessor(before));
    CHECK(buried.ok()) << buried.ToString();
  }
  Atoll& atoll() override { return node_->atoll(); }
  Status Stop() override {
    const Status status = node_->Stop();
    node_.reset();
    return status;
  }
  void Kill() override {
    // Some of what is in flight lands when the next life has begun.
    const uint64_t most = static_cast<uint64_t>(max_delay_ns_) * 10 + 1;
    node_->store().Die(static_cast<int64_t>(env_.Random() % most));
  }
  bool can_replace_the_mapper() const override { return node_->has_peers(); }
  void ReplaceTheMapper() override { node_->ReplaceMapper(); }
  bool can_lose_power() const override { return true; }
  void LosePower(uint64_t seed) override { medium_.PowerLoss(seed); }

  void LetRun(uint64_t random, const TaskGroup& group) override {
    for (uint64_t steps = random % 200; steps > 0 && group.running() > 0; --steps) env_.Step();
  }
  void Drive(Task<void> task) override { env_.Run(std::move(task)); }

 private:
  TestEnv env_;
  MemoryWorld medium_;
  const int64_t max_delay_ns_;
  std::unique_ptr<MemoryNode> node_;
  Uuid incarnation_;
  int lives_ = 0;
};

}  // namespace atl
