// SPDX-License-Identifier: Apache-2.0
//
// The places in the sources of the file driver that make a system call, found by reading them: a
// call of something that takes a sys::Site.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace atl {

struct SourceSite {
  std::string file;
  uint32_t line = 0;
  std::string text;
};

// Of all sources in the folder, but for those that pass the site of their caller on.
std::vector<SourceSite> SitesOfSources(const std::string& folder);

}  // namespace atl
