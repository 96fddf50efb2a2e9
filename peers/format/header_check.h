// SPDX-License-Identifier: Apache-2.0
//
// The rules that a header obeys whatever other records say.
#pragma once

#include "peers/format/header.h"

namespace atl {

// kInvalid or kLimit, naming the field. Encoding and decoding ask the same question, so nothing is
// written that would not be read back.
Status CheckHeader(const Header& header);

}  // namespace atl
