// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/crash/errands.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include "peers/store/file/layout.h"
#include "peers/store/sha256.h"

namespace atl {
namespace {

const Uuid kOwner = Uuid::FromRandom(7, 7);
const BlobId kFrom{kOwner, 1}, kTo{kOwner, 2}, kEmpty{kOwner, 3};
const LogId kLog = LogId::Journal(kOwner, 1, 1), kNodes = LogId::Nodes(kOwner, 1);
const RecordKey kKey = RecordKey::Of(RecordKind::kHeader, kOwner);
constexpr ByteRange kWhole{0, 2 * kMiB};
constexpr ByteRange kDataAtEnd{kMiB, 64 * kKiB};

constexpr int kViews = 100;  // Of so many some are given.

Bytes Fill(char with, size_t size) { return {size, std::byte(with)}; }

Status Wrong(const std::string& what) { return {Code::kInternal, "WRONG: " + what}; }

// Repeated, it may be there already, or gone already.
Status Unless(Code code, const Status& status) {
  return status.code() == code ? OkStatus() : status;
}

class Runner {
 public:
  Runner(RealEnv* env, std::string root, FileStore& store)
      : env_(env), root_(std::move(root)), store_(store) {}

  template <typename T>
  T Run(Task<T> task) {
    return env_->Run(std::move(task));
  }

  Status Adopt(const BlobId& blob) { return Run(store_.Adopt(blob, kSecond)); }
  Status AdoptLog(const LogId& log) { return Run(store_.AdoptLog(log, kSecond)); }
  Status Write(const BlobId& blob, uint64_t offset, const Bytes& data, bool sync = false) {
    return Run(store_.Write(blob, offset, data, {.data_sync = sync}));
  }
  Status Expect(const BlobId& blob, ByteRange range, char with) {
    Bytes out(range.length, std::byte{0x55});
    RETURN_IF_ERROR(Run(store_.Read(blob, range.offset, out)));
    const bool right = std::ranges::all_of(out, [&](std::byte b) { return b == std::byte(with); });
    return right ? OkStatus() : Wrong(blob.ToString() + " reads as something else");
  }
  // 256 KiB of data, a hole, 64 KiB of data.
  Status MakeSource() {
    RETURN_IF_ERROR(Adopt(kFrom));
    RETURN_IF_ERROR(Write(kFrom, 0, Fill('a', 256 * kKiB)));
    RETURN_IF_ERROR(Write(kFrom, kDataAtEnd.offset, Fill('b', kDataAtEnd.length), true));
    RETURN_IF_ERROR(Run(store_.Sync(kFrom)));
    return Expect(kFrom, {256 * kKiB, 768 * kKiB}, '\0');
  }
  Status CopyIt() {
    RETURN_IF_ERROR(Adopt(kTo));
    RETURN_IF_ERROR(Write(kTo, 512 * kKiB, Fill('x', 4 * kKiB)));  // Becomes a hole.
    RETURN_IF_ERROR(Run(store_.Copy(kFrom, kTo, kWhole)));
    RETURN_IF_ERROR(Run(store_.Sync(kTo)));
    RETURN_IF_ERROR(Expect(kTo, {0, 256 * kKiB}, 'a'));
    RETURN_IF_ERROR(Expect(kTo, {256 * kKiB, 768 * kKiB}, '\0'));
    return Expect(kTo, kDataAtEnd, 'b');
  }
  Status CopyNothing() {
    RETURN_IF_ERROR(Adopt(kEmpty));
    RETURN_IF_ERROR(Adopt(kTo));
    RETURN_IF_ERROR(Run(store_.Copy(kEmpty, kTo, kDataAtEnd)));
    RETURN_IF_ERROR(Write(kEmpty, 0, Fill('e', 4 * kKiB)));  // The other has unsynced writes.
    return Expect(kTo, kDataAtEnd, '\0');
  }
  Status ZeroParts() {
    RETURN_IF_ERROR(Adopt(kTo));
    RETURN_IF_ERROR(Adopt(kEmpty));
    RETURN_IF_ERROR(Write(kTo, 0, Fill('z', 64 * kKiB)));
    RETURN_IF_ERROR(Run(store_.Zero(kTo, {4 * kKiB, 8 * kKiB}, {.keep_allocated = true})));
    RETURN_IF_ERROR(Run(store_.Zero(kTo, {32 * kKiB, 4 * kKiB}, {})));
    RETURN_IF_ERROR(Run(store_.Punch(kTo, {48 * kKiB, 6 * kKiB})));
    RETURN_IF_ERROR(Run(store_.Punch(kEmpty, {0, 4 * kKiB})));
    RETURN_IF_ERROR(Run(store_.Sync(kTo)));
    RETURN_IF_ERROR(Expect(kTo, {4 * kKiB, 8 * kKiB}, '\0'));
    RETURN_IF_ERROR(Expect(kTo, {32 * kKiB, 4 * kKiB}, '\0'));
    RETURN_IF_ERROR(Expect(kTo, {48 * kKiB, 6 * kKiB}, '\0'));
    return Expect(kTo, {0, 4 * kKiB}, 'z');
  }
  // What cannot be done at once is done in the other way, whatever the reason.
  Status AtOnce() {
    RETURN_IF_ERROR(Adopt(kTo));
    RETURN_IF_ERROR(Write(kTo, 0, Fill('m', 64 * kKiB)));
    const Bytes data = Fill('n', 8 * kKiB);
    if (!store_.TryWrite(kTo, 4 * kKiB, data)) RETURN_IF_ERROR(Write(kTo, 4 * kKiB, data));
    RETURN_IF_ERROR(Run(store_.Sync(kTo)));
    Bytes out(8 * kKiB);
    if (store_.TryRead(kTo, 4 * kKiB, out) && out != data) return Wrong("what is read at once");
    for (int i = 0; i < kViews; ++i) (void)store_.TryView(kTo, 4 * kKiB, 8 * kKiB);
    RETURN_IF_ERROR(Expect(kTo, {0, 4 * kKiB}, 'm'));
    return Expect(kTo, {4 * kKiB, 8 * kKiB}, 'n');
  }
  // In a store of its own, for this one has checksums: what was written through the page cache is
  // read there beside the store, and then the store goes past it.
  Status BesideAndDirect() {
    FileStoreOptions options{.path = root_ + "-direct", .create = true, .reserve_bytes = 2 * kMiB};
    RETURN_IF_ERROR(With(options, &Runner::Beside));
    const Capabilities& can = store_.info().capabilities;
    if (can.punch != Support::kNative || can.zero != Support::kNative) return {};  // None there.
    options.direct = true;
    return With(options, &Runner::Direct);
  }
  Status With(const FileStoreOptions& options, Status (Runner::*act)(const FileStoreOptions&)) {
    ASSIGN_OR_RETURN(auto store, FileStore::Open(env_->executor(), options));
    Runner runner(env_, root_, *store);
    const Status status = (runner.*act)(options);
    env_->Run(store->Close());
    return status;
  }
  Status Beside(const FileStoreOptions& options) {
    RETURN_IF_ERROR(Adopt(kTo));
    RETURN_IF_ERROR(Write(kTo, 0, Fill('p', 64 * kKiB), true));
    ASSIGN_OR_RETURN(auto reader,
                     BlobReader::Open(env_->executor(), options.path, store_.folder()));
    Bytes out(8 * kKiB);
    bool wrong = false;
    for (int i = 0; i < kViews && !wrong; ++i) {
      wrong = reader->TryRead(kTo, 4 * kKiB, out) && out != Fill('p', out.size());
    }
    env_->Run(reader->Close());
    return wrong ? Wrong("what is read beside the store") : OkStatus();
  }
  Status Direct(const FileStoreOptions&) {
    RETURN_IF_ERROR(Adopt(kTo));
    RETURN_IF_ERROR(Write(kTo, 0, Fill('p', 64 * kKiB)));
    RETURN_IF_ERROR(Write(kTo, 5'000, Fill('q', 100)));
    RETURN_IF_ERROR(Write(kTo, 32 * kKiB, Fill('r', 8 * kKiB), true));
    RETURN_IF_ERROR(Run(store_.Sync(kTo)));
    RETURN_IF_ERROR(Expect(kTo, {0, 5'000}, 'p'));
    RETURN_IF_ERROR(Expect(kTo, {5'000, 100}, 'q'));
    RETURN_IF_ERROR(Expect(kTo, {5'100, 20'000}, 'p'));
    RETURN_IF_ERROR(Expect(kTo, {32 * kKiB, 8 * kKiB}, 'r'));
    return Expect(kTo, {64 * kKiB, 10'000}, '\0');
  }
  Status LookAtBlobs() {
    ASSIGN_OR_RETURN(const auto extents, Run(store_.Extents(kFrom, kWhole)));
    uint64_t covered = 0;
    for (const BlobExtent& extent : extents) covered += extent.range.length;
    if (covered != kWhole.length) return Wrong("extents leave gaps");
    ASSIGN_OR_RETURN(const uint64_t usage, Run(store_.Usage(kFrom)));
    if (usage < 320 * kKiB) return Wrong(fmt::format("usage is {}", usage));
    ASSIGN_OR_RETURN(const auto page, Run(store_.ListBlobs(std::nullopt, 2)));
    if (page.items.size() != 2 || page.last) return Wrong("the first page of blobs");
    ASSIGN_OR_RETURN(const Capacity capacity, Run(store_.GetCapacity()));
    return capacity.total_bytes > 0 ? OkStatus() : Wrong("no capacity");
  }
  Status Logs() {
    RETURN_IF_ERROR(AdoptLog(kLog));
    RETURN_IF_ERROR(Run(store_.Reserve(kLog, kMiB)));
    RETURN_IF_ERROR(Run(store_.Append(kLog, 0, Fill('l', 8 * kKiB))));
    RETURN_IF_ERROR(Run(store_.SyncLog(kLog)));
    RETURN_IF_ERROR(Run(store_.TrimLog(kLog, 64 * kKiB)));
    ASSIGN_OR_RETURN(const uint64_t usage, Run(store_.LogUsage(kLog)));
    if (usage < 64 * kKiB || usage >= kMiB) return Wrong(fmt::format("usage is {}", usage));
    RETURN_IF_ERROR(AdoptLog(kNodes));
    RETURN_IF_ERROR(Run(store_.SyncLog(kNodes)));
    return ReadTheLog();
  }
  Status ReadTheLog() {
    Bytes out(16 * kKiB);
    ASSIGN_OR_RETURN(const size_t got, Run(store_.ReadLog(kLog, 0, out)));
    if (got != 8 * kKiB || out[8 * kKiB - 1] != std::byte{'l'}) return Wrong("the log");
    ASSIGN_OR_RETURN(const auto page, Run(store_.ListLogs(std::nullopt, 10)));
    return page.items.size() == 2 ? OkStatus() : Wrong("the list of logs");
  }
  Status Chunks() {
    const Bytes one = Fill('c', 70'000), two = Fill('d', 10);
    const ChunkId first = Sha256(one), second = Sha256(two);
    for (int i = 0; i < 2; ++i) RETURN_IF_ERROR(Run(store_.PutChunk(first, one)));
    RETURN_IF_ERROR(Run(store_.PutChunk(second, two)));
    ASSIGN_OR_RETURN(const Bytes content, Run(store_.GetChunk(first)));
    if (content != one) return Wrong("the chunk");
    ASSIGN_OR_RETURN(const auto page, Run(store_.ListChunks(std::nullopt, 1)));
    if (page.items.size() != 1 || page.last) return Wrong("the first page of chunks");
    RETURN_IF_ERROR(Unless(Code::kNotFound, Run(store_.RemoveChunk(second))));
    const auto gone = Run(store_.GetChunk(second));
    if (gone.code() == Code::kNotFound) return {};
    return gone.ok() ? Wrong("a removed chunk is there") : gone.status();
  }
  Status Records() {
    const Bytes payload = Fill('r', 100);
    ASSIGN_OR_RETURN(const uint64_t version, MakeRecord(payload));
    ASSIGN_OR_RETURN(const Record record, Run(store_.GetRecord(kKey, ReadFor::kAct)));
    if (record.version != version || record.payload != payload) return Wrong("the record");
    ASSIGN_OR_RETURN(const auto next,
                     Run(store_.SwapRecord(kKey, version, Fill('s', 50), env_->NewUuid())));
    ASSIGN_OR_RETURN(const auto page,
                     Run(store_.ListRecords(RecordKind::kHeader, std::nullopt, 10)));
    if (page.items.size() != 1) return Wrong("the list of records");
    return Unless(Code::kNotFound, Run(store_.RemoveRecord(kKey, next, env_->NewUuid())));
  }
  // What an earlier try has left is as good.
  Result<uint64_t> MakeRecord(const Bytes& payload) {
    const auto found = Run(store_.GetRecord(kKey, ReadFor::kAct));
    if (!found.ok() && found.code() != Code::kNotFound) return found.status();
    const uint64_t version = found.ok() ? found->version : 0;
    return Run(store_.SwapRecord(kKey, version, payload, env_->NewUuid()));
  }
  // Of processes that were killed: temporaries, and the folder of a record that was never made.
  Status SweepLeftovers() {
    const std::string name = FileNameOf(RecordKey::Of(RecordKind::kName, kOwner).name);
    const std::string records = root_ + "/records/name/", kept = root_ + "/records/header/";
    std::filesystem::create_directory(records + name);
    const std::string temporary = std::string(kTempPrefix) + "0123456789abcdef0123456789abcdef";
    RETURN_IF_ERROR(MakeRecord(Fill('k', 10)).status());
    const std::string files[] = {root_ + "/tmp/" + temporary, records + name + ".none",
                                 kept + FileNameOf(kKey.name) + "/" + temporary};
    for (const std::string& file : files) std::ofstream(file) << "left";
    // What a sweep cannot look at it leaves to the next one.
    for (int i = 0; i < 2; ++i) RETURN_IF_ERROR(Run(store_.Sweep(false)).status());
    for (const std::string& file : files) {
      if (std::filesystem::exists(file)) return Wrong(file + " was not swept");
    }
    return std::filesystem::exists(records + name) ? Wrong("an empty record is left") : OkStatus();
  }
  // Nobody writes to what is sealed, and everybody reads it.
  Status SealThem() {
    if (store_.info().capabilities.seal == SealKind::kNone) return {};
    Run(store_.Disown(kFrom));
    Run(store_.DisownLog(kLog));
    RETURN_IF_ERROR(Run(store_.Seal(kFrom)));
    RETURN_IF_ERROR(Run(store_.SealLog(kLog)));
    RETURN_IF_ERROR(Run(store_.SealLog(LogId::Journal(kOwner, 9, 1))));  // Never made.
    RETURN_IF_ERROR(Refused(Adopt(kFrom)));
    RETURN_IF_ERROR(Refused(AdoptLog(kLog)));
    RETURN_IF_ERROR(Run(store_.Sync(kFrom)));
    RETURN_IF_ERROR(Run(store_.SyncLog(kLog)));
    return Expect(kFrom, kDataAtEnd, 'b');
  }
  static Status Refused(const Status& adopted) {
    if (adopted.code() == Code::kFenced) return {};
    return adopted.ok() ? Wrong("what is sealed was adopted") : adopted;
  }
  Status RemoveAll() {
    for (const BlobId& blob : {kFrom, kTo, kEmpty}) {
      RETURN_IF_ERROR(Unless(Code::kNotFound, Run(store_.Remove(blob))));
    }
    for (const LogId& log : {kLog, kNodes, LogId::Journal(kOwner, 9, 1)}) {
      RETURN_IF_ERROR(Unless(Code::kNotFound, Run(store_.RemoveLog(log))));
    }
    RETURN_IF_ERROR(Run(store_.Sweep(true)).status());
    RETURN_IF_ERROR(Run(store_.Sweep(false)).status());
    ASSIGN_OR_RETURN(const auto blobs, Run(store_.ListBlobs(std::nullopt, 10)));
    ASSIGN_OR_RETURN(const auto logs, Run(store_.ListLogs(std::nullopt, 10)));
    return blobs.items.empty() && logs.items.empty() ? OkStatus() : Wrong("something is left");
  }

 private:
  RealEnv* env_;
  std::string root_;
  FileStore& store_;
};

}  // namespace

std::vector<Errand> Errands(RealEnv* env, const std::string& root) {
  const auto errand = [env, root](std::string name, Status (Runner::*act)()) {
    return Errand{std::move(name),
                  [=](FileStore& store) { return (Runner(env, root, store).*act)(); }};
  };
  std::vector<Errand> errands = {errand("write", &Runner::MakeSource),
                                 errand("copy", &Runner::CopyIt),
                                 errand("copy of nothing", &Runner::CopyNothing),
                                 errand("zeros", &Runner::ZeroParts),
                                 errand("at once", &Runner::AtOnce),
                                 errand("beside and direct", &Runner::BesideAndDirect),
                                 errand("looking at blobs", &Runner::LookAtBlobs),
                                 errand("logs", &Runner::Logs),
                                 errand("chunks", &Runner::Chunks),
                                 errand("records", &Runner::Records),
                                 errand("leftovers", &Runner::SweepLeftovers),
                                 errand("seals", &Runner::SealThem),
                                 errand("removal", &Runner::RemoveAll)};
  std::ranges::find(errands, "zeros", &Errand::name)->in_new_life = true;
  return errands;
}

}  // namespace atl
