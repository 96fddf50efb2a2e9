// SPDX-License-Identifier: Apache-2.0
//
// The client's side of the handshake: fixed newstyle and NBD_OPT_GO ("Newstyle negotiation",
// "Option types"), without structured replies, so that a reply to a read is one header and its
// bytes. Blocks.
#pragma once

#include <cstdint>
#include <string>

#include "xseg/base/fd.h"
#include "xseg/base/status.h"

namespace atl::nbdblast {

struct Export {
  Fd socket;
  uint64_t size = 0;
  uint16_t flags = 0;  // "Transmission flags".
};

// Connects to the Unix socket at `path` and asks for export `name`; empty is the default export.
Result<Export> Connect(const std::string& path, const std::string& name);

}  // namespace atl::nbdblast
