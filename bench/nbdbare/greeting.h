// SPDX-License-Identifier: Apache-2.0
//
// The server's side of the handshake: fixed newstyle ("Newstyle negotiation", "Option types") with
// one export, whatever it is called, and no option but structured replies and what is needed to get
// to it. Blocks.
#pragma once

#include <cstdint>

#include "xseg/base/status.h"

namespace atl::nbdbare {

// Whether replies are to be structured. kCancelled: the client wants nothing (more).
Result<bool> Greet(int socket, uint64_t export_bytes);

}  // namespace atl::nbdbare
