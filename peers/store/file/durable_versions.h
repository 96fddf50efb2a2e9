// SPDX-License-Identifier: Apache-2.0
//
// Which version of a record this instance knows to be durable, so that acting on it again costs no
// sync. Versions are never named again, so what was durable once stays so.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "peers/store/ids.h"

namespace atl {

class DurableVersions {
 public:
  bool Knows(const RecordKey& key, uint64_t version) const {
    const std::lock_guard lock(mutex_);
    const auto found = versions_.find(key);
    return found != versions_.end() && found->second == version;
  }
  void Learn(const RecordKey& key, uint64_t version) {
    const std::lock_guard lock(mutex_);
    // Forgetting costs a sync, nothing else.
    if (versions_.size() >= kMost) versions_.clear();
    versions_[key] = version;
  }

 private:
  static constexpr size_t kMost = 65'536;
  mutable std::mutex mutex_;
  std::unordered_map<RecordKey, uint64_t> versions_;
};

}  // namespace atl
