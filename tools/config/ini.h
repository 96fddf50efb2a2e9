// SPDX-License-Identifier: Apache-2.0
//
// The syntax of configuration files, without their meaning:
//
//   # a comment, on a line of its own; ';' starts one too
//   [node]                 a section
//   placement = fused      a key and a value; blanks around either do not count
//   [store default]        a section with a name
//
// Every part knows its line, so that whatever is wrong with it can be said with its place.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "xseg/base/status.h"

namespace atl {

inline constexpr size_t kMaxConfigBytes = size_t{1} << 20;

struct IniEntry {
  std::string key;
  std::string value;
  int line = 0;
};

struct IniSection {
  std::string kind;  // "store" of [store default].
  std::string name;  // "default", or empty.
  int line = 0;
  std::vector<IniEntry> entries;
};

// Errors are kInvalid and begin with "file:line: "; `file` is used for that only.
Result<std::vector<IniSection>> ParseIni(std::string_view text, std::string_view file);

// kInvalid: "file:line: what".
Status ConfigError(std::string_view file, int line, std::string_view what);

}  // namespace atl
