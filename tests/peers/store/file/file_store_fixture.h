// SPDX-License-Identifier: Apache-2.0
//
// A file store in a directory of its own.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "peers/store/file/file_store.h"
#include "peers/store/file/layout.h"
#include "tests/peers/store/contract/medium.h"
#include "tests/peers/store/contract/temp_dir.h"
#include "xseg/base/executor.h"

namespace atl {

class FileStoreTest : public testing::Test {
 protected:
  Result<std::unique_ptr<FileStore>> TryOpen(FileStoreOptions options = {}) {
    if (options.path.empty()) options.path = path();
    return FileStore::Open(executor, options);
  }
  std::unique_ptr<FileStore> Open(FileStoreOptions options = {}) {
    options.create = true;
    if (options.reserve_bytes == SpaceReserve::kDefaultBytes) options.reserve_bytes = 0;
    auto store = TryOpen(options);
    CHECK(store.ok()) << store.status().ToString();
    return *std::move(store);
  }
  void Run(Task<void> task) { executor.RunUntilDone(std::move(task)); }
  template <typename T>
  T Run(Task<T> task) {
    T result = executor.RunUntilDone(std::move(task));
    executor.scheduler().RunReady();
    return result;
  }
  // Others have their turn.
  void Rest(int64_t ns) {
    const auto rest = [this, ns]() -> Task<void> { co_await executor.Sleep(ns); };
    Run(rest());
  }
  void Close(Store& store) {
    executor.RunUntilDone(store.Close());
    executor.scheduler().RunReady();
  }
  BlobId NewBlob() { return {.owner = executor.NewUuid(), .epoch = 1}; }
  std::string path() const { return directory.path() + "/store"; }
  std::filesystem::path BlobPath(const BlobId& id) const {
    return std::filesystem::path(path()) / kBlobsDir / FileNameOf(id);
  }

  TempDir directory;
  Executor executor;
};

}  // namespace atl
