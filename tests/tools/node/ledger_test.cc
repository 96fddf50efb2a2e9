// SPDX-License-Identifier: Apache-2.0
#include "tools/node/ledger.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <set>

#include "tools/node/heirloom.h"

namespace atl {
namespace {

Uuid Number(uint64_t number) {
  Uuid uuid;
  std::memcpy(uuid.bytes.data(), &number, sizeof(number));
  return uuid;
}
Holding BlobOf(uint64_t number) { return {.blob = BlobId{Number(number), 1, 0}}; }

Fd Copy(const Ledger& ledger) { return Fd(fcntl(ledger.fd(), F_DUPFD_CLOEXEC, 0)); }

TEST(LedgerTest, AnotherProcessFindsWhatCounts) {
  auto ledger = Ledger::Create();
  ASSERT_TRUE(ledger.ok());
  const Holding log{.log = LogId::Journal(Number(7), 3, 9)};
  const Holding held{.resource = Number(8)};
  EXPECT_TRUE(ledger->Note("store a", BlobOf(1)).ok());
  EXPECT_TRUE(ledger->Note("store a", log).ok());
  EXPECT_TRUE(ledger->Note("store b", BlobOf(1)).ok());
  EXPECT_TRUE(ledger->Note("composer", held).ok());
  EXPECT_TRUE(ledger->Drop("store a", BlobOf(1)).ok());
  EXPECT_TRUE(ledger->Drop("store a", BlobOf(2)).ok());
  auto again = Ledger::Load(Copy(*ledger));
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->of("store a"), std::set<Holding>{log});
  EXPECT_EQ(again->of("store b"), std::set<Holding>{BlobOf(1)});
  EXPECT_EQ(again->of("composer"), std::set<Holding>{held});
  EXPECT_TRUE(again->of("nobody").empty());
  // And goes on with it.
  EXPECT_TRUE(again->Note("store b", BlobOf(2)).ok());
  auto third = Ledger::Load(Copy(*again));
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(third->of("store b").size(), 2u);
}

TEST(LedgerTest, AnEntryThatIsNotWholeDoesNotCountAndIsWrittenOver) {
  auto ledger = Ledger::Create();
  ASSERT_TRUE(ledger.ok());
  ASSERT_TRUE(ledger->Note("store a", BlobOf(1)).ok());
  struct stat before;
  ASSERT_EQ(fstat(ledger->fd(), &before), 0);
  ASSERT_TRUE(ledger->Note("store a", BlobOf(2)).ok());
  struct stat after;
  ASSERT_EQ(fstat(ledger->fd(), &after), 0);
  for (off_t size = before.st_size; size < after.st_size; ++size) {
    ASSERT_EQ(ftruncate(ledger->fd(), size), 0);
    auto again = Ledger::Load(Copy(*ledger));
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(again->of("store a"), std::set<Holding>{BlobOf(1)});
    struct stat cut;
    ASSERT_EQ(fstat(ledger->fd(), &cut), 0);
    EXPECT_EQ(cut.st_size, before.st_size) << "remains, which could be taken for entries";
    ASSERT_TRUE(again->Note("store a", BlobOf(3)).ok());
    auto third = Ledger::Load(Copy(*again));
    ASSERT_TRUE(third.ok());
    EXPECT_EQ(third->of("store a").size(), 2u);
  }
}

TEST(LedgerTest, ItStaysSmallHoweverMuchIsAdoptedAndGivenUp) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  auto ledger = Ledger::Create();
  ASSERT_TRUE(ledger.ok());
  std::set<Holding> expected;
  for (int i = 0; i < 100'000; ++i) {
    const Holding what = BlobOf(random() % 100);
    if (random() % 2 == 0) {
      ASSERT_TRUE(ledger->Note("store a", what).ok());
      expected.insert(what);
    } else {
      ASSERT_TRUE(ledger->Drop("store a", what).ok());
      expected.erase(what);
    }
  }
  auto again = Ledger::Load(Copy(*ledger));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->of("store a"), expected);
  struct stat info;
  ASSERT_EQ(fstat(ledger->fd(), &info), 0);
  EXPECT_GT(info.st_size, 1'500'000) << "nothing was written anew";
  EXPECT_LT(info.st_blocks * 512, 1'400'000);
}

TEST(LedgerTest, WhatIsNoLedgerIsRefused) {
  const Fd empty(open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_EQ(Ledger::Load(Fd(dup(empty.get()))).code(), Code::kCorrupt);
  auto ledger = Ledger::Create();
  ASSERT_TRUE(ledger.ok());
  const uint64_t far = 1 << 30;
  ASSERT_EQ(pwrite(ledger->fd(), &far, sizeof(far), 0), 8);
  EXPECT_EQ(Ledger::Load(Copy(*ledger)).code(), Code::kCorrupt);
}

TEST(HeirloomTest, ReachesTheSuccessor) {
  Heirloom heirloom;
  for (uint64_t i = 0; i < 50'000; ++i) heirloom.holdings.push_back(BlobOf(i));
  auto file = MakeHeirloomFile(heirloom);
  ASSERT_TRUE(file.ok());
  auto read = ReadHeirloomFile(file->get());
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->holdings, heirloom.holdings);
  ASSERT_EQ(ftruncate(file->get(), 99), 0);
  EXPECT_EQ(ReadHeirloomFile(file->get()).code(), Code::kCorrupt);
}

}  // namespace
}  // namespace atl
