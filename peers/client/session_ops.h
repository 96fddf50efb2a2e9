// SPDX-License-Identifier: Apache-2.0
//
// What a connection does with each operation of the page (peers/ops.h).
#pragma once

#include "peers/client/control_session.h"
#include "peers/client/frame.h"
#include "xseg/base/task.h"

namespace atl {

// Decodes the operation and starts it in its turn. Returns when the next message may be received;
// an error is a breach of the protocol. Passes on the session's permission for one request.
Task<Status> BeginOperation(ControlSession& session, FrameHeader header, Bytes body);

}  // namespace atl
