// SPDX-License-Identifier: Apache-2.0
#include "peers/store/record_state.h"

#include <algorithm>

namespace atl {

RecordState RecordState::Next(uint64_t next_version, const Uuid& next_operation) const {
  RecordState next{.version = next_version, .operation = next_operation, .creator = creator};
  if (version == 0) {
    next.creator = next_operation;
    return next;
  }
  next.history[0] = operation;
  std::copy(history.begin(), history.end() - 1, next.history.begin() + 1);
  return next;
}

std::optional<uint64_t> RecordState::MadeBy(const Uuid& by, uint64_t expected) const {
  if (version == 0) return std::nullopt;
  if (operation == by) return version;
  if (expected == 0) {
    // A record that was made and changed since: its first version is the oldest of the history.
    if (creator != by) return std::nullopt;
    const auto first = std::find(history.begin(), history.end(), by);
    if (first == history.end()) return version;
    return version - 1 - static_cast<uint64_t>(first - history.begin());
  }
  const uint64_t made = expected + 1;
  if (made >= version) return std::nullopt;
  const uint64_t age = version - 1 - made;
  if (age >= kRecordHistory || history[age] != by) return std::nullopt;
  return made;
}

}  // namespace atl
