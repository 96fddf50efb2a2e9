// SPDX-License-Identifier: Apache-2.0
//
// The keys of a configuration file, one row each: what `init` writes, what the reader accepts and
// what an error suggests all come from here.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tools/config/node_config.h"
#include "xseg/base/status.h"

namespace atl {

template <typename Target>
struct KeyRow {
  std::string_view key;
  std::string_view fallback;  // As it is written in the file; empty: nothing is set.
  std::string_view help;      // Lines for the file that `init` writes.
  // kInvalid says what the value should be; the caller adds the place.
  Status (*set)(Target& target, std::string_view value);
};

std::span<const KeyRow<NodeConfig>> NodeKeys();
std::span<const KeyRow<StoreConfig>> StoreKeys();

// Keys of a store that belong to its driver: "option.direct = yes".
inline constexpr std::string_view kOptionPrefix = "option.";

}  // namespace atl
