// SPDX-License-Identifier: Apache-2.0
//
// Copies from a mapped file that may have become shorter, or whose disk may fail: what is SIGBUS
// for a program is an answer here.
//
// The first call takes SIGBUS over for the whole process. One that is raised elsewhere ends it, as
// if nobody had.
//
// Threads: any.
#pragma once

#include "xseg/base/bytes.h"

namespace atl {

// False: `from` cannot be read, and `to` holds anything. Both are as long.
bool CopyGuarded(MutSpan to, ConstSpan from);

}  // namespace atl
