// SPDX-License-Identifier: Apache-2.0
//
// Feeds the reader of configuration files. An error is one line that names the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tools/config/load.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr char kFile[] = "/srv/node/atoll.conf";
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = atl::ParseConfig(text, kFile);
  if (config.ok() || config.status().message().starts_with(kFile)) return 0;
  std::abort();
}
