// SPDX-License-Identifier: Apache-2.0
//
// Numbers as people write and read them. Units of bytes are binary: 1K is 1024.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "xseg/base/status.h"

namespace atl {

// "512", "512K", "10G", "64T", "1P", also with B or iB behind; either case. kInvalid if it is no
// size, kLimit if it is one beyond 64 bits.
Result<uint64_t> ParseSize(std::string_view text);

std::string HumanSize(uint64_t bytes);        // "10 GiB", "1.5 KiB", "511 B"
std::string HumanCount(double count);         // "12", "1.2k", "35M"
std::string HumanNs(int64_t ns);              // "80 ns", "1.2 ms", "3 s"
std::string HumanUptime(int64_t ns);          // "3d 4h", "5m 7s"
std::string UtcTime(int64_t ns_since_epoch);  // "2024-05-01T10:00:00Z"; empty for 0

}  // namespace atl
