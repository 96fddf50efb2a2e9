// SPDX-License-Identifier: Apache-2.0
//
// Every limit of the NBD front end. What belongs to the protocol is constant; what an administrator
// may want to turn is in `ConnectionLimits` and `ServerLimits`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "peers/client/device.h"
#include "xseg/base/units.h"

namespace atl::nbd {

// "Conventions": a string has at most 4096 bytes. Export names and metadata queries are strings.
inline constexpr uint32_t kMaxStringBytes = 4096;
// Data of one option. A longer one is skipped and refused with TOO_BIG ...
inline constexpr uint32_t kMaxOptionBytes = 64 * kKiB;
// ... and beyond this the client is cut off.
inline constexpr uint32_t kMaxSkippedOptionBytes = kMiB;
// Options of one handshake; the client is cut off after them. Tools that list exports send two for
// each export that they have found.
inline constexpr uint32_t kMaxOptions = 20'000;
// Queries of one LIST_META_CONTEXT or SET_META_CONTEXT.
inline constexpr uint32_t kMaxMetaQueries = 64;
// Exports that are asked for, and sent, at a time by LIST.
inline constexpr uint32_t kListPage = 1000;

// "Size constraints".
inline constexpr uint32_t kMinBlock = 1;
inline constexpr uint32_t kPreferredBlock = 4096;
inline constexpr uint32_t kMaxPayload = kMaxRequest;

// Descriptors of one block status reply; clients go on where it ends.
inline constexpr size_t kMaxStatusExtents = 4096;
// Reads from this length on are first asked for holes: below, the bytes cost less than the
// question.
inline constexpr uint32_t kSparseReadBytes = 32 * kKiB;
// Content chunks of one read.
inline constexpr size_t kMaxReadChunks = 64;
// Holes below this are sent as data.
inline constexpr uint32_t kMinHoleChunk = 4 * kKiB;
// Text of an error chunk or of an option's refusal.
inline constexpr size_t kMaxErrorText = 256;

// Memory for headers that a reply keeps for the next one.
inline constexpr size_t kKeptReplyBytes = 4 * kKiB;

// Bytes that one recv may bring.
inline constexpr size_t kReceiveBytes = 256 * kKiB;
// A write payload of at most this is collected in the receive buffer, so that a trickling client
// holds no payload buffer; of a longer one this much has come before a buffer is taken.
inline constexpr size_t kSmallPayload = 64 * kKiB;
static_assert(kReceiveBytes >= 2 * (kSmallPayload + 28));
static_assert(kReceiveBytes >= kMaxOptionBytes + 16);
// Reads up to this are copied from the page cache between two other requests; longer ones would
// hold those up.
inline constexpr uint32_t kMostReadAtOnce = kMiB;
// Of a Unix socket, so that the replies to a whole batch of requests leave at once. The kernel
// takes as much memory only while the client does not read them.
inline constexpr int kSendBufferBytes = 2 * kMiB;
// How much one session does at once before others have their turn: about 100 us. Each request
// counts as so many bytes more.
inline constexpr uint64_t kTurnBytes = kMiB;
inline constexpr uint64_t kTurnBytesOfRequest = 8 * kKiB;
// Bytes of replies that are sent, if the socket takes them, before others have their turn.
inline constexpr uint64_t kMostSentAtOnce = 2 * kMiB;
// Pieces of one sendmsg; the kernel's own limit is 1024.
inline constexpr size_t kMaxSendPieces = 512;

struct ConnectionLimits {
  // From accept to GO, without the time that the node itself takes to answer.
  int64_t handshake_timeout_ns = 10 * kSecond;
  // Requests that are being served or whose reply is not sent yet. When one of both is reached the
  // socket is not read: the client is slowed down by its own replies.
  uint32_t max_in_flight = 128;
  uint64_t max_in_flight_bytes = 64 * kMiB;
  // Reads up to this are sent from where they lie, and of one turn so many bytes in all: what the
  // socket does not take has to be copied.
  uint32_t max_view = kMiB;
  uint64_t max_viewed_bytes = 4 * kMiB;
};
static_assert(ConnectionLimits{}.max_in_flight_bytes >= kMaxRequest);

struct ServerLimits {
  ConnectionLimits connection;
  // A further client takes the place of the one that has been in its handshake for longest; if
  // there is none, it is closed as soon as it is accepted.
  uint32_t max_connections = 1024;
  // A graceful stop cuts off who is not done by then.
  int64_t stop_grace_ns = 10 * kSecond;
  // While somebody waits for a payload buffer, a client that holds some because of its own socket
  // has to move `min_progress_bytes` in `buffer_patience_ns`, or is cut off.
  int64_t buffer_patience_ns = 2 * kSecond;
  uint64_t min_progress_bytes = 256 * kKiB;
  // Exports whose counters are kept when no client is left.
  uint32_t max_idle_stats = 1024;
};

}  // namespace atl::nbd
