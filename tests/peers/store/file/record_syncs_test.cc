// SPDX-License-Identifier: Apache-2.0
//
// What is durable at each step of a record.
#include <functional>

#include "peers/store/file/layout.h"
#include "peers/store/file/record_dirs.h"
#include "tests/peers/store/contract/medium.h"
#include "tests/peers/store/contract/temp_dir.h"
#include "tests/peers/store/file/noted_syncs.h"
#include "xseg/base/executor.h"

namespace atl {
namespace {

namespace fs = std::filesystem;

class RecordSyncsTest : public testing::Test {
 protected:
  using Step = RecordDirs::Step;

  RecordDirs Open() {
    auto dirs = RecordDirs::Open(root_);
    CHECK(dirs.ok()) << dirs.status().ToString();
    return *std::move(dirs);
  }
  // `action` happens at each arrival of `dirs` at `step`.
  static void At(RecordDirs& dirs, Step step, std::function<void()> action) {
    dirs.set_hook([=](Step at) {
      if (at == step) action();
    });
  }
  fs::path KindPath() const { return fs::path(directory_.path()) / kRecordsDir / DirOf(kKind); }
  fs::path FloorPath() const { return fs::path(directory_.path()) / kFloorsDir / DirOf(kKind); }
  fs::path PathOf(const RecordKey& key) const { return KindPath() / FileNameOf(key.name); }
  RecordKey NewKey() { return RecordKey::Of(kKind, executor_.NewUuid()); }
  Uuid Op() { return executor_.NewUuid(); }

  static constexpr RecordKind kKind = RecordKind::kHeader;
  TempDir directory_;
  Dir root_ = *OpenDir(directory_.path());
  Executor executor_;
};

// P1 has linked a version and is stopped before it has synced anything that leads to it.
TEST_F(RecordSyncsTest, AttackR2WhoActsOnARecordMakesItDurableFirst) {
  const RecordKey key = NewKey();
  RecordDirs stopped = Open(), other = Open();
  int visible = 0;
  const auto look = [&](uint64_t version) {
    ++visible;
    const fs::path file = PathOf(key) / std::to_string(version);
    ForgetSyncs();
    EXPECT_EQ(other.Get(key, ReadFor::kLook)->version, version);
    EXPECT_FALSE(WasSynced(PathOf(key)));
    EXPECT_EQ(other.Get(key, ReadFor::kAct)->version, version);
    EXPECT_TRUE(WasSynced(file)) << version;
    EXPECT_TRUE(WasSynced(PathOf(key))) << version;
    EXPECT_TRUE(WasSynced(KindPath())) << version;
  };
  uint64_t version = 1;
  At(stopped, Step::kLinked, [&] { look(version); });
  ASSERT_TRUE(stopped.Swap(key, 0, Pattern(9, 0), Op()).ok());
  version = 2;
  ASSERT_TRUE(stopped.Swap(key, 1, Pattern(9, 1), Op()).ok());
  EXPECT_EQ(visible, 2);
}

// Nobody may act on a removal, either, that power could take back.
TEST_F(RecordSyncsTest, AttackR2WhoActsOnAbsenceMakesItDurableFirst) {
  const RecordKey key = NewKey();
  RecordDirs stopped = Open(), other = Open();
  const uint64_t version = *other.Swap(key, 0, Pattern(9, 0), Op());
  int visible = 0;
  At(stopped, Step::kLinked, [&] {
    ++visible;
    ForgetSyncs();
    EXPECT_CODE(Code::kNotFound, other.Get(key, ReadFor::kAct));
    EXPECT_TRUE(WasSynced(PathOf(key)));
  });
  ASSERT_OK(stopped.Remove(key, version, Op()));
  EXPECT_EQ(visible, 1);
  ForgetSyncs();
  EXPECT_CODE(Code::kNotFound, other.Get(key, ReadFor::kAct));
  EXPECT_TRUE(WasSynced(KindPath()));
}

// The marker beside an emptied directory says that it is no damage; it may not come back without
// it.
TEST_F(RecordSyncsTest, AttackM7ADirectoryIsEmptiedOnlyOnceThatIsKnownToBeOnPurpose) {
  const RecordKey key = NewKey();
  RecordDirs dirs = Open();
  const uint64_t version = *dirs.Swap(key, 0, Pattern(9, 0), Op());
  int visible = 0;
  At(dirs, Step::kEmptied, [&] {
    ++visible;
    EXPECT_TRUE(fs::exists(KindPath() / (FileNameOf(key.name) + ".none")));
    EXPECT_TRUE(WasSynced(KindPath()));
  });
  ForgetSyncs();
  ASSERT_OK(dirs.Remove(key, version, Op()));
  EXPECT_EQ(visible, 1);
}

// Who hears that an earlier try of his had won builds on it as well.
TEST_F(RecordSyncsTest, AttackR2ARetryThatFindsItsOwnSuccessMakesItDurable) {
  const RecordKey key = NewKey();
  const Uuid operation = Op();
  RecordDirs stopped = Open(), again = Open();
  int visible = 0;
  At(stopped, Step::kLinked, [&] {
    ++visible;
    ForgetSyncs();
    EXPECT_EQ(*again.Swap(key, 0, Pattern(9, 0), operation), 1u);
    EXPECT_TRUE(WasSynced(PathOf(key) / "1"));
    EXPECT_TRUE(WasSynced(PathOf(key)));
    EXPECT_TRUE(WasSynced(KindPath()));
  });
  ASSERT_TRUE(stopped.Swap(key, 0, Pattern(9, 0), operation).ok());
  EXPECT_EQ(visible, 1);
}

TEST_F(RecordSyncsTest, AttackM7ASwapSyncsTheVersionThenWhatLeadsToIt) {
  const RecordKey key = NewKey();
  RecordDirs dirs = Open();
  for (uint64_t version = 1; version <= 2; ++version) {
    bool whole_before_it_is_seen = false;
    At(dirs, Step::kLinked,
       [&] { whole_before_it_is_seen = WasSynced(PathOf(key) / std::to_string(version)); });
    ForgetSyncs();
    ASSERT_EQ(*dirs.Swap(key, version - 1, Pattern(9, version), Op()), version);
    EXPECT_TRUE(whole_before_it_is_seen);
    EXPECT_TRUE(WasSynced(PathOf(key)));
    EXPECT_EQ(WasSynced(KindPath()), version == 1);  // Only a new record has a new directory.
  }
}

// A version that was used is never used again, also when power fails in the middle of a removal:
// the floor is durable before the tombstone is seen, the tombstone before anything is taken away.
TEST_F(RecordSyncsTest, AttackR14TheFloorIsDurableBeforeARemovalIsSeen) {
  const RecordKey key = NewKey();
  RecordDirs dirs = Open();
  const uint64_t version = *dirs.Swap(key, 0, Pattern(9, 0), Op());
  int steps = 0;
  dirs.set_hook([&](Step at) {
    if (at == Step::kLinked) {
      ++steps;
      EXPECT_TRUE(fs::exists(FloorPath() / std::to_string(version + 1)));
      EXPECT_TRUE(WasSynced(FloorPath()));
    }
    if (at == Step::kTombstoneLinked) {
      ++steps;
      EXPECT_TRUE(WasSynced(PathOf(key) / std::to_string(version + 1)));
      EXPECT_TRUE(WasSynced(PathOf(key)));
    }
  });
  ForgetSyncs();
  ASSERT_OK(dirs.Remove(key, version, Op()));
  EXPECT_EQ(steps, 2);
}

}  // namespace
}  // namespace atl
