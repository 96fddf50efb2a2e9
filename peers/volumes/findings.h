// SPDX-License-Identifier: Apache-2.0
//
// What a check has found, with what would repair it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "peers/client/check_report.h"
#include "peers/store/ids.h"
#include "peers/store/store_set.h"

namespace atl {

// What may be done about a finding without losing anything. All of it looks again before it acts.
enum class RepairKind : uint8_t {
  kNone,
  kFinishPending,  // Open and close the volume.
  kPutName,        // Of a resource that has lost its name record.
  kDiscardName,    // A name record that does not count.
  kFreeLock,       // Of those who have ended.
  kRewriteCounts,  // A new root over the same tree.
};

struct Repair {
  RepairKind kind = RepairKind::kNone;
  StoreSlot slot = 0;
  Uuid uuid;
  RecordKey key;  // Of kDiscardName.
};

struct Found {
  Finding finding;
  Repair repair;
};

// Of one resource, until it is known that it did not change meanwhile.
class Findings {
 public:
  Findings(std::string store, std::string resource)
      : store_(std::move(store)), resource_(std::move(resource)) {}

  void Error(std::string what, Repair repair = {}) {
    Add(Severity::kError, std::move(what), repair);
  }
  void Note(std::string what, Repair repair = {}) { Add(Severity::kNote, std::move(what), repair); }

  bool empty() const { return all_.empty(); }
  std::vector<Found> Take() { return std::move(all_); }

 private:
  // A resource of which much is damaged is one finding or a thousand; nobody reads all of them.
  static constexpr size_t kMaxOfOne = 200;
  static constexpr size_t kMaxText = 1'000;

  void Add(Severity severity, std::string what, Repair repair) {
    if (all_.size() >= kMaxOfOne) return;
    if (what.size() > kMaxText) what.resize(kMaxText);
    Finding finding{.severity = severity,
                    .store = store_,
                    .resource = resource_,
                    .what = std::move(what),
                    .repairable = repair.kind != RepairKind::kNone};
    all_.push_back({std::move(finding), repair});
  }

  std::string store_;
  std::string resource_;
  std::vector<Found> all_;
};

}  // namespace atl
