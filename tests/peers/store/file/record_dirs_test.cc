// SPDX-License-Identifier: Apache-2.0
//
// The steps of record swaps and removals in every order that an attacker of time can force.
#include "peers/store/file/record_dirs.h"

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <semaphore>
#include <thread>

#include "peers/store/file/layout.h"
#include "tests/peers/store/contract/medium.h"
#include "tests/peers/store/contract/temp_dir.h"

namespace atl {
namespace {

using Step = RecordDirs::Step;
constexpr Step kWriterSteps[] = {Step::kRead, Step::kVerified, Step::kLinked};
constexpr Step kRemoverSteps[] = {Step::kVerified, Step::kLinked, Step::kTombstoneLinked,
                                  Step::kEmptied, Step::kTombstoneUnlinked};

class RecordDirsTest : public testing::Test {
 protected:
  RecordDirsTest() : root_(*OpenDir(directory_.path())) {}
  RecordDirs Open() {
    auto dirs = RecordDirs::Open(root_);
    CHECK(dirs.ok()) << dirs.status().ToString();
    return *std::move(dirs);
  }
  Uuid NewUuid() {
    const uint64_t high = random_();
    return Uuid::FromRandom(high, random_());
  }
  RecordKey NewKey() { return RecordKey::Of(RecordKind::kName, NewUuid()); }
  // `action` happens once, when `dirs` first comes to `step`.
  static void StopAt(RecordDirs& dirs, Step step, std::function<void()> action) {
    auto done = std::make_shared<bool>(false);
    dirs.set_hook([=](Step at) {
      if (at != step || std::exchange(*done, true)) return;
      action();
    });
  }
  std::filesystem::path PathOf(const RecordKey& key) const {
    return std::filesystem::path(directory_.path()) / kRecordsDir / DirOf(key.kind) /
           FileNameOf(key.name);
  }

  TempDir directory_;
  Dir root_;
  std::mt19937_64 random_{TestSeed(14)};
};

// O1 is stopped, O2 publishes, O1 goes on.
TEST_F(RecordDirsTest, AttackF5AStoppedWriterNeverReplacesANewerVersion) {
  for (const Step step : {Step::kRead, Step::kVerified}) {
    for (const uint64_t further : {1, 2, 5, 20}) {
      const RecordKey key = NewKey();
      RecordDirs stopped = Open(), other = Open();
      ASSERT_TRUE(other.Swap(key, 0, Pattern(9, 0), NewUuid()).ok());
      StopAt(stopped, step, [&] {
        for (uint64_t i = 1; i <= further; ++i) {
          ASSERT_TRUE(other.Swap(key, i, Pattern(9, i), NewUuid()).ok());
        }
      });
      EXPECT_CODE(Code::kConflict, stopped.Swap(key, 1, Pattern(9, 99), NewUuid()));
      const auto now = other.Get(key, ReadFor::kLook);
      ASSERT_TRUE(now.ok());
      EXPECT_EQ(now->version, further + 1);
      EXPECT_EQ(now->payload, Pattern(9, further));
    }
  }
}

// The winner is stopped after its link and hears of it when others have built on it.
TEST_F(RecordDirsTest, AWinnerWhoseVersionWasReplacedKnowsThatItWon) {
  const RecordKey key = NewKey();
  RecordDirs stopped = Open(), other = Open();
  ASSERT_TRUE(other.Swap(key, 0, Pattern(9, 0), NewUuid()).ok());
  StopAt(stopped, Step::kLinked, [&] {
    for (uint64_t i = 2; i <= 5; ++i) {
      ASSERT_TRUE(other.Swap(key, i, Pattern(9, i), NewUuid()).ok());
    }
  });
  const auto made = stopped.Swap(key, 1, Pattern(9, 1), NewUuid());
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ(*made, 2u);
  EXPECT_EQ(other.Get(key, ReadFor::kLook)->version, 6u);
}

TEST_F(RecordDirsTest, AttackR14AStoppedWriterNeverBringsBackOrReplacesARemovedRecord) {
  for (const Step step : {Step::kRead, Step::kVerified}) {
    for (const bool remade : {false, true}) {
      for (const uint64_t first : {0, 1}) {  // It creates, or it changes version 1.
        const RecordKey key = NewKey();
        RecordDirs stopped = Open(), other = Open();
        uint64_t version = 0, last = 0;
        if (first == 1) {
          version = *other.Swap(key, 0, Pattern(9, 0), NewUuid());
        }
        StopAt(stopped, step, [&] {
          uint64_t now = version;
          if (now == 0) now = *other.Swap(key, 0, Pattern(9, 1), NewUuid());
          ASSERT_OK(other.Remove(key, now, NewUuid()));
          if (remade) last = *other.Swap(key, 0, Pattern(9, 2), NewUuid());
        });
        const auto made = stopped.Swap(key, version, Pattern(9, 99), NewUuid());
        const auto now = other.Get(key, ReadFor::kLook);
        if (remade) {
          EXPECT_CODE(Code::kConflict, made);
          ASSERT_TRUE(now.ok());
          EXPECT_EQ(now->version, last);
          EXPECT_EQ(now->payload, Pattern(9, 2));
        } else if (version == 0) {
          // It wanted an absent record, and absent it is.
          ASSERT_TRUE(made.ok()) << made.status().ToString();
          EXPECT_EQ(now->payload, Pattern(9, 99));
        } else {
          EXPECT_CODE(Code::kConflict, made);
          EXPECT_CODE(Code::kNotFound, now);
        }
      }
    }
  }
}

TEST_F(RecordDirsTest, AttackR14AStoppedRemoverNeverTakesAwayARecordThatWasMadeAnew) {
  for (const Step step : kRemoverSteps) {
    const RecordKey key = NewKey();
    RecordDirs stopped = Open(), other = Open();
    const uint64_t version = *other.Swap(key, 0, Pattern(9, 0), NewUuid());
    uint64_t remade = 0;
    StopAt(stopped, step, [&] {
      if (step == Step::kVerified) ASSERT_OK(other.Remove(key, version, NewUuid()));
      const auto made = other.Swap(key, 0, Pattern(9, 1), NewUuid());
      ASSERT_TRUE(made.ok()) << made.status().ToString();
      remade = *made;
    });
    (void)stopped.Remove(key, version, NewUuid());
    const auto now = other.Get(key, ReadFor::kAct);
    ASSERT_TRUE(now.ok()) << static_cast<int>(step) << ": " << now.status().ToString();
    EXPECT_EQ(now->version, remade);
    EXPECT_EQ(now->payload, Pattern(9, 1));
  }
}

// Both are stopped: the writer between its check and its link, the remover between its steps.
TEST_F(RecordDirsTest, AttackR14AWriterAndARemoverStoppedIntoEachOther) {
  for (const Step writer_step : kWriterSteps) {
    for (const Step remover_step : kRemoverSteps) {
      const RecordKey key = NewKey();
      RecordDirs writer = Open(), remover = Open(), other = Open();
      const uint64_t version = *other.Swap(key, 0, Pattern(9, 0), NewUuid());
      Result<uint64_t> wrote = Status(Code::kInternal, "");
      const Uuid operation = NewUuid();
      StopAt(remover, remover_step, [&] {
        StopAt(writer, writer_step, [&] { (void)other.Sweep(false); });
        wrote = writer.Swap(key, version, Pattern(9, 7), operation);
      });
      const Status removed = remover.Remove(key, version, NewUuid());
      const auto now = other.Get(key, ReadFor::kLook);
      SCOPED_TRACE(removed.ToString());
      // At most one of the two has won, and what is there says which. A remover whose tombstone
      // was cleared by another one hears that the record is gone.
      EXPECT_FALSE(removed.ok() && wrote.ok());
      if (wrote.ok()) {
        ASSERT_TRUE(now.ok());
        EXPECT_EQ(now->operation, operation);
      } else {
        EXPECT_CODE(Code::kNotFound, now);
        EXPECT_TRUE(removed.ok() || removed.code() == Code::kNotFound);
      }
    }
  }
}

// The writer has read, then the remover runs up to a step and is stopped there; the writer goes on
// to its end, and only then the remover.
TEST_F(RecordDirsTest, AttackR14AWriterGoesOnWhileARemoverIsStopped) {
  for (const Step remover_step : kRemoverSteps) {
    const RecordKey key = NewKey();
    RecordDirs writer = Open(), remover = Open(), other = Open();
    const uint64_t version = *other.Swap(key, 0, Pattern(9, 0), NewUuid());
    std::binary_semaphore stopped(0), go_on(0);
    Status removed;
    std::thread thread;
    StopAt(remover, remover_step, [&] {
      stopped.release();
      go_on.acquire();
    });
    StopAt(writer, Step::kRead, [&] {
      const Uuid operation = NewUuid();
      thread = std::thread([&, operation] { removed = remover.Remove(key, version, operation); });
      stopped.acquire();
    });
    const Uuid operation = NewUuid();
    const auto wrote = writer.Swap(key, version, Pattern(9, 7), operation);
    go_on.release();
    thread.join();
    const auto now = other.Get(key, ReadFor::kLook);
    SCOPED_TRACE(static_cast<int>(remover_step));
    EXPECT_NE(removed.ok(), wrote.ok()) << removed.ToString();
    if (wrote.ok()) {
      ASSERT_TRUE(now.ok());
      EXPECT_EQ(now->operation, operation);
    } else {
      EXPECT_CODE(Code::kNotFound, now);
    }
  }
}

TEST_F(RecordDirsTest, ARemovalLeavesNothingBehind) {
  RecordDirs dirs = Open();
  const RecordKey key = NewKey();
  const uint64_t version = *dirs.Swap(key, 0, Pattern(9, 0), NewUuid());
  ASSERT_OK(dirs.Remove(key, version, NewUuid()));
  EXPECT_TRUE(std::filesystem::is_empty(PathOf(key).parent_path()));
}

TEST_F(RecordDirsTest, AnEmptyDirectoryIsDamageAndNotAbsence) {
  RecordDirs dirs = Open();
  const RecordKey key = NewKey();
  ASSERT_TRUE(dirs.Swap(key, 0, Pattern(9, 0), NewUuid()).ok());
  std::filesystem::remove(PathOf(key) / "1");
  const auto read = dirs.Get(key, ReadFor::kLook);
  EXPECT_CODE(Code::kCorrupt, read);
  EXPECT_NE(read.status().message().find(PathOf(key).string()), std::string::npos);
  EXPECT_CODE(Code::kCorrupt, dirs.Swap(key, 0, Pattern(9, 0), NewUuid()));
}

TEST_F(RecordDirsTest, EveryFlippedBitAndEveryLengthIsDetectedAndNamed) {
  RecordDirs dirs = Open();
  const RecordKey key = NewKey();
  ASSERT_TRUE(dirs.Swap(key, 0, Pattern(40, 0), NewUuid()).ok());
  const auto path = PathOf(key) / "1";
  std::ifstream in(path, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  const auto put = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  };
  for (size_t bit = 0; bit < good.size() * 8; bit += 3) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    put(bad);
    const auto read = dirs.Get(key, ReadFor::kLook);
    ASSERT_EQ(read.code(), Code::kCorrupt) << bit;
    ASSERT_NE(read.status().message().find(path.string()), std::string::npos);
  }
  for (size_t length = 0; length < good.size(); length += 7) {
    put(good.substr(0, length));
    ASSERT_EQ(dirs.Get(key, ReadFor::kLook).code(), Code::kCorrupt) << length;
  }
  put(good + "x");
  EXPECT_CODE(Code::kCorrupt, dirs.Get(key, ReadFor::kLook));
  put(good);
  EXPECT_TRUE(dirs.Get(key, ReadFor::kLook).ok());
  // A right file in the wrong place.
  const RecordKey elsewhere = NewKey();
  ASSERT_TRUE(dirs.Swap(elsewhere, 0, Pattern(40, 0), NewUuid()).ok());
  std::filesystem::copy_file(path, PathOf(elsewhere) / "2");
  EXPECT_CODE(Code::kCorrupt, dirs.Get(elsewhere, ReadFor::kLook));
}

TEST_F(RecordDirsTest, ThingsThatAreNoFilesAreReportedByName) {
  RecordDirs dirs = Open();
  const RecordKey link = NewKey(), folder = NewKey(), file = NewKey(), fifo = NewKey();
  for (const RecordKey& key : {link, folder, fifo}) {
    ASSERT_TRUE(dirs.Swap(key, 0, Pattern(9, 0), NewUuid()).ok());
  }
  std::filesystem::create_symlink("1", PathOf(link) / "2");
  std::filesystem::create_directory(PathOf(folder) / "2");
  ASSERT_EQ(mkfifo((PathOf(fifo) / "2").c_str(), 0600), 0);
  std::ofstream(PathOf(file)) << "x";
  for (const RecordKey& key : {link, folder, file, fifo}) {
    const auto read = dirs.Get(key, ReadFor::kAct);
    EXPECT_CODE(Code::kCorrupt, read);
    EXPECT_NE(read.status().message().find(PathOf(key).string()), std::string::npos);
  }
}

TEST_F(RecordDirsTest, ForeignNamesAreSkippedAndKept) {
  RecordDirs dirs = Open();
  const RecordKey key = NewKey();
  ASSERT_TRUE(dirs.Swap(key, 0, Pattern(9, 0), NewUuid()).ok());
  const auto above = PathOf(key).parent_path();
  for (const char* name : {"README", "00", ".nfs0001", "ABCDEF"}) {
    std::ofstream(above / name) << "x";
  }
  std::ofstream(PathOf(key) / "note") << "x";
  EXPECT_EQ(dirs.List(key.kind)->size(), 1u);
  EXPECT_TRUE(dirs.Get(key, ReadFor::kAct).ok());
  EXPECT_TRUE(dirs.Swap(key, 1, Pattern(9, 1), NewUuid()).ok());
  ASSERT_TRUE(dirs.Sweep(false).ok());
  EXPECT_TRUE(std::filesystem::exists(above / "README"));
  EXPECT_TRUE(std::filesystem::exists(PathOf(key) / "note"));
}

// NFS renames a file that is removed while somebody has it open, and again if that is removed.
TEST_F(RecordDirsTest, AttackM3WhatNfsKeepsOfARemovedFileIsNeitherARecordNorTouched) {
  RecordDirs dirs = Open();
  const RecordKey key = NewKey();
  const uint64_t version = *dirs.Swap(key, 0, Pattern(9, 0), NewUuid());
  const auto kept = PathOf(key) / ".nfs0001";
  std::ofstream(kept) << "x";
  ASSERT_OK(dirs.Remove(key, version, NewUuid()));
  EXPECT_TRUE(std::filesystem::exists(kept));
  EXPECT_CODE(Code::kNotFound, dirs.Get(key, ReadFor::kAct));
  ASSERT_TRUE(dirs.Sweep(false).ok());
  EXPECT_TRUE(std::filesystem::exists(kept));
  const auto remade = dirs.Swap(key, 0, Pattern(9, 1), NewUuid());
  ASSERT_TRUE(remade.ok()) << remade.status().ToString();
  EXPECT_GT(*remade, version);
}

// Versions, each with the operation that was told to have made it.
TEST_F(RecordDirsTest, AttackF5ManyThreadsNeverWinTheSameVersionTwice) {
  constexpr int kThreads = 4, kRounds = 60;
  const RecordKey key = NewKey();
  std::mutex mutex;
  std::map<uint64_t, Uuid> won;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, seed = random_()] {
      RecordDirs dirs = Open();
      std::mt19937_64 random(seed);
      for (int round = 0; round < kRounds; ++round) {
        const auto now = dirs.Get(key, ReadFor::kLook);
        ASSERT_TRUE(now.ok() || now.code() == Code::kNotFound) << now.status().ToString();
        const uint64_t high = random();
        const Uuid operation = Uuid::FromRandom(high, random());
        const uint64_t version = now.ok() ? now->version : 0;
        if (version > 0 && random() % 4 == 0) {
          const Status removed = dirs.Remove(key, version, operation);
          ASSERT_TRUE(removed.ok() || removed.code() == Code::kConflict ||
                      removed.code() == Code::kNotFound)
              << removed.ToString();
          continue;
        }
        const auto made = dirs.Swap(key, version, Pattern(50, high), operation);
        ASSERT_TRUE(made.ok() || made.code() == Code::kConflict) << made.status().ToString();
        if (!made.ok()) continue;
        const std::lock_guard lock(mutex);
        ASSERT_TRUE(won.emplace(*made, operation).second) << "version " << *made;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(won.size(), 20u);
}

// Writers are killed at any point; whatever they leave, the record is readable, what was
// acknowledged is in it, and a sweep takes the leavings away.
TEST_F(RecordDirsTest, AttackF5WritersKilledAnywhereLeaveARecordThatCountsRight) {
  constexpr int kKills = 15;
  const RecordKey key = NewKey();
  uint64_t acknowledged = 0;
  for (int kill_round = 0; kill_round < kKills; ++kill_round) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      RecordDirs dirs = Open();
      for (uint64_t i = 0;; ++i) {
        const auto now = dirs.Get(key, ReadFor::kLook);
        const uint64_t version = now.ok() ? now->version : 0;
        const Uuid operation = Uuid::FromRandom(getpid(), i);
        if (!dirs.Swap(key, version, Pattern(50, i), operation).ok()) _exit(1);
        if (write(pipe_ends[1], "x", 1) != 1) _exit(2);
      }
    }
    usleep(20'000 + random_() % 50'000);
    kill(child, SIGKILL);
    int how = 0;
    ASSERT_EQ(waitpid(child, &how, 0), child);
    ASSERT_TRUE(WIFSIGNALED(how));
    close(pipe_ends[1]);
    char byte;
    while (read(pipe_ends[0], &byte, 1) == 1) ++acknowledged;
    close(pipe_ends[0]);
    const auto now = Open().Get(key, ReadFor::kAct);
    if (acknowledged == 0) continue;
    ASSERT_TRUE(now.ok()) << now.status().ToString();
    // One swap of each child may have happened without being told.
    ASSERT_GE(now->version, acknowledged);
    ASSERT_LE(now->version, acknowledged + kill_round + 1);
  }
  ASSERT_GT(acknowledged, 0u);
  RecordDirs dirs = Open();
  ASSERT_TRUE(dirs.Sweep(false).ok());
  EXPECT_EQ(*dirs.Sweep(true), 0u);
  const std::filesystem::directory_iterator left(PathOf(key));
  EXPECT_EQ(std::distance(begin(left), end(left)), 1);
}

}  // namespace
}  // namespace atl
