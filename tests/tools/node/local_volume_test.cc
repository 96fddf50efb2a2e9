// SPDX-License-Identifier: Apache-2.0
//
// Volumes of a real node through shared memory, in both placements.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernel/local/local_client.h"
#include "tests/tools/atoll/cli_world.h"

namespace atl {
namespace {

using local::LocalClient;

class LocalVolumeTest : public ::testing::TestWithParam<const char*> {
 protected:
  void Start(const std::string& more = "") {
    setenv("ATOLLD", ATOLL_REAL_DAEMON, 1);
    std::ofstream(world_.config()) << "[node]\nstate = state\nplacement = " << GetParam() << "\n"
                                   << more << "[store default]\ndriver = file\n";
    Ok({"node", "start"});
  }
  CliResult Ok(const std::vector<std::string>& words) {
    CliResult result = world_.Run(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result;
  }
  bool is_isolated() const { return GetParam() == std::string("isolated"); }
  std::string socket() const { return world_.File("state/local.sock"); }
  Result<std::unique_ptr<LocalClient>> Connect(const std::string& name,
                                               local::Mode mode = local::Mode::kReadWrite) {
    return LocalClient::Connect(socket(), {name, mode});
  }

  CliWorld world_;
};
INSTANTIATE_TEST_SUITE_P(Placements, LocalVolumeTest, ::testing::Values("fused", "isolated"),
                         [](const auto& info) { return std::string(info.param); });

Status Ask(LocalClient& client, local::Op op, ByteRange range = {}, uint16_t flags = 0) {
  auto request = client.Prepare(op, range, flags);
  auto answer = client.Call(std::move(*request));
  return answer.ok() ? LocalClient::Outcome(*answer) : answer.status();
}
Status Write(LocalClient& client, uint64_t offset, ConstSpan bytes, uint16_t flags = 0) {
  auto request = client.Prepare(local::kOpWrite, {offset, bytes.size()}, flags);
  auto buffer = client.port().buffers().Allocate(bytes.size());
  std::memcpy(buffer->bytes().data(), bytes.data(), bytes.size());
  request->Carry(std::move(*buffer));
  auto answer = client.Call(std::move(*request));
  return answer.ok() ? LocalClient::Outcome(*answer) : answer.status();
}
Result<Bytes> Read(LocalClient& client, ByteRange range) {
  auto request = client.Prepare(local::kOpRead, range);
  request->Carry(*client.port().buffers().Allocate(range.length));
  ASSIGN_OR_RETURN(Request answer, client.Call(std::move(*request)));
  RETURN_IF_ERROR(LocalClient::Outcome(answer));
  const SharedBuffer back = answer.TakeBuffer();
  return Bytes(back.bytes().begin(), back.bytes().end());
}

// The same changes here and in memory; then every byte is compared.
TEST_P(LocalVolumeTest, HoldsWhatIsWritten) {
  Start();
  constexpr uint64_t kSize = 8 * kMiB;
  Ok({"volume", "create", "v", "--size", "8M"});
  auto client = Connect("v");
  ASSERT_TRUE(client.ok()) << client.status().ToString();
  EXPECT_EQ((*client)->facts().size, kSize);
  Bytes model(kSize);
  std::mt19937_64 random(3);
  for (int i = 0; i < 600; ++i) {
    const uint64_t unit = i % 3 == 0 ? 1 : 512;
    const uint64_t offset = random() % (kSize - 256 * kKiB) / unit * unit;
    const uint64_t length = unit * (1 + random() % (i % 10 == 0 ? 512 : 16));
    const uint16_t fua = i % 50 == 0 ? local::kFlagFua : 0;
    const MutSpan there = MutSpan(model).subspan(offset, length);
    if (i % 4 == 3) {
      std::ranges::fill(there, std::byte{0});
      const local::Op op = i % 8 == 3 ? local::kOpDiscard : local::kOpWriteZeroes;
      ASSERT_TRUE(Ask(**client, op, {offset, length}, fua).ok());
      continue;
    }
    for (std::byte& byte : there) byte = static_cast<std::byte>(random());
    ASSERT_TRUE(Write(**client, offset, there, fua).ok());
    if (i % 40 == 0) ASSERT_TRUE(Ask(**client, local::kOpFlush).ok());
    const auto back = Read(**client, {offset, length});
    ASSERT_TRUE(back.ok() && std::ranges::equal(*back, there)) << i;
  }
  // Another client, another life of the node.
  client->reset();
  Ok({"node", "stop"});
  Ok({"node", "start"});
  client = Connect("v", local::Mode::kReadOnly);
  ASSERT_TRUE(client.ok());
  const auto all = Read(**client, {0, kSize});
  ASSERT_TRUE(all.ok());
  EXPECT_TRUE(*all == model);
  EXPECT_EQ(Write(**client, 0, Bytes(512)).code(), Code::kReadOnly);
}

TEST_P(LocalVolumeTest, ServesSnapshotsForReading) {
  Start();
  Ok({"volume", "create", "v", "--size", "1M"});
  auto client = Connect("v");
  ASSERT_TRUE(client.ok());
  const Bytes before(4096, std::byte{1}), after(4096, std::byte{2});
  ASSERT_TRUE(Write(**client, 0, before).ok());
  Ok({"snapshot", "create", "v", "s"});
  ASSERT_TRUE(Write(**client, 0, after).ok());
  EXPECT_EQ(Connect("s").code(), Code::kReadOnly);
  auto snapshot = Connect("s", local::Mode::kReadOnly);
  ASSERT_TRUE(snapshot.ok()) << snapshot.status().ToString();
  EXPECT_TRUE(*Read(**snapshot, {0, 4096}) == before);
  EXPECT_TRUE(*Read(**client, {0, 4096}) == after);
}

TEST_P(LocalVolumeTest, IsCountedInStats) {
  Start();
  Ok({"volume", "create", "v", "--size", "1M"});
  auto client = Connect("v");
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE(Write(**client, 0, Bytes(4096)).ok());
  ASSERT_TRUE(Read(**client, {0, 8192}).ok());
  const CliResult top = Ok({"top", "--once"});
  EXPECT_NE(top.out.find("local"), std::string::npos) << top.out;
}

TEST_P(LocalVolumeTest, AVolumeThatGrowsIsUsedToItsNewEnd) {
  Start();
  Ok({"volume", "create", "v", "--size", "1M"});
  auto client = Connect("v");
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE(Write(**client, 0, Bytes(4096)).ok());
  EXPECT_EQ(Read(**client, {kMiB, 4096}).code(), Code::kInvalid);
  Ok({"volume", "resize", "v", "--size", "2M"});
  EXPECT_TRUE(Write(**client, kMiB, Bytes(4096)).ok());
  EXPECT_TRUE(Read(**client, {2 * kMiB - 4096, 4096}).ok());
}

TEST_P(LocalVolumeTest, WhereItIsOffThereIsNoSocket) {
  Start("local = off\n");
  Ok({"volume", "create", "v", "--size", "1M"});
  EXPECT_NE(access(socket().c_str(), F_OK), 0);
  EXPECT_EQ(Connect("v").code(), Code::kNotFound);
}

// Behind a client that was killed within its requests the volume is free again.
TEST_P(LocalVolumeTest, AClientThatDiesHoldsNothing) {
  Start();
  Ok({"volume", "create", "v", "--size", "64M"});
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto client = Connect("v");
    std::mt19937_64 random(1);
    while (client.ok()) {
      if ((*client)->port().Collect()) continue;
      auto request = (*client)->Prepare(local::kOpWrite, {random() % 16'000 * 4096, 4096});
      if (!request) continue;
      request->Carry(*(*client)->port().buffers().Allocate(4096));
      (*client)->port().Submit(std::move(*request));
    }
    _exit(1);
  }
  usleep(300'000);
  EXPECT_NE(world_.Run({"volume", "resize", "v", "--size", "4M", "--force"}).exit_code, 0);
  EXPECT_EQ(kill(child, SIGKILL), 0);
  EXPECT_EQ(WaitForExit(child), 128 + SIGKILL);
  // The node may not have noticed yet.
  bool shrunk = false;
  for (int i = 0; i < 1000 && !shrunk; ++i) {
    shrunk = world_.Run({"volume", "resize", "v", "--size", "4M", "--force"}).exit_code == 0;
    if (!shrunk) usleep(10'000);
  }
  EXPECT_TRUE(shrunk);
}

/// Only an isolated node has peers of its own to replace.
class LocalVolumeOfPeersTest : public LocalVolumeTest {};
INSTANTIATE_TEST_SUITE_P(Placements, LocalVolumeOfPeersTest, ::testing::Values("isolated"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(LocalVolumeOfPeersTest, AComposerOrAStoreThatIsReplacedIsAPause) {
  Start();
  Ok({"volume", "create", "v", "--size", "4M"});
  auto client = Connect("v");
  ASSERT_TRUE(client.ok());
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> rounds{0};
  std::thread worker([&] {
    for (uint64_t i = 0; !stop; ++i) {
      const Bytes bytes(4096, static_cast<std::byte>(i));
      const uint64_t offset = i % 1000 * 4096;
      const Status written = Write(**client, offset, bytes);
      const auto back = Read(**client, {offset, 4096});
      const bool good = written.ok() && back.ok() && *back == bytes;
      EXPECT_TRUE(good) << written.ToString() << " " << back.status().ToString();
      if (!good) break;
      ++rounds;
    }
  });
  for (const char* peer : {"composer", "store default", "mapper"}) {
    const uint64_t before = rounds;
    Ok({"node", "restart", peer});
    for (int i = 0; i < 1000 && rounds < before + 100; ++i) usleep(10'000);
    EXPECT_GE(rounds, before + 100) << peer;
  }
  stop = true;
  worker.join();
  Ok({"node", "restart", "nbd"});
  EXPECT_EQ(Read(**client, {0, 4096}).code(), Code::kUnavailable);
  EXPECT_TRUE(Connect("v").ok());
}

}  // namespace
}  // namespace atl
