// SPDX-License-Identifier: Apache-2.0
//
// The bytes that come with a client segment's descriptors: memory file, then the client's bell.
#pragma once

#include <string_view>

namespace atl {

inline constexpr std::string_view kClientGreeting = "ATLCLNT1";

}  // namespace atl
