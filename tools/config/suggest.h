// SPDX-License-Identifier: Apache-2.0
//
// "Did you mean": the known word nearest to one that is not known.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace atl {

// "; did you mean 'placement'?", or nothing if no word is near enough to be meant.
std::string Suggest(std::string_view word, std::span<const std::string_view> known);

}  // namespace atl
