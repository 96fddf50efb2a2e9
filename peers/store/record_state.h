// SPDX-License-Identifier: Apache-2.0
//
// What a driver keeps of a record besides its payload, and the rule by which a swap that finds
// another version is either lost or has happened before. Pure.
//
// A swap can win and be replaced by the next one before its caller has heard of it. To be told
// "conflict" then would make the caller apply its change twice (a count of references would be one
// too high), so every version carries the operations of the versions before it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "peers/store/store.h"

namespace atl {

inline constexpr size_t kRecordHistory = 8;

struct RecordState {
  uint64_t version = 0;  // 0: there is no record.
  Uuid operation;        // Made this version.
  Uuid creator;          // Made the first version.
  // history[i] made version - 1 - i; zero where unknown.
  std::array<Uuid, kRecordHistory> history{};

  // The state of the version that `operation` makes on top of this one.
  RecordState Next(uint64_t next_version, const Uuid& next_operation) const;
  // The version that an earlier try of the same swap made, if this state shows that it did.
  std::optional<uint64_t> MadeBy(const Uuid& by, uint64_t expected) const;
};

}  // namespace atl
