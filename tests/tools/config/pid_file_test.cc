// SPDX-License-Identifier: Apache-2.0
#include "tools/config/pid_file.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "xseg/base/process.h"

namespace atl {
namespace {

class PidFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/atoll-pid-file-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    path_ = folder_ + "/node.pid";
    ASSERT_EQ(pipe(ready_), 0);
  }
  void TearDown() override {
    unlink(path_.c_str());
    rmdir(folder_.c_str());
  }
  // A process that holds the file while `hold` runs.
  template <typename Hold>
  pid_t Holder(Hold hold) {
    const pid_t child = fork();
    if (child == 0) {
      auto file = PidFile::Acquire(path_);
      if (!file.ok() || write(ready_[1], "x", 1) != 1) _exit(1);
      hold();
      _exit(0);
    }
    char byte = 0;
    EXPECT_EQ(read(ready_[0], &byte, 1), 1);
    return child;
  }

  std::string folder_;
  std::string path_;
  int ready_[2] = {-1, -1};
};

TEST_F(PidFileTest, NamesItsHolderWhileThatRuns) {
  EXPECT_EQ(*PidFile::HolderOf(path_), std::nullopt);
  const pid_t child = Holder([] { pause(); });
  EXPECT_EQ(*PidFile::HolderOf(path_), child);
  const auto second = PidFile::Acquire(path_);
  EXPECT_EQ(second.code(), Code::kBusy);
  EXPECT_NE(second.status().message().find(std::to_string(child)), std::string::npos);
  ASSERT_EQ(kill(child, SIGKILL), 0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_EQ(*PidFile::HolderOf(path_), std::nullopt);
  EXPECT_TRUE(PidFile::Acquire(path_).ok());
}

// What a killed process is while its last threads end: a zombie that has its locks still.
TEST_F(PidFileTest, WaitsForAHolderThatIsEnding) {
  for (const bool acquire : {false, true}) {
    const pid_t child = Holder([] {
      std::thread([] {
        usleep(300'000);
        _exit(0);
      }).detach();
      syscall(SYS_exit, 0);
    });
    while (IsAlive({.pid = static_cast<uint32_t>(child)})) usleep(1'000);
    if (acquire) {
      const auto file = PidFile::Acquire(path_);
      EXPECT_TRUE(file.ok()) << file.status().ToString();
    } else {
      EXPECT_EQ(*PidFile::HolderOf(path_), std::nullopt);
    }
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
  }
}

}  // namespace
}  // namespace atl
