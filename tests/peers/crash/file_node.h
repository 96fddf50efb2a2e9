// SPDX-License-Identifier: Apache-2.0
//
// A node over the file driver in a folder, in this process and in real time: lives of it follow
// each other on the same executor.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "peers/volumes/local_atoll.h"
#include "tests/peers/volumes/node_parts.h"
#include "xseg/base/executor.h"

namespace atl {

// Runs tasks to their end.
class RealEnv {
 public:
  template <typename T>
  T Run(Task<T> task) {
    T result = executor_.RunUntilDone(std::move(task));
    executor_.scheduler().RunReady();  // The end of what ran the task.
    return result;
  }
  void Run(Task<void> task) {
    executor_.RunUntilDone(std::move(task));
    executor_.scheduler().RunReady();
  }
  Uuid NewUuid() { return executor_.NewUuid(); }
  Executor& executor() { return executor_; }

 private:
  // Without helpers, so that what happens does so in the same order each time.
  Executor executor_{Executor::Options{.offload_threads = 0}};
};

struct FileNodeOptions {
  std::string path;
  bool create = false;    // Makes the store.
  bool rebooted = false;  // The store says that the cache is not the one of before.
  uint64_t reserve_bytes = 0;
  Uuid incarnation = {};
};

class FileNode {
 public:
  // `before` are the lives that are dead.
  static Result<std::unique_ptr<FileNode>> Start(RealEnv* env, const FileNodeOptions& options,
                                                 std::span<const Uuid> before);
  ~FileNode();
  LocalAtoll& atoll() { return parts_->atoll(); }
  Status Stop();

 private:
  FileNode(RealEnv* env, std::unique_ptr<NodeParts> parts) : env_(env), parts_(std::move(parts)) {}

  RealEnv* env_;
  std::unique_ptr<NodeParts> parts_;
  bool stopped_ = false;
};

}  // namespace atl
