// SPDX-License-Identifier: Apache-2.0
//
// A store that checks its callers: that they adopt before they change, append without gaps, repeat
// an append with the same bytes, keep to the limits, and call nothing after Close. A violation is a
// fault of ours and ends the process, unless a handler is given. It also counts operations and
// bytes, by which tests see what an operation costs.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "peers/store/filter/forwarding_store.h"

namespace atl {

struct OpCount {
  uint64_t calls = 0;
  uint64_t errors = 0;
  uint64_t bytes = 0;  // Asked for: read, written, appended, payloads.
};

class CheckedFilter final : public ForwardingStore {
 public:
  using Handler = std::function<void(const std::string& violation)>;
  explicit CheckedFilter(std::unique_ptr<Store> below, Handler on_violation = nullptr);

  // Of what is not done at once nobody is told, so no rule is broken by it.
  bool TryRead(const BlobId& blob, uint64_t offset, MutSpan out) override;
  bool TryWrite(const BlobId& blob, uint64_t offset, ConstSpan data) override;

  const OpCount& count(StoreOp op) const { return counts_[static_cast<size_t>(op)]; }
  // Bytes handed down to be stored: data, logs, records and chunks.
  uint64_t stored_bytes() const;
  void ResetCounts() { counts_ = {}; }

 private:
  struct Log {
    bool end_known = false;
    uint64_t end = 0;
    uint64_t last_position = 0;
    uint64_t last_length = 0;
    uint32_t last_checksum = 0;
  };

  Task<Status> Before(const StoreCall& call) override;
  Task<Status> After(const StoreCall& call, Status outcome) override;
  void Expect(bool kept, const StoreCall& call, const char* rule);
  void CheckTarget(const StoreCall& call);
  void CheckSizes(const StoreCall& call);
  void CheckAppend(const StoreCall& call);
  void Learn(const StoreCall& call, bool ok);
  bool CountAtOnce(StoreOp op, bool done, size_t bytes);

  Handler on_violation_;
  bool closed_ = false;
  std::set<BlobId> blobs_;  // Adopted through this filter.
  std::map<LogId, Log> logs_;
  std::array<OpCount, kStoreOpCount> counts_{};
};

}  // namespace atl
