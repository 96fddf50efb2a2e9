// SPDX-License-Identifier: Apache-2.0
//
// From the words of a command line to an Invocation, by the table of verbs.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "tools/atoll/context.h"
#include "xseg/base/status.h"

namespace atl {

// Whoever asks for help gets this much of it.
struct HelpRequest {
  std::string group;              // Empty: all.
  const VerbRow* verb = nullptr;  // Set: of this one.
};
struct VersionRequest {};

using CommandLine = std::variant<Invocation, HelpRequest, VersionRequest>;

// An error is wrong usage, one line.
Result<CommandLine> ParseCommandLine(const std::vector<std::string>& words);

// "atoll volume create NAME --size SIZE [--from SNAPSHOT]"
std::string UsageOf(const VerbRow& verb);
// "volume create"
std::string PathOf(const VerbRow& verb);

}  // namespace atl
