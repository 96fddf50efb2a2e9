// SPDX-License-Identifier: Apache-2.0
//
// Help on every level, and completion for shells, both made of the table of verbs.
#pragma once

#include <string>
#include <string_view>

#include "tools/atoll/command_line.h"
#include "xseg/base/status.h"

namespace atl {

std::string HelpText(const HelpRequest& request);
// A script for "bash" or "zsh"; kInvalid for another shell.
Result<std::string> CompletionScript(std::string_view shell);

}  // namespace atl
