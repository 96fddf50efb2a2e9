// SPDX-License-Identifier: Apache-2.0
#include "peers/store/witness_box.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/peers/store/contract/temp_dir.h"

namespace atl {
namespace {

class WitnessBoxTest : public testing::Test {
 protected:
  void SetUp() override {
    auto ends = WitnessBox::Make();
    ASSERT_TRUE(ends.ok());
    ends_ = *std::move(ends);
  }
  // Another process of the node would see the same.
  std::unique_ptr<WitnessBox> Open() {
    auto own = WitnessBox::Duplicate(ends_.put.get(), ends_.take.get());
    CHECK(own.ok());
    auto box = WitnessBox::Open(*std::move(own));
    CHECK(box.ok()) << box.status().ToString();
    return *std::move(box);
  }
  Fd File(const std::string& name) {
    return Fd(open((folder_.path() + "/" + name).c_str(), O_RDWR | O_CREAT, 0600));
  }
  static FileId IdOf(const Fd& fd) {
    struct stat info;
    CHECK(fstat(fd.get(), &info) == 0);
    return {info.st_dev, info.st_ino};
  }
  FileId Keep(WitnessBox& box, const std::string& name) {
    Fd file = File(name);
    const FileId id = IdOf(file);
    const Status kept = box.Keep(id, std::move(file));
    EXPECT_TRUE(kept.ok()) << kept.ToString();
    return id;
  }

  TempDir folder_;
  WitnessBox::Ends ends_;
};

TEST_F(WitnessBoxTest, WhatOneProcessHasKeptTheNextOneFinds) {
  const FileId a = Keep(*Open(), "a");
  for (int i = 0; i < 3; ++i) {
    const auto box = Open();
    ASSERT_NE(box->Find(a), nullptr);
    EXPECT_EQ(IdOf(box->Find(a)->left), a);
    EXPECT_FALSE(box->Find(a)->failed);
    EXPECT_EQ(box->size(), 1u);
  }
}

TEST_F(WitnessBoxTest, AFileHasOneWitnessTheOldest) {
  const auto first = Open();
  const FileId a = Keep(*first, "a");
  EXPECT_FALSE(first->Find(a)->left.valid()) << "its own";
  EXPECT_EQ(Keep(*first, "a"), a);
  const auto box = Open();
  EXPECT_EQ(Keep(*box, "a"), a);
  EXPECT_TRUE(box->Find(a)->left.valid());
  EXPECT_EQ(Open()->size(), 1u);
}

TEST_F(WitnessBoxTest, AFailureIsKnownToEverybodyAfter) {
  FileId a, b;
  {
    const auto box = Open();
    a = Keep(*box, "a");
    b = Keep(*box, "b");
    EXPECT_TRUE(box->NoteFailure(a).ok());
    EXPECT_TRUE(box->NoteFailure({1, 2}).ok()) << "of a file without a witness";
  }
  for (int i = 0; i < 3; ++i) {
    const auto box = Open();
    EXPECT_TRUE(box->Find(a)->failed);
    EXPECT_FALSE(box->Find(b)->failed);
    EXPECT_EQ(box->size(), 2u);
  }
}

TEST_F(WitnessBoxTest, WhatIsForgottenIsClosedWhenItIsSettled) {
  const auto box = Open();
  const FileId a = Keep(*box, "a"), b = Keep(*box, "b");
  EXPECT_TRUE(box->NoteFailure(a).ok());
  box->Forget(a);
  EXPECT_EQ(box->Find(a), nullptr);
  EXPECT_TRUE(box->Settle().ok());
  const auto next = Open();
  EXPECT_EQ(next->Find(a), nullptr);
  ASSERT_NE(next->Find(b), nullptr);
  // What is left of a removed file goes as well.
  unlink((folder_.path() + "/b").c_str());
  EXPECT_TRUE(next->Settle().ok());
  EXPECT_EQ(Open()->size(), 0u);
}

TEST_F(WitnessBoxTest, ManyComeAndGoInARoomThatDoesNotGrow) {
  const auto box = Open();
  const FileId stays = Keep(*box, "stays");
  for (int i = 0; i < 5000; ++i) box->Forget(Keep(*box, "goes"));
  EXPECT_EQ(box->size(), 1u);
  EXPECT_NE(Open()->Find(stays), nullptr);
}

TEST_F(WitnessBoxTest, WhoDiedInHisRoundIsFollowedByOneWhoSeesAll) {
  const FileId a = Keep(*Open(), "a"), b = Keep(*Open(), "b");
  // As one that was killed when it had put the first one behind: that is there twice, and the end
  // of its round is between them.
  {
    const auto box = Open();
    const uint64_t end[3] = {3, 4711, 42};
    ASSERT_EQ(send(ends_.put.get(), end, sizeof(end), 0), static_cast<ssize_t>(sizeof(end)));
  }
  {
    Fd file = File("a");
    const auto before = Open();
    before->Forget(a);
    EXPECT_TRUE(before->Keep(a, std::move(file)).ok());
  }
  const auto box = Open();
  EXPECT_EQ(box->size(), 2u);
  EXPECT_NE(box->Find(a), nullptr);
  EXPECT_NE(box->Find(b), nullptr);
}

TEST_F(WitnessBoxTest, AFailureIsNotLostWhenARoundIsCutOffBehindItsWitness) {
  const Fd file = File("a");
  const FileId a = IdOf(file);
  // The witness was put behind, and the failure is the first now.
  const uint64_t failure[3] = {2, a.device, a.inode};
  ASSERT_EQ(send(ends_.put.get(), failure, sizeof(failure), 0),
            static_cast<ssize_t>(sizeof(failure)));
  {
    const uint64_t end[3] = {3, 4711, 42};
    ASSERT_EQ(send(ends_.put.get(), end, sizeof(end), 0), static_cast<ssize_t>(sizeof(end)));
    Fd description = File("a");
    EXPECT_TRUE(Open()->Keep(a, std::move(description)).ok());
  }
  for (int i = 0; i < 2; ++i) {
    const auto box = Open();
    ASSERT_NE(box->Find(a), nullptr);
    EXPECT_TRUE(box->Find(a)->failed);
  }
}

TEST_F(WitnessBoxTest, NonsenseInTheBoxIsSeen) {
  ASSERT_EQ(send(ends_.put.get(), "x", 1, 0), 1);
  auto own = WitnessBox::Duplicate(ends_.put.get(), ends_.take.get());
  EXPECT_FALSE(WitnessBox::Open(*std::move(own)).ok());
}

}  // namespace
}  // namespace atl
