// SPDX-License-Identifier: Apache-2.0
//
// Whole messages over a blocking socket.
#pragma once

#include <sys/uio.h>

#include <vector>

#include "xseg/base/bytes.h"
#include "xseg/base/status.h"

namespace atl::nbdbare {

// kCancelled: the client has hung up.
Status ReadAll(int socket, MutSpan into);

Status SendAll(int socket, ConstSpan bytes);
// Leaves `pieces` empty.
Status SendAll(int socket, std::vector<iovec>* pieces);

}  // namespace atl::nbdbare
