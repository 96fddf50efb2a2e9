// SPDX-License-Identifier: Apache-2.0
//
// The model over the file driver, with a process for each life of the node. Kills change nothing
// in the page cache, so most sequences run where a sync costs nothing.
#include <gtest/gtest.h>

#include "tests/peers/volumes/file_world.h"
#include "tests/peers/volumes/model.h"

namespace atl {
namespace {

std::unique_ptr<World> InSharedMemory(uint64_t) { return std::make_unique<FileWorld>("/dev/shm"); }
std::unique_ptr<World> OnADisk(uint64_t) { return std::make_unique<FileWorld>(); }

// Each placement is an entry of ctest, so all of it runs twice.
constexpr int kSteps = 20;

TEST(ModelOnFiles, RandomOperationsReadBackWhatTheOracleSays) {
  RunSeeds(300'000, 200, {.steps = kSteps}, InSharedMemory);
}

TEST(ModelOnFiles, NothingAcknowledgedIsLostByKills) {
  RunSeeds(400'000, 400, {.steps = kSteps, .crashes = true}, InSharedMemory);
}

TEST(ModelOnFiles, NothingAcknowledgedIsLostByKillsOnADisk) {
  RunSeeds(500'000, 10, {.steps = kSteps, .crashes = true}, OnADisk);
}

}  // namespace
}  // namespace atl
