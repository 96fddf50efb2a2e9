// SPDX-License-Identifier: Apache-2.0
//
// The counters of all exports by name. They outlive their connections, so that rates can be seen
// over a reconnect, but only `max_idle` of them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernel/nbd/stats.h"

namespace atl::nbd {

class StatsTable {
 public:
  explicit StatsTable(size_t max_idle) : max_idle_(max_idle) {}

  // In use while the caller keeps it.
  std::shared_ptr<ExportStats> Use(const std::string& name) {
    auto& stats = table_[name];
    if (!stats) stats = std::make_shared<ExportStats>();
    std::shared_ptr<ExportStats> used = stats;
    ForgetIdle();
    return used;
  }
  std::vector<PortStats> Rows() const {
    std::vector<PortStats> rows;
    for (const auto& [name, stats] : table_) rows.push_back(stats->ToRow(name));
    return rows;
  }

 private:
  void ForgetIdle() {
    size_t idle = 0;
    for (const auto& [name, stats] : table_) idle += stats.use_count() == 1;
    for (auto it = table_.begin(); idle > max_idle_;) {
      const bool forget = it->second.use_count() == 1;
      it = forget ? table_.erase(it) : std::next(it);
      idle -= forget;
    }
  }

  size_t max_idle_;
  std::map<std::string, std::shared_ptr<ExportStats>> table_;
};

}  // namespace atl::nbd
