// SPDX-License-Identifier: Apache-2.0
//
// Ping-pong with what the machine and the kernel offer, and nothing else: what the games over ports
// are compared with. Each game has `rounds` round trips.
#pragma once

#include "bench/ipc/pair.h"

namespace atl::pingpong {

// Two words in shared memory, each in a cache line of its own.
Game SharedWords(int rounds);
// The same two words, and a wake and a wait for each.
Game Futexes(int rounds);
// Two eventfds, each read and written by one side.
Game EventFds(int rounds);
// Messages of a cache line over a pair of Unix sockets, so many in flight; those that can be sent
// together are.
Game UnixSockets(int rounds, int in_flight);

}  // namespace atl::pingpong
