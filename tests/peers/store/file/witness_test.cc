// SPDX-License-Identifier: Apache-2.0
//
// Attack S13: the kernel tells of bytes that it could not write back once, and whom it has told
// dies before he can say it. On a disk that really refuses: ext4 in a file on a file system that is
// full.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "peers/store/file/file_store.h"
#include "tests/peers/store/contract/medium.h"
#include "tests/peers/store/contract/temp_dir.h"
#include "xseg/base/executor.h"

namespace atl {
namespace {

const BlobId kBlob{Uuid::FromRandom(1, 1), 1};
const LogId kLog = LogId::Journal(Uuid::FromRandom(1, 1), 1, 1);

bool Shell(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

// A process's store and what it needs.
class Life {
 public:
  Life(const std::string& path, const WitnessBox::Ends* ends) {
    if (ends != nullptr) {
      auto own = WitnessBox::Duplicate(ends->put.get(), ends->take.get());
      CHECK(own.ok());
      auto box = WitnessBox::Open(*std::move(own));
      CHECK(box.ok()) << box.status().ToString();
      box_ = *std::move(box);
    }
    auto store = FileStore::Open(
        executor_, {.path = path, .create = true, .reserve_bytes = 0, .witnesses = box_.get()});
    CHECK(store.ok()) << store.status().ToString();
    store_ = *std::move(store);
  }
  ~Life() {
    executor_.RunUntilDone(store_->Close());
    executor_.scheduler().RunReady();
  }
  FileStore* operator->() { return store_.get(); }
  template <typename T>
  T Run(Task<T> task) {
    return executor_.RunUntilDone(std::move(task));
  }
  Status Adopt() {
    const Status blob = Run(store_->Adopt(kBlob, kSecond));
    const Status log = Run(store_->AdoptLog(kLog, kSecond));
    return blob.ok() ? log : blob;
  }
  WitnessBox& box() { return *box_; }

 private:
  Executor executor_;
  std::unique_ptr<WitnessBox> box_;
  std::unique_ptr<FileStore> store_;
};

class RefusingDisk : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(below());
    std::filesystem::create_directory(mounted());
    const std::string image = below() + "/image";
    ASSERT_TRUE(Shell("mount -t tmpfs -o size=24M tmpfs " + below()));
    ASSERT_TRUE(Shell("truncate -s 64M " + image + " && mkfs.ext4 -q -F -O ^has_journal " + image));
    ASSERT_TRUE(Shell("mount -o loop " + image + " " + mounted()));
    auto ends = WitnessBox::Make();
    ASSERT_TRUE(ends.ok());
    ends_ = *std::move(ends);
  }
  void TearDown() override {
    umount2(mounted().c_str(), MNT_DETACH);
    umount2(below().c_str(), MNT_DETACH);
  }
  // From now on it takes no block that it had not before.
  void Fill() {
    std::ofstream filler(below() + "/filler", std::ios::binary);
    const std::string much(1 << 16, 'f');
    while (filler.write(much.data(), static_cast<std::streamsize>(much.size())).flush()) {
    }
  }
  // A process that writes, is told that its bytes are lost, and says it to nobody.
  void WriteAndDie(const WitnessBox::Ends* ends) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) _exit(Write(ends) ? 0 : 1);
    int how = 0;
    ASSERT_EQ(waitpid(child, &how, 0), child);
    ASSERT_TRUE(WIFEXITED(how) && WEXITSTATUS(how) == 0) << "the disk has not refused";
  }
  bool Write(const WitnessBox::Ends* ends) {
    // Nothing is undone on the way out of a process that is killed.
    Life& life = *new Life(store(), ends);
    const Bytes data(4 * kMiB, std::byte{1});
    if (!life.Adopt().ok() || !life.Run(life->Write(kBlob, 0, data, {})).ok()) return false;
    if (!life.Run(life->Sync(kBlob)).ok()) return false;
    if (!life.Run(life->Append(kLog, 0, data)).ok() || !life.Run(life->SyncLog(kLog)).ok())
      return false;
    Fill();
    const Bytes lost(8 * kMiB, std::byte{2});
    const bool refused = life.Run(life->Write(kBlob, 4 * kMiB, lost, {})).ok() &&
                         life.Run(life->Append(kLog, data.size(), lost)).ok() &&
                         !life.Run(life->Sync(kBlob)).ok() && !life.Run(life->SyncLog(kLog)).ok();
    HearEverything();
    return refused;
  }
  // The kernel may have more than one thing to tell of a file.
  void HearEverything() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(store())) {
      if (!entry.is_regular_file()) continue;
      const Fd fd(open(entry.path().c_str(), O_RDONLY));
      while (fsync(fd.get()) != 0) {
      }
    }
  }

  std::string below() const { return folder_.path() + "/below"; }
  std::string mounted() const { return folder_.path() + "/mounted"; }
  std::string store() const { return mounted() + "/store"; }

  TempDir folder_;
  WitnessBox::Ends ends_;
};

TEST_F(RefusingDisk, WhoComesAfterADeadProcessHearsWhatThatOneWasTold) {
  WriteAndDie(&ends_);
  for (int life = 0; life < 2; ++life) {
    Life next(store(), &ends_);
    EXPECT_TRUE(next.Adopt().ok());
    EXPECT_EQ(next.Run(next->Sync(kBlob)).code(), Code::kIo) << life;
    EXPECT_EQ(next.Run(next->SyncLog(kLog)).code(), Code::kIo) << life;
    EXPECT_EQ(next.Run(next->Write(kBlob, 0, Bytes(4096), {})).code(), Code::kIo) << life;
    // What is durable can be read.
    Bytes out(4096);
    EXPECT_TRUE(next.Run(next->Read(kBlob, 0, out)).ok());
    EXPECT_EQ(out[0], std::byte{1});
  }
}

// What the witnesses are for. If the kernel tells everybody one day, they can go.
TEST_F(RefusingDisk, WithoutAWitnessASyncSucceedsOverLostBytes) {
  WriteAndDie(nullptr);
  Life next(store(), nullptr);
  EXPECT_TRUE(next.Adopt().ok());
  const Status synced = next.Run(next->Sync(kBlob));
  EXPECT_TRUE(synced.ok()) << synced.ToString();
}

TEST_F(RefusingDisk, WhatHasNotFailedIsNotSuspectedAndWhatIsRemovedTakesNoSpace) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Life& life = *new Life(store(), &ends_);
    const bool good = life.Adopt().ok() &&
                      life.Run(life->Write(kBlob, 0, Bytes(4 * kMiB, std::byte{1}), {})).ok() &&
                      life.Run(life->Sync(kBlob)).ok();
    _exit(good ? 0 : 1);
  }
  int how = 0;
  ASSERT_EQ(waitpid(child, &how, 0), child);
  ASSERT_EQ(how, 0);
  Life next(store(), &ends_);
  EXPECT_EQ(next.box().size(), 2u);
  ASSERT_TRUE(next.Adopt().ok());
  EXPECT_TRUE(next.Run(next->Write(kBlob, 0, Bytes(4096, std::byte{3}), {})).ok());
  EXPECT_TRUE(next.Run(next->Sync(kBlob)).ok());
  EXPECT_TRUE(next.Run(next->SyncLog(kLog)).ok());
  const uint64_t before = next.Run(next->GetCapacity())->free_bytes;
  EXPECT_TRUE(next.Run(next->Remove(kBlob)).ok());
  EXPECT_GE(next.Run(next->GetCapacity())->free_bytes, before + 4 * kMiB);
  EXPECT_EQ(next.box().size(), 1u);
}

}  // namespace
}  // namespace atl
