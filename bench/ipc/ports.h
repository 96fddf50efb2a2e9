// SPDX-License-Identifier: Apache-2.0
//
// Ping-pong with requests of a segment: from port to port by plain threads, and by two executors,
// as the peers of an isolated node do it. Each game has `rounds` requests, `in_flight` at a time,
// none of them with arguments or a buffer.
#pragma once

#include "bench/ipc/pair.h"

namespace atl::pingpong {

Game Ports(int rounds, Waits waits, int in_flight);
Game Executors(int rounds, Waits waits, int in_flight);

}  // namespace atl::pingpong
