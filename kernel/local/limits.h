// SPDX-License-Identifier: Apache-2.0
//
// Every limit of the front end for local clients. Those of the greeting are in protocol.h, those
// of a segment in xseg/client_segment.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "peers/client/device.h"
#include "xseg/base/units.h"
#include "xseg/client_segment.h"

namespace atl::local {

// Reads and writes up to this are done as soon as they are seen; longer ones would hold up what is
// behind them, and are a coroutine each.
inline constexpr uint64_t kMostAtOnce = 64 * kKiB;
// How much one session does at once before others have their turn: about 100 us.
inline constexpr uint64_t kTurnBytes = kMiB;
// How often a session looks for further requests before all others have their turn.
inline constexpr int kLooksInATurn = 4;

static_assert(kMaxRequest <= kMaxBufferBytes);

struct Limits {
  // A further one is told so (kLimit). Each may hold as much memory as its segment has.
  uint32_t max_clients = 64;
  ClientGeometry geometry;  // What each client gets: 128 requests, 37 MiB of buffers.
  // For a greeting to come in; a client that takes longer is cut off.
  int64_t greeting_timeout_ns = 10 * kSecond;
  // Resources whose counters are kept when no client is left.
  uint32_t max_idle_stats = 1024;
};

}  // namespace atl::local
