// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/volumes/corruption_scene.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "peers/format/journal.h"
#include "peers/mapper/log_reader.h"
#include "peers/mapper/root_store.h"
#include "peers/store/file/layout.h"
#include "peers/volumes/reach.h"
#include "tests/peers/volumes/oracle.h"

namespace atl {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kVolumeBytes = 1 * kMiB;

void Expect(const Status& status) { ASSERT_TRUE(status.ok()) << status.ToString(); }
template <typename T>
void Expect(const Result<T>& result) {
  ASSERT_TRUE(result.ok()) << result.status().ToString();
}

}  // namespace

// --- A node --------------------------------------------------------------------------------------

Result<std::unique_ptr<FileNode>> FileNode::Open(Executor& executor, const std::string& folder,
                                                 bool create) {
  FileStoreOptions options;
  options.name = "default";
  options.path = folder;
  options.create = create;
  options.reserve_bytes = 64 * kKiB;
  ASSIGN_OR_RETURN(auto store, FileStore::Open(executor, options));
  NodeIdentity identity;
  identity.incarnation = executor.NewUuid();
  identity.node = "n";
  std::unique_ptr<FileNode> node(new FileNode(executor));
  const auto run = [&executor](auto task) { return executor.RunUntilDone(std::move(task)); };
  node->parts_ = std::make_unique<NodeParts>(&executor, std::move(store), std::move(identity), run);
  return node;
}

Task<Result<Bytes>> FileNode::ReadTask(std::string name) {
  const ResourceRef ref = ResourceRef::Named(name);
  CO_ASSIGN_OR_RETURN(const auto device, co_await atoll().Open(ref, OpenMode::kReadOnly));
  Bytes bytes(device->info().size, std::byte{0xEE});
  const Status status = co_await device->Read(0, bytes);
  co_await device->Close();
  if (!status.ok()) co_return status;
  co_return bytes;
}

Task<Status> FileNode::WriteTask(std::string name, uint64_t offset, ConstSpan data, bool flush) {
  const ResourceRef ref = ResourceRef::Named(name);
  CO_ASSIGN_OR_RETURN(const auto device, co_await atoll().Open(ref, OpenMode::kReadWrite));
  Status status = co_await device->Write(offset, data, {});
  if (status.ok() && flush) status = co_await device->Flush();
  co_await device->Close();
  co_return status;
}

Result<Bytes> FileNode::Read(const std::string& name) { return Run(ReadTask(name)); }
Status FileNode::Write(const std::string& name, uint64_t offset, ConstSpan data, bool flush) {
  return Run(WriteTask(name, offset, data, flush));
}

bool Contents::Allows(ConstSpan bytes) const {
  if (bytes.size() != now.size()) return false;
  for (size_t at = 0; at < now.size(); at += kSector) {
    const size_t count = std::min<size_t>(kSector, now.size() - at);
    const auto same = [&](const Bytes& as) {
      return std::equal(bytes.begin() + static_cast<ptrdiff_t>(at),
                        bytes.begin() + static_cast<ptrdiff_t>(at + count),
                        as.begin() + static_cast<ptrdiff_t>(at));
    };
    if (!same(now) && !(before && same(*before))) return false;
  }
  return true;
}

// --- Making it -----------------------------------------------------------------------------------

CorruptionScene::CorruptionScene(Executor& executor, SceneEnd end) : executor_(executor) {
  Make(end);
  if (::testing::Test::HasFatalFailure()) return;
  FindFiles();
  FindMeaning();
}

void CorruptionScene::WriteSome(FileNode* node, const std::string& name, int count) {
  for (int i = 0; i < count; ++i) {
    const uint64_t mark = ++marks_;
    const uint64_t offset = mark * 28 * kKiB % (kVolumeBytes - 64 * kKiB) / kSector * kSector;
    const Bytes data = Oracle::Fill(mark, (1 + mark % 9) * 4 * kKiB);
    Expect(node->Write(name, offset, data, mark % 3 == 0));
  }
}

void CorruptionScene::MakeResources(FileNode* node) {
  const auto create = [&](const std::string& name, const std::string& from) {
    CreateSpec spec;
    spec.uuid = executor_.NewUuid();
    spec.name = name;
    spec.size = kVolumeBytes;
    if (!from.empty()) spec.from = ResourceRef::Named(from);
    Expect(node->Run(node->atoll().Create(spec)));
  };
  const auto snap = [&](const std::string& name, const std::string& as) {
    SnapshotSpec spec;
    spec.uuid = executor_.NewUuid();
    spec.volume = ResourceRef::Named(name);
    spec.name = as;
    Expect(node->Run(node->atoll().Snapshot(spec)));
  };
  create("v", "");
  for (int i = 0; i < 4; ++i) {
    WriteSome(node, "v", 8);
    snap("v", "s" + std::to_string(i));
  }
  create("c", "s3");
  WriteSome(node, "c", 4);
  create("w", "");
  WriteSome(node, "w", 3);
  create("gone", "");
  WriteSome(node, "gone", 3);
  Expect(node->Run(node->atoll().Release(ResourceRef::Named("gone"))));
  const auto gone = node->Run(node->atoll().Show(ResourceRef::Named("gone"), false));
  Expect(gone);
  KeepOldRecords(gone->uuid);
  Expect(node->Run(node->atoll().Remove(ResourceRef::Named("gone"))));
  WriteSome(node, "v", 3);
  snap("v", "last");
  WriteSome(node, "v", 2);
}

// Closed, so that what they have is pinned; then open, also while nobody uses them.
void CorruptionScene::OpenAgain(FileNode* node) {
  for (const char* name : {"v", "c", "w"}) {
    const ResourceRef ref = ResourceRef::Named(name);
    Expect(node->Run(node->atoll().Release(ref)));
    Expect(node->Run(node->atoll().Acquire(ref)));
  }
}

void CorruptionScene::Make(SceneEnd end) {
  auto opened = FileNode::Open(executor_, pristine_, true);
  Expect(opened);
  if (::testing::Test::HasFatalFailure()) return;
  const std::unique_ptr<FileNode> node = *std::move(opened);
  incarnation_ = node->incarnation();
  MakeResources(node.get());
  OpenAgain(node.get());
  const auto read_all = [&] {
    std::map<std::string, Bytes> all;
    const auto page = node->Run(node->atoll().List({}));
    Expect(page);
    for (const ResourceInfo& info : page->items) {
      auto bytes = node->Read(info.name);
      Expect(bytes);
      all.emplace(info.name, *std::move(bytes));
    }
    return all;
  };
  const auto before = read_all();
  // The end of the journals of v and w, which a killed node leaves open.
  WriteSome(node.get(), "v", 2);
  WriteSome(node.get(), "w", 2);
  for (auto& [name, bytes] : read_all()) {
    contents_[name].now = std::move(bytes);
    if (end == SceneEnd::kKilled) contents_[name].before = before.at(name);
  }
  if (end == SceneEnd::kKilled) {
    // What the kernel has is what is left of a process that is killed now.
    fs::copy(pristine_, folder_.path() + "/killed", fs::copy_options::recursive);
  }
  Expect(node->Stop());
  if (end == SceneEnd::kKilled) {
    fs::remove_all(pristine_);
    fs::rename(folder_.path() + "/killed", pristine_);
  }
  PutOldRecordsBack();
  std::ofstream(pristine_ + "/tmp/t.0123456789abcdef0123456789abcdef") << "of somebody who died";
}

// A version that was replaced, which a crash may leave beside the newest: here of a header that is
// a tombstone by then.
void CorruptionScene::KeepOldRecords(const Uuid& uuid) {
  const std::string folder = FileNameOf(RecordKey::Of(RecordKind::kHeader, uuid).name);
  for (const auto& entry : fs::directory_iterator(pristine_ + "/records/header/" + folder)) {
    if (!entry.is_regular_file() || !ParseNumber(entry.path().filename().string())) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    old_records_[entry.path().string()] = {std::istreambuf_iterator<char>(in), {}};
  }
}

void CorruptionScene::PutOldRecordsBack() {
  for (const auto& [path, bytes] : old_records_) {
    if (fs::exists(path) || !fs::exists(fs::path(path).parent_path())) continue;
    std::ofstream(path, std::ios::binary) << bytes;
  }
}

// Files that nobody ever changes in place are shared, and get bytes of their own when they are
// damaged.
void CorruptionScene::Reset() const {
  fs::remove_all(work_);
  fs::create_directory(work_);
  for (const auto& entry : fs::recursive_directory_iterator(pristine_)) {
    const fs::path relative = fs::relative(entry.path(), pristine_);
    const fs::path to = work_ / relative;
    const std::string file = relative.string();
    const bool shared = file.starts_with("records/") || file.starts_with("logs/n.");
    if (entry.is_directory()) {
      fs::create_directory(to);
    } else if (shared) {
      fs::create_hard_link(entry.path(), to);
    } else {
      fs::copy_file(entry.path(), to);
    }
  }
}

void CorruptionScene::FindFiles() {
  for (const auto& entry : fs::recursive_directory_iterator(pristine_)) {
    if (!entry.is_regular_file()) continue;
    const std::string file = fs::relative(entry.path(), pristine_).string();
    const bool data = file.starts_with("blobs/") && ParseNumber(entry.path().filename().string());
    if (!data) files_.push_back(file);
  }
  std::sort(files_.begin(), files_.end());
}

// --- What means something ------------------------------------------------------------------------

void CorruptionScene::FindMeaning() {
  Reset();
  auto opened = FileNode::Open(executor_, work_);
  Expect(opened);
  if (::testing::Test::HasFatalFailure()) return;
  FileNode& node = **opened;
  Store& store = node.stores().at(0);
  const auto headers = node.Run(ReadAllHeaders(&store, ReadFor::kLook));
  Expect(headers);
  for (const VersionedHeader& found : *headers) {
    const Header& header = found.header;
    if (header.state == HeaderState::kRemoved) continue;
    AddMap(&node, header.map);
    if (!header.begun) continue;
    const std::string file = "logs/" + FileNameOf(header.journal());
    const auto bytes = node.Run(ReadWholeLog(&store, header.journal(), kJournalCapacity));
    Expect(bytes);
    const JournalContent content =
        RecoverJournal(header.journal(), *bytes, store.info().cache, false);
    for (uint64_t at = 0; at + kJournalBatchHeader <= content.valid_length;) {
      uint32_t entry_bytes, synced;
      std::memcpy(&entry_bytes, bytes->data() + at + 12, 4);
      std::memcpy(&synced, bytes->data() + at + 28, 4);
      const uint64_t length = kJournalBatchHeader + entry_bytes;
      current_[file].push_back({{at, length}, uint64_t{synced} * 16});
      at += length;
    }
    current_.try_emplace(file);
  }
  Expect(node.Stop());
}

void CorruptionScene::AddMap(FileNode* node, const MapState& map) {
  for (const ReplayJournal& journal : map.replay) {
    meaning_["logs/" + FileNameOf(journal.log())].push_back({0, journal.length});
  }
  if (map.root.absent()) return;
  const auto root = node->Run(ReadRoot(&node->stores(), map.root));
  Expect(root);
  meaning_["logs/" + FileNameOf(map.root.log())].push_back({map.root.offset, map.root.length});
  AddNodes(node, *root, root->top, kTopLevel, 0);
}

void CorruptionScene::AddNodes(FileNode* node, const Root& root, NodePointer pointer, int level,
                               uint64_t first) {
  if (!pointer.is_node()) return;
  const NodePlace place{root.sources.at(pointer.blob()).nodes(), pointer.offset()};
  Bytes bytes(kMaxNodeBytes);
  const auto got = node->Run(node->stores().at(0).ReadLog(place.log, place.offset, MutSpan(bytes)));
  Expect(got);
  const auto length = NodeLength(ConstSpan(bytes).first(*got));
  Expect(length);
  meaning_["logs/" + FileNameOf(place.log)].push_back({place.offset, *length});
  if (level == 0) return;
  const auto inner = DecodeInner(ConstSpan(bytes).first(*length), level, first, place);
  Expect(inner);
  for (uint64_t i = 0; i < kFanout; ++i) {
    AddNodes(node, root, inner->children[i], level - 1, first + i * SpanOf(level - 1));
  }
}

bool CorruptionScene::Means(const std::string& file, ByteRange bytes) const {
  const auto found = meaning_.find(file);
  if (found == meaning_.end()) return false;
  return std::ranges::any_of(found->second,
                             [&](const ByteRange& range) { return range.Overlaps(bytes); });
}

// Reading ends at the first batch that is damaged. A batch behind the damage tells that there was
// more if its writer knew that to be durable.
bool CorruptionScene::IsWitnessed(const std::vector<Batch>& batches, ByteRange bytes) {
  const auto broken = std::ranges::find_if(
      batches, [&](const Batch& batch) { return batch.range.Overlaps(bytes); });
  return broken != batches.end() && std::any_of(broken, batches.end(), [&](const Batch& batch) {
           return batch.range.offset >= bytes.end() && batch.synced > broken->range.offset;
         });
}

const char* CorruptionScene::WhyHarmless(const std::string& file, ByteRange bytes) const {
  const std::string name = fs::path(file).filename().string();
  if (file == kReserveFile) return "the reserve keeps blocks, its bytes mean nothing";
  if (name == kBlobHead || name.ends_with(kMadeSuffix)) {
    return "head and made: that they are there is all they say, and what they speak of is there";
  }
  if (file.starts_with("floors/"))
    return "floor: it stops writers that were stopped, of whom are none";
  if (file.starts_with("tmp/")) return "temporary of the dead";
  if (file.starts_with("records/") && old_records_.contains(pristine_ + "/" + file)) {
    const auto folder = fs::path(pristine_ + "/" + file).parent_path();
    const uint64_t version = ParseNumber(name).value_or(0);
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (ParseNumber(entry.path().filename().string()).value_or(0) > version) {
        return "old version of a record";
      }
    }
  }
  if (!file.starts_with("logs/") || Means(file, bytes)) return nullptr;
  const auto current = current_.find(file);
  if (current == current_.end()) return "log: no map reaches these bytes";
  return IsWitnessed(current->second, bytes)
             ? nullptr
             : "end of a journal that was not pinned: as if a crash had cut the writes off";
}

const char* CorruptionScene::WhyHarmlessRemoved(const std::string& file) const {
  // That a current journal is gone is seen, whatever is in it.
  if (current_.contains(file)) return nullptr;
  return WhyHarmless(file, {0, UINT64_MAX / 2});
}

}  // namespace atl
