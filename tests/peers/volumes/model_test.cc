// SPDX-License-Identifier: Apache-2.0
//
// The model over the memory driver.
#include "tests/peers/volumes/model.h"

#include <gtest/gtest.h>

#include "tests/peers/volumes/memory_model_world.h"

namespace atl {
namespace {

std::unique_ptr<World> InMemory(uint64_t seed) {
  // Some stores answer at once, others take their time, so that things happen meanwhile.
  constexpr int64_t kDelays[] = {0, 20 * kMicrosecond, 500 * kMicrosecond};
  return std::make_unique<MemoryModelWorld>(seed, kDelays[seed % 3]);
}

TEST(Model, RandomOperationsReadBackWhatTheOracleSays) { RunSeeds(1, 600, {}, InMemory); }

TEST(Model, NothingAcknowledgedIsLostByKillsNothingFlushedByPowerLoss) {
  RunSeeds(100'000, 1'200, {.crashes = true}, InMemory);
}

TEST(Model, LongLivesEndAsTheOracleSays) {
  const ModelOptions options{.size = 3 * kMiB + 512 * 3, .steps = 300, .crashes = true};
  RunSeeds(200'000, 20, options, InMemory);
}

}  // namespace
}  // namespace atl
