// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "peers/store/filter/checked_filter.h"
#include "peers/store/filter/delay_filter.h"
#include "peers/store/filter/error_filter.h"
#include "peers/store/filter/null_filter.h"
#include "peers/store/memory/memory_store.h"
#include "peers/store/registry.h"
#include "tests/peers/store/contract/medium.h"
#include "xseg/base/test_env.h"

namespace atl {
namespace {

class Filters : public testing::Test {
 protected:
  std::unique_ptr<Store> Memory() {
    return std::make_unique<MemoryStore>(env, MemoryStoreOptions{});
  }
  TestEnv env;
  const BlobId blob{.owner = Uuid::FromRandom(1, 2), .epoch = 1};
  const LogId log = LogId::Journal(Uuid::FromRandom(1, 2), 1, 1);
};

TEST_F(Filters, EveryOperationHasANameThatIsUnderstood) {
  for (size_t i = 0; i < kStoreOpCount; ++i) {
    const auto op = static_cast<StoreOp>(i);
    ASSERT_TRUE(ParseStoreOp(NameOf(op)).ok());
    EXPECT_EQ(*ParseStoreOp(NameOf(op)), op);
  }
  EXPECT_EQ(ParseStoreOps("write,sync")->count(), 2u);
  EXPECT_EQ(ParseStoreOps("write,snyc").code(), Code::kInvalid);
}

TEST_F(Filters, TheNthCallOfTheChosenKindFailsWithTheChosenCode) {
  ErrorFilterOptions options{.code = Code::kNoSpace, .ops = *ParseStoreOps("write"), .nth = 3};
  ErrorFilter store(Memory(), options);
  ASSERT_OK(env.Run(store.Adopt(blob, 0)));
  for (int i = 1; i <= 5; ++i) {
    const Status status = env.Run(store.Write(blob, i * 512, Pattern(512, i), {}));
    EXPECT_EQ(status.code(), i == 3 ? Code::kNoSpace : Code::kOk);
    Bytes now(512);
    ASSERT_OK(env.Run(store.Read(blob, i * 512, now)));
    EXPECT_EQ(IsAllZero(now), i == 3);
  }
  options.when = FailWhen::kAfter;
  options.nth = 1;
  store.SetOptions(options);
  EXPECT_FALSE(env.Run(store.Write(blob, 0, Pattern(512, 9), {})).ok());
  Bytes now(512);
  ASSERT_OK(env.Run(store.Read(blob, 0, now)));
  EXPECT_EQ(now, Pattern(512, 9));
}

TEST_F(Filters, TheSameSeedFailsTheSameCalls) {
  std::vector<std::vector<bool>> runs;
  for (const uint64_t seed : {7, 7, 8}) {
    ErrorFilter store(Memory(), {.per_million = 300'000, .seed = seed});
    runs.emplace_back();
    for (int i = 0; i < 100; ++i) runs.back().push_back(env.Run(store.GetCapacity()).ok());
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_NE(runs[0], runs[2]);
}

TEST_F(Filters, ADelayTakesTime) {
  DelayFilter store(env, Memory(), {.min_ns = kSecond, .max_ns = 2 * kSecond});
  const int64_t before = env.BootNs();
  ASSERT_TRUE(env.Run(store.GetCapacity()).ok());
  EXPECT_GE(env.BootNs() - before, 2 * kSecond);
}

TEST_F(Filters, NullDropsTheDataOfBlobsAndKeepsAllElse) {
  NullFilter store(Memory());
  EXPECT_THAT(store.info().location, testing::HasSubstr("data is dropped"));
  Bytes now(4096);
  // As any store: nothing that is absent is zeros, and nobody writes to what is not his.
  EXPECT_EQ(env.Run(store.Write(blob, 0, Pattern(4096, 1), {})).code(), Code::kFenced);
  EXPECT_FALSE(store.TryWrite(blob, 0, Pattern(4096, 1)));
  EXPECT_EQ(env.Run(store.Read(blob, 0, now)).code(), Code::kNotFound);
  ASSERT_OK(env.Run(store.Adopt(blob, 0)));
  ASSERT_OK(env.Run(store.Write(blob, 0, Pattern(4096, 1), {})));
  EXPECT_TRUE(store.TryWrite(blob, 8192, Pattern(4096, 2)));
  EXPECT_FALSE(store.TryWrite(blob, kMaxVolumeSize - 1, Pattern(4096, 2)));
  EXPECT_EQ(env.Run(store.Write(blob, kMaxVolumeSize - 1, Pattern(4096, 1), {})).code(),
            Code::kInvalid);
  ASSERT_OK(env.Run(store.Read(blob, 0, now)));
  EXPECT_TRUE(IsAllZero(now));
  now = Pattern(4096, 3);
  EXPECT_TRUE(store.TryRead(blob, 8192, now));
  EXPECT_TRUE(IsAllZero(now));
  EXPECT_EQ(*env.Run(store.Usage(blob)), 0u);

  const BlobId copy{.owner = Uuid::FromRandom(3, 4), .epoch = 1};
  ASSERT_OK(env.Run(store.Adopt(copy, 0)));
  ASSERT_OK(env.Run(store.Copy(blob, copy, {0, 4096})));
  EXPECT_EQ(env.Run(store.Copy({.owner = Uuid::FromRandom(5, 6)}, copy, {0, 4096})).code(),
            Code::kNotFound);
  ASSERT_OK(env.Run(store.Seal(blob)));
  EXPECT_EQ(env.Run(store.Write(blob, 0, Pattern(4096, 1), {})).code(), Code::kFenced);
  EXPECT_FALSE(store.TryWrite(blob, 0, Pattern(4096, 1)));

  ASSERT_OK(env.Run(store.AdoptLog(log, 0)));
  ASSERT_OK(env.Run(store.Append(log, 0, Pattern(512, 4))));
  now.resize(512);
  EXPECT_EQ(*env.Run(store.ReadLog(log, 0, now)), 512u);
  EXPECT_EQ(now, Pattern(512, 4));
}

class Rules : public Filters {
 protected:
  Rules() : store(Memory(), [this](const std::string& what) { broken.push_back(what); }) {}
  std::vector<std::string> broken;
  CheckedFilter store;
};

TEST_F(Rules, AWriteNeedsAnAdopt) {
  (void)env.Run(store.Write(blob, 0, Pattern(512, 1), {}));
  EXPECT_EQ(broken.size(), 1u);
  ASSERT_OK(env.Run(store.Adopt(blob, 0)));
  ASSERT_OK(env.Run(store.Write(blob, 0, Pattern(512, 1), {})));
  EXPECT_EQ(broken.size(), 1u);
  env.Run([](Store& s, BlobId id) -> Task<int> {
    co_await s.Disown(id);
    co_return 0;
  }(store, blob));
  (void)env.Run(store.Punch(blob, {0, 512}));
  EXPECT_EQ(broken.size(), 2u);
}

TEST_F(Rules, AppendsAreContiguousAndRepeatTheSameBytes) {
  ASSERT_OK(env.Run(store.AdoptLog(log, 0)));
  ASSERT_OK(env.Run(store.Append(log, 0, Pattern(100, 1))));
  ASSERT_OK(env.Run(store.Append(log, 100, Pattern(100, 2))));
  ASSERT_OK(env.Run(store.Append(log, 100, Pattern(100, 2))));
  EXPECT_TRUE(broken.empty());
  (void)env.Run(store.Append(log, 100, Pattern(100, 3)));
  EXPECT_EQ(broken.size(), 1u);
  (void)env.Run(store.Append(log, 201, Pattern(100, 3)));
  EXPECT_EQ(broken.size(), 2u);
}

TEST_F(Rules, SizesKeepToTheLimitsAndNothingComesAfterClose) {
  Bytes large(kMaxStoreIo + 1);
  (void)env.Run(store.Read(blob, 0, large));
  EXPECT_EQ(broken.size(), 1u);
  env.Run([](Store& s) -> Task<int> {
    co_await s.Close();
    co_return 0;
  }(store));
  (void)env.Run(store.GetCapacity());
  EXPECT_EQ(broken.size(), 2u);
}

TEST_F(Rules, CountsCallsBytesAndErrors) {
  ASSERT_OK(env.Run(store.Adopt(blob, 0)));
  for (int i = 0; i < 3; ++i) ASSERT_OK(env.Run(store.Write(blob, 0, Pattern(1'000, i), {})));
  EXPECT_EQ(store.count(StoreOp::kWrite).calls, 3u);
  EXPECT_EQ(store.stored_bytes(), 3'000u);
  (void)env.Run(store.Read({.owner = Uuid::FromRandom(9, 9)}, 0, {}));
  EXPECT_EQ(store.count(StoreOp::kRead).errors, 1u);
}

TEST_F(Filters, ABrokenRuleEndsTheProcess) {
  CheckedFilter store(Memory());
  EXPECT_DEATH((void)env.Run(store.Write(blob, 0, Pattern(512, 1), {})), "not adopted");
}

TEST(Registry, NamesWhatItDoesNotKnowAndWhatThereIs) {
  Executor executor;
  const auto message = [&](const StoreSpec& config) {
    const auto store = OpenStore(config, executor, true);
    EXPECT_EQ(store.code(), Code::kInvalid);
    return std::string(store.status().message());
  };
  EXPECT_EQ(message({.name = "a", .driver = "rodas"}),
            "store a: driver 'rodas' is unknown; there are: file, memory");
  EXPECT_EQ(message({.name = "a", .driver = "memory", .options = {{"filters", "eror"}}}),
            "store a: filter 'eror' is unknown; there are: checked, delay, error, null");
  EXPECT_NE(message({.name = "a", .driver = "memory", .options = {{"pth", "/x"}}})
                .find("unknown option 'pth'; there are: capacity, checksum, durable_at_ack"),
            std::string::npos);
  EXPECT_NE(message({.name = "a", .driver = "memory", .options = {{"error.nth", "1"}}})
                .find("'error.nth' is for a filter that is not used"),
            std::string::npos);
  EXPECT_NE(message({.name = "a",
                     .driver = "memory",
                     .options = {{"filters", "error"}, {"error.code", "sad"}}})
                .find("no error is called 'sad'"),
            std::string::npos);
  EXPECT_NE(message({.name = "a", .driver = "file"}).find("a file store needs one"),
            std::string::npos);
  EXPECT_NE(message({.name = "a", .driver = "memory", .options = {{"capacity", "12X"}}})
                .find("'12X' is no number"),
            std::string::npos);
}

TEST(Registry, StacksFiltersInTheOrderOfTheConfiguration) {
  Executor executor;
  const StoreSpec config{.name = "a",
                         .driver = "memory",
                         .options = {{"filters", "checked,error"},
                                     {"capacity", "1G"},
                                     {"error.ops", "get_capacity"},
                                     {"error.nth", "2"}}};
  auto store = OpenStore(config, executor, true);
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  EXPECT_EQ((*store)->info().name, "a");
  const auto capacity = executor.RunUntilDone((*store)->GetCapacity());
  ASSERT_TRUE(capacity.ok());
  EXPECT_EQ(capacity->total_bytes, kGiB);
  EXPECT_EQ(executor.RunUntilDone((*store)->GetCapacity()).code(), Code::kIo);
}

}  // namespace
}  // namespace atl
