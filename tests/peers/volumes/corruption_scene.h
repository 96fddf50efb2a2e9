// SPDX-License-Identifier: Apache-2.0
//
// A file store with volumes, snapshots, clones, journals and map nodes, whose files are then
// damaged behind its back; what it holds; and which of its bytes mean anything.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peers/store/file/file_store.h"
#include "tests/peers/store/contract/temp_dir.h"
#include "tests/peers/volumes/node_parts.h"
#include "xseg/base/executor.h"

namespace atl {

// One life of a node over the store in a folder.
class FileNode {
 public:
  static Result<std::unique_ptr<FileNode>> Open(Executor& executor, const std::string& folder,
                                                bool create = false);
  LocalAtoll& atoll() { return parts_->atoll(); }
  StoreSet& stores() { return parts_->stores(); }
  const Uuid& incarnation() const { return parts_->incarnation(); }
  template <typename T>
  T Run(Task<T> task) {
    return executor_.RunUntilDone(std::move(task));
  }
  // The whole of a resource, or why it cannot be read.
  Result<Bytes> Read(const std::string& name);
  Status Write(const std::string& name, uint64_t offset, ConstSpan data, bool flush);
  Status Stop() { return Run(atoll().Shutdown()); }

 private:
  explicit FileNode(Executor& executor) : executor_(executor) {}
  Task<Result<Bytes>> ReadTask(std::string name);
  Task<Status> WriteTask(std::string name, uint64_t offset, ConstSpan data, bool flush);

  Executor& executor_;
  std::unique_ptr<NodeParts> parts_;
};

// What a resource may read as. The second is what it was when its current journal began, if that
// was never pinned: sector by sector it is one or the other, should the end of that be damaged.
struct Contents {
  Bytes now;
  std::optional<Bytes> before;
  bool Allows(ConstSpan bytes) const;
};

enum class SceneEnd : uint8_t {
  kStopped,  // In order.
  kKilled,   // With volumes open.
};

class CorruptionScene {
 public:
  CorruptionScene(Executor& executor, SceneEnd end);

  // The store as it was left, and a copy of it to damage, made anew by Reset.
  const std::string& pristine() const { return pristine_; }
  const std::string& work() const { return work_; }
  void Reset() const;
  const std::map<std::string, Contents>& contents() const { return contents_; }
  const Uuid& incarnation() const { return incarnation_; }
  // All regular files, as paths below the store, but for those that hold data.
  const std::vector<std::string>& files() const { return files_; }

  // Why a change of these bytes of a file harms nobody; null: it does, and must be found.
  const char* WhyHarmless(const std::string& file, ByteRange bytes) const;
  // The same if the file is removed.
  const char* WhyHarmlessRemoved(const std::string& file) const;

 private:
  void Make(SceneEnd end);
  void MakeResources(FileNode* node);
  void WriteSome(FileNode* node, const std::string& name, int count);
  void OpenAgain(FileNode* node);
  void KeepOldRecords(const Uuid& uuid);
  void PutOldRecordsBack();
  void FindFiles();
  // Which bytes of logs are named by somebody.
  void FindMeaning();
  void AddMap(FileNode* node, const MapState& map);
  void AddNodes(FileNode* node, const Root& root, NodePointer pointer, int level, uint64_t first);
  bool Means(const std::string& file, ByteRange bytes) const;
  struct Batch {
    ByteRange range;
    uint64_t synced = 0;  // How much of the journal its writer knew to be durable.
  };
  static bool IsWitnessed(const std::vector<Batch>& batches, ByteRange bytes);

  Executor& executor_;
  TempDir folder_{"/dev/shm"};  // Nothing here is about power.
  const std::string pristine_ = folder_.path() + "/pristine";
  const std::string work_ = folder_.path() + "/work";
  uint64_t marks_ = 0;
  Uuid incarnation_;
  std::map<std::string, Contents> contents_;
  std::map<std::string, std::string> old_records_;
  std::vector<std::string> files_;
  std::map<std::string, std::vector<ByteRange>> meaning_;  // By file.
  std::map<std::string, std::vector<Batch>> current_;      // Of current journals.
};

}  // namespace atl
