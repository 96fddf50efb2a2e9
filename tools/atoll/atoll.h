// SPDX-License-Identifier: Apache-2.0
//
// The admin CLI: `main` without the process.
#pragma once

#include <string>
#include <vector>

namespace atl {

inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitWrongUsage = 2;

// Runs one command line (without the program's name) and returns the exit code.
int RunAtoll(const std::vector<std::string>& words);

}  // namespace atl
