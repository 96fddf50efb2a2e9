// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace atl {

// Of the project, such as "0.1.0".
const char* Version();

}  // namespace atl
