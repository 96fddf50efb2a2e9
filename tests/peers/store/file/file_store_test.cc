// SPDX-License-Identifier: Apache-2.0
//
// What is particular to the file driver: killed processes, damaged and hostile directories, many
// files.
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "peers/store/file/probe.h"
#include "peers/store/sha256.h"
#include "tests/peers/store/file/file_store_fixture.h"

namespace atl {
namespace {

namespace fs = std::filesystem;

TEST_F(FileStoreTest, OpensOnlyWhatIsAStoreAndMakesOneOnlyWhereNothingElseIs) {
  EXPECT_CODE(Code::kNotFound, TryOpen());
  fs::create_directory(path());
  EXPECT_CODE(Code::kNotFound, TryOpen());
  std::ofstream(path() + "/thesis.txt") << "x";
  EXPECT_CODE(Code::kInvalid, TryOpen({.create = true}));
  fs::remove(path() + "/thesis.txt");
  const Uuid uuid = Open()->info().uuid;
  EXPECT_FALSE(uuid.is_zero());
  EXPECT_EQ(Open()->info().uuid, uuid);
  EXPECT_EQ((*TryOpen())->info().uuid, uuid);
}

TEST_F(FileStoreTest, ADamagedSuperblockOrMarkerIsNamed) {
  Open();
  const std::string superblock = path() + "/records/superblock/" + std::string(32, '0') + "/1";
  const std::string marker = path() + "/" + kMarkerFile;
  fs::copy(superblock, directory.path() + "/kept");
  std::ofstream(superblock, std::ios::app) << "x";
  const auto damaged = TryOpen();
  EXPECT_CODE(Code::kCorrupt, damaged);
  EXPECT_NE(damaged.status().message().find(superblock), std::string::npos);
  fs::copy(directory.path() + "/kept", superblock, fs::copy_options::overwrite_existing);
  std::ofstream(marker) << "format 9";
  EXPECT_CODE(Code::kUnsupported, TryOpen());
}

TEST_F(FileStoreTest, ProbesWhatTheFileSystemCanDo) {
  auto store = Open();
  const Capabilities& can = store->info().capabilities;
  EXPECT_TRUE(can.holds_records);
  EXPECT_FALSE(can.durable_at_ack);
  EXPECT_EQ(can.extents, Support::kNative);
  EXPECT_NE(can.punch, Support::kNone);
}

// Acknowledged writes survive the kill, and the parent may adopt as soon as the child is gone.
TEST_F(FileStoreTest, AttackF2AKilledHoldersWritesAreThereWhenItsSuccessorAdopts) {
  const BlobId blob = NewBlob();
  const LogId log = LogId::Journal(executor.NewUuid(), 1, 1);
  auto store = Open();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    Executor own;
    auto mine = FileStore::Open(own, {.path = path(), .reserve_bytes = 0});
    if (!mine.ok() || !own.RunUntilDone((*mine)->Adopt(blob, 0)).ok()) _exit(1);
    if (!own.RunUntilDone((*mine)->AdoptLog(log, 0)).ok()) _exit(2);
    for (uint64_t i = 0;; ++i) {
      const Bytes data = Pattern(4'096, i);
      if (!own.RunUntilDone((*mine)->Write(blob, i * 4'096, data, {})).ok()) _exit(3);
      if (!own.RunUntilDone((*mine)->Append(log, i * 16, ConstSpan(data).first(16))).ok()) _exit(4);
      if (write(ends[1], "x", 1) != 1) _exit(5);
    }
  }
  close(ends[1]);
  uint64_t acknowledged = 0;
  char byte;
  while (acknowledged < 50 && read(ends[0], &byte, 1) == 1) ++acknowledged;
  EXPECT_CODE(Code::kBusy, Run(store->Adopt(blob, 0)));
  EXPECT_CODE(Code::kBusy, Run(store->AdoptLog(log, 0)));
  kill(child, SIGKILL);
  int how = 0;
  ASSERT_EQ(waitpid(child, &how, 0), child);
  ASSERT_TRUE(WIFSIGNALED(how)) << WEXITSTATUS(how);
  while (read(ends[0], &byte, 1) == 1) ++acknowledged;
  close(ends[0]);
  ASSERT_OK(Run(store->Adopt(blob, kSecond)));
  ASSERT_OK(Run(store->AdoptLog(log, kSecond)));
  for (uint64_t i = 0; i < acknowledged; ++i) {
    Bytes now(4'096), entry(16);
    ASSERT_OK(Run(store->Read(blob, i * 4'096, now)));
    ASSERT_EQ(now, Pattern(4'096, i));
    ASSERT_EQ(*Run(store->ReadLog(log, i * 16, entry)), 16u);
    ASSERT_TRUE(std::equal(entry.begin(), entry.end(), now.begin()));
  }
  EXPECT_GE(acknowledged, 50u);
  Close(*store);
}

// A request in flight keeps the description of its file, and with it the lock, when the process and
// its lock on the blob are long gone. Here a description of our own takes the place of the request.
TEST_F(FileStoreTest, AttackF2AnAdoptWaitsForWhatIsStillInFlightOnAnyFile) {
  const BlobId blob = NewBlob();
  auto first = Open(), second = Open();
  ASSERT_OK(Run(first->Adopt(blob, 0)));
  ASSERT_OK(Run(first->Write(blob, 3 * kTiB, Pattern(512, 1), {})));
  Close(*first);
  {
    const Fd request(open((BlobPath(blob) / "3").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(*TryLock(request.get(), "3"));
    EXPECT_CODE(Code::kBusy, Run(second->Adopt(blob, 20 * kMillisecond)));
  }
  EXPECT_OK(Run(second->Adopt(blob, 0)));
  Close(*second);
}

// The lock is on the very descriptor that is written through.
TEST_F(FileStoreTest, AttackF2EveryFileThatIsWrittenIsLocked) {
  const BlobId blob = NewBlob();
  auto store = Open();
  ASSERT_OK(Run(store->Adopt(blob, 0)));
  ASSERT_OK(Run(store->Write(blob, 2 * kTiB, Pattern(512, 1), {})));
  for (const char* name : {"2", "head"}) {
    const Fd other(open((BlobPath(blob) / name).c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_FALSE(*TryLock(other.get(), name)) << name;
  }
  Close(*store);
}

TEST_F(FileStoreTest, AttackF4ASealStopsDescriptorsThatWereOpenBefore) {
  auto store = Open();
  if (store->info().capabilities.seal != SealKind::kImmutableFlag) {
    GTEST_SKIP() << "this file system has no immutable flag for us";
  }
  const BlobId blob = NewBlob();
  ASSERT_OK(Run(store->Adopt(blob, 0)));
  ASSERT_OK(Run(store->Write(blob, 0, Pattern(4'096, 1), {})));
  const Fd stale(open((BlobPath(blob) / "0").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_OK(Run(store->Seal(blob)));
  EXPECT_EQ(pwrite(stale.get(), "x", 1, 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(open((BlobPath(blob) / "9").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), -1);
  EXPECT_OK(Run(store->Remove(blob)));
  EXPECT_FALSE(fs::exists(BlobPath(blob)));
  Close(*store);
}

// Whoever seals may die in the middle of it: the directory is sealed, its files are not.
TEST_F(FileStoreTest, AttackF4ABlobWhoseSealWasOnlyBegunIsNotAdopted) {
  auto store = Open();
  if (store->info().capabilities.seal != SealKind::kImmutableFlag) {
    GTEST_SKIP() << "this file system has no immutable flag for us";
  }
  const BlobId blob = NewBlob();
  ASSERT_OK(Run(store->Adopt(blob, 0)));
  ASSERT_OK(Run(store->Write(blob, 0, Pattern(4'096, 1), {})));
  Run(store->Disown(blob));
  const Dir dir = *OpenDir(BlobPath(blob));
  ASSERT_OK(SetImmutable(dir.get(), true, dir.path));
  EXPECT_CODE(Code::kFenced, Run(store->Adopt(blob, 0)));
  EXPECT_OK(Run(store->Seal(blob)));
  EXPECT_CODE(Code::kFenced, Run(store->Adopt(blob, 0)));
  EXPECT_OK(Run(store->Remove(blob)));
  Close(*store);
}

// Without the right to take the flag off again nothing sealed could ever be removed.
TEST_F(FileStoreTest, AttackM8WhoMayNotSetTheFlagDoesNotSeal) {
  const pid_t child = fork();
  if (child == 0) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(1);
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct none[2] = {};
    if (syscall(SYS_capset, &header, none) != 0) _exit(2);
    Executor own;
    auto mine = FileStore::Open(own, {.path = path(), .create = true, .reserve_bytes = 0});
    if (!mine.ok()) _exit(3);
    if ((*mine)->info().capabilities.seal != SealKind::kNone) _exit(4);
    const BlobId blob{.owner = own.NewUuid(), .epoch = 1};
    _exit(own.RunUntilDone((*mine)->Seal(blob)).code() == Code::kUnsupported ? 0 : 5);
  }
  int how = 0;
  ASSERT_EQ(waitpid(child, &how, 0), child);
  ASSERT_TRUE(WIFEXITED(how));
  EXPECT_EQ(WEXITSTATUS(how), 0);
}

// A file that a blob had and has no more is an error for every reader, and for the writer.
TEST_F(FileStoreTest, AttackF13AFileThatIsGoneIsNeverZeros) {
  const BlobId blob = NewBlob();
  auto store = Open();
  ASSERT_OK(Run(store->Adopt(blob, 0)));
  ASSERT_OK(Run(store->Write(blob, kTiB, Pattern(4'096, 1), {})));
  Close(*store);
  fs::remove(BlobPath(blob) / "1");
  store = Open();
  Bytes out(512);
  const Status read = Run(store->Read(blob, kTiB, out));
  EXPECT_EQ(read.code(), Code::kCorrupt);
  EXPECT_NE(read.message().find(BlobPath(blob).string() + "/1"), std::string::npos);
  EXPECT_OK(Run(store->Read(blob, 0, out)));  // Never made.
  EXPECT_CODE(Code::kCorrupt, Run(store->Extents(blob, {0, 2 * kTiB})));
  ASSERT_OK(Run(store->Adopt(blob, 0)));
  EXPECT_CODE(Code::kCorrupt, Run(store->Write(blob, kTiB, out, {})));
  Close(*store);
}

TEST_F(FileStoreTest, AFailedSyncPoisonsTheBlob) {
  const BlobId blob = NewBlob(), other = NewBlob();
  auto store = Open();
  ASSERT_OK(Run(store->Adopt(blob, 0)));
  ASSERT_OK(Run(store->Write(blob, 0, Pattern(4'096, 1), {})));
  Close(*store);
  store = Open();
  ASSERT_OK(Run(store->Adopt(blob, 0)));
  ASSERT_OK(Run(store->Adopt(other, 0)));
  // What an earlier instance wrote is to be synced, and cannot be any more.
  fs::rename(BlobPath(blob) / "0", directory.path() + "/0");
  const Status first = Run(store->Sync(blob));
  EXPECT_FALSE(first.ok());
  fs::rename(directory.path() + "/0", BlobPath(blob) / "0");
  EXPECT_EQ(Run(store->Sync(blob)).code(), first.code());
  EXPECT_EQ(Run(store->Write(blob, 0, Pattern(512, 2), {})).code(), first.code());
  EXPECT_OK(Run(store->Write(other, 0, Pattern(512, 2), {})));
  EXPECT_OK(Run(store->Sync(other)));
  Close(*store);
}

// Closing a volume and opening it again must not make a failed sync undone.
TEST_F(FileStoreTest, AFailedSyncIsRememberedAfterADisown) {
  const BlobId blob = NewBlob();
  auto store = Open();
  ASSERT_OK(Run(store->Adopt(blob, 0)));
  ASSERT_OK(Run(store->Write(blob, 0, Pattern(4'096, 1), {})));
  Close(*store);
  store = Open();
  ASSERT_OK(Run(store->Adopt(blob, 0)));
  fs::rename(BlobPath(blob) / "0", directory.path() + "/0");
  const Status first = Run(store->Sync(blob));
  EXPECT_FALSE(first.ok());
  fs::rename(directory.path() + "/0", BlobPath(blob) / "0");
  executor.RunUntilDone(store->Disown(blob));
  EXPECT_EQ(Run(store->Sync(blob)).code(), first.code());
  EXPECT_CODE(Code::kFenced, Run(store->Adopt(blob, 0)));
  Bytes now(4'096);
  EXPECT_OK(Run(store->Read(blob, 0, now)));
  EXPECT_EQ(now, Pattern(4'096, 1));
  EXPECT_OK(Run(store->Remove(blob)));
  Close(*store);
}

// The descriptor of this process that is open at a path that ends so.
int DescriptorOf(const std::string& end) {
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (fs::read_symlink(entry.path(), gone).string().ends_with(end)) {
      return std::stoi(entry.path().filename().string());
    }
  }
  return -1;
}

TEST_F(FileStoreTest, AFailedSyncOfALogIsRememberedAfterADisown) {
  const LogId log = LogId::Journal(executor.NewUuid(), 1, 1);
  auto store = Open();
  ASSERT_OK(Run(store->AdoptLog(log, 0)));
  ASSERT_OK(Run(store->Append(log, 0, Pattern(4'096, 1))));
  // For a moment it is something that cannot be synced.
  const int descriptor = DescriptorOf(FileNameOf(log));
  ASSERT_GE(descriptor, 0);
  const Fd kept(dup(descriptor));
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const Fd in(pipe_ends[0]);
  const Fd out(pipe_ends[1]);
  ASSERT_EQ(dup2(out.get(), descriptor), descriptor);
  const Status first = Run(store->SyncLog(log));
  ASSERT_EQ(dup2(kept.get(), descriptor), descriptor);
  EXPECT_FALSE(first.ok());
  EXPECT_FALSE(Run(store->SyncLog(log)).ok()) << "the kernel may have dropped what was not written";
  executor.RunUntilDone(store->DisownLog(log));
  EXPECT_FALSE(Run(store->SyncLog(log)).ok());
  EXPECT_CODE(Code::kFenced, Run(store->AdoptLog(log, 0)));
  Bytes now(4'096);
  const auto got = Run(store->ReadLog(log, 0, now));
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(now, Pattern(4'096, 1));
  EXPECT_OK(Run(store->RemoveLog(log)));
  Close(*store);
}

Task<void> AppendTask(Store* store, LogId log, ConstSpan data, Status* out) {
  *out = co_await store->Append(log, 0, data);
}

// The cut begins while the append is on its way.
Task<Status> AppendAndTrim(Store* store, LogId log, ConstSpan data) {
  Status appended;
  TaskGroup group;
  group.Run(AppendTask(store, log, data, &appended));
  const Status trimmed = co_await store->TrimLog(log, data.size());
  co_await group.Join();
  co_return appended.ok() ? trimmed : appended;
}

TEST_F(FileStoreTest, ATrimCutsOffNoAppendThatIsOnItsWay) {
  auto store = Open();
  const LogId log = LogId::Journal(executor.NewUuid(), 1, 1);
  ASSERT_OK(Run(store->AdoptLog(log, 0)));
  const Bytes data = Pattern(256 * kKiB, 1);
  ASSERT_OK(Run(AppendAndTrim(store.get(), log, data)));
  Bytes now(data.size());
  const auto got = Run(store->ReadLog(log, 0, now));
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ(*got, data.size());
  EXPECT_EQ(now, data);
  Close(*store);
}

TEST_F(FileStoreTest, APebibyteBlobNeedsFewDescriptors) {
  constexpr size_t kLimit = 16;
  auto store = Open({.max_open_files = kLimit});
  const BlobId blob = NewBlob();
  ASSERT_OK(Run(store->Adopt(blob, 0)));
  for (uint64_t index = 0; index < 1'024; index += 8) {
    ASSERT_OK(Run(store->Write(blob, index * kTiB + index * 512, Pattern(512, index), {})));
    ASSERT_LE(store->open_files(), kLimit);
  }
  ASSERT_OK(Run(store->Sync(blob)));
  for (uint64_t index = 0; index < 1'024; index += 8) {
    Bytes now(512);
    ASSERT_OK(Run(store->Read(blob, index * kTiB + index * 512, now)));
    ASSERT_EQ(now, Pattern(512, index));
    ASSERT_LE(store->open_files(), kLimit);
  }
  Close(*store);
}

TEST_F(FileStoreTest, AttackS16NamesNeverBecomeFileNames) {
  auto store = Open();
  RecordKey key{.kind = RecordKind::kName, .name = {}};
  const std::string_view evil = "../../etc/passwd@x";
  std::copy(evil.begin(), evil.end(), key.name.begin());
  ASSERT_TRUE(Run(store->SwapRecord(key, 0, Pattern(10, 1), executor.NewUuid())).ok());
  size_t seen = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path() + "/records/name")) {
    const std::string name = entry.path().filename();
    EXPECT_EQ(name.find_first_not_of("0123456789abcdef"), std::string::npos) << name;
    ++seen;
  }
  EXPECT_EQ(seen, 2u);
  Close(*store);
}

TEST_F(FileStoreTest, HostileBlobDirectoriesGiveErrorsThatNameThem) {
  auto store = Open();
  const BlobId link = NewBlob(), file = NewBlob(), inner = NewBlob();
  fs::create_directory(directory.path() + "/outside");
  std::ofstream(directory.path() + "/outside/0") << "secret";
  fs::create_directory_symlink(directory.path() + "/outside", BlobPath(link));
  std::ofstream(BlobPath(file)) << "x";
  fs::create_directory(BlobPath(inner));
  fs::create_symlink(directory.path() + "/outside/0", BlobPath(inner) / "0");
  Bytes out(6);
  for (const BlobId& id : {link, file, inner}) {
    const Status read = Run(store->Read(id, 0, out));
    EXPECT_EQ(read.code(), Code::kCorrupt) << read.ToString();
    EXPECT_NE(read.message().find(BlobPath(id).string()), std::string::npos);
    EXPECT_CODE(Code::kCorrupt, Run(store->Adopt(id, 0)));
  }
  Close(*store);
}

TEST_F(FileStoreTest, ListingsSkipForeignNames) {
  auto store = Open();
  const BlobId blob = NewBlob();
  ASSERT_OK(Run(store->Adopt(blob, 0)));
  const fs::path blobs = fs::path(path()) / kBlobsDir, logs = fs::path(path()) / kLogsDir;
  for (const char* name : {".nfs000001", "x", "00.1", "lost+found"}) {
    std::ofstream(blobs / name) << "x";
    std::ofstream(logs / name) << "x";
  }
  fs::create_directory(blobs / (FileNameOf(blob) + ".i0"));
  fs::create_directory(blobs / (std::string(32, 'A') + ".1"));
  EXPECT_EQ(Run(store->ListBlobs(std::nullopt, 10))->items, std::vector<BlobId>{blob});
  EXPECT_TRUE(Run(store->ListLogs(std::nullopt, 10))->items.empty());
  ASSERT_TRUE(Run(store->Sweep(false)).ok());
  EXPECT_TRUE(fs::exists(blobs / "x"));
  Close(*store);
}

TEST_F(FileStoreTest, ASweepTakesWhatTheDeadLeftAndNothingElse) {
  auto store = Open();
  const fs::path tmp = fs::path(path()) / kTmpDir;
  std::ofstream(tmp / "t.dead") << "x";
  std::ofstream(tmp / "foreign") << "x";
  fs::create_directory(tmp / "rm.half");
  std::ofstream(tmp / "rm.half" / "0") << "x";
  const Dir dir = *OpenDir(tmp);
  const auto living = MakeTempAt(dir);
  ASSERT_TRUE(living.ok());
  EXPECT_EQ(*Run(store->Sweep(true)), 2u);
  EXPECT_EQ(*Run(store->Sweep(false)), 2u);
  EXPECT_EQ(*Run(store->Sweep(false)), 0u);
  EXPECT_TRUE(fs::exists(tmp / "foreign"));
  EXPECT_TRUE(fs::exists(tmp / living->name));
  Close(*store);
}

TEST_F(FileStoreTest, ADamagedChunkIsNamedAndMendedByPuttingItAgain) {
  auto store = Open();
  const Bytes data = Pattern(1'000, 1);
  const ChunkId id = Sha256(data);
  ASSERT_OK(Run(store->PutChunk(id, data)));
  const std::string file = path() + "/chunks/" + ToHex(id).substr(0, 2) + "/" + ToHex(id);
  std::ofstream(file, std::ios::app) << "x";
  const auto read = Run(store->GetChunk(id));
  EXPECT_CODE(Code::kCorrupt, read);
  EXPECT_NE(read.status().message().find(file), std::string::npos);
  ASSERT_OK(Run(store->PutChunk(id, data)));
  EXPECT_EQ(*Run(store->GetChunk(id)), data);
  Close(*store);
}

}  // namespace
}  // namespace atl
