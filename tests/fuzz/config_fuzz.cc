// SPDX-License-Identifier: Apache-2.0
//
// Feeds the reader of configuration files. An error is one line that names the file; what is
// accepted keeps what the rest of the node takes for granted (node_config.h).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tools/config/load.h"
#include "xseg/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr char kFile[] = "/srv/node/atoll.conf";
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = atl::ParseConfig(text, kFile);
  if (!config.ok()) {
    const std::string_view message = config.status().message();
    CHECK(message.starts_with(kFile) && message.find('\n') == message.npos);
    return 0;
  }
  CHECK(config->file == kFile && config->state_dir.starts_with("/"));
  const auto& stores = config->stores;
  CHECK(std::ranges::count_if(stores, [](const auto& store) { return store.is_default; }) == 1);
  CHECK(std::ranges::any_of(stores, [&](const auto& x) { return x.name == config->catalog; }));
  CHECK(std::ranges::all_of(
      stores, [](const auto& x) { return x.path.empty() || x.path.starts_with("/"); }));
  return 0;
}
