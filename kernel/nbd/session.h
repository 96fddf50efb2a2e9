// SPDX-License-Identifier: Apache-2.0
//
// The transmission phase of one connection over its socket.
//
//   socket --recv--> ReceiveBuffer --RequestReader--> Execute (many at once) --> SendQueue
//      ^                                                                            |
//      +------------------------------- sendmsg ------------------------------------+
//
// One coroutine receives, one sends, and each request is one more. The sender runs after everything
// that was ready before it, so all replies of a turn leave in one sendmsg; with the next recv it is
// one system call for many requests.
//
// It ends after NBD_CMD_DISC, the end of the stream, nonsense, a broken socket or FinishSoon, when
// every request that had begun is done and, where the socket still works, its reply is sent. A
// request that has not come completely by then has no effect.
//
// Threads: of its executor. Neither socket nor device is owned.
#pragma once

#include <sys/uio.h>

#include <array>
#include <memory>
#include <vector>

#include "kernel/nbd/buffer_watch.h"
#include "kernel/nbd/limits.h"
#include "kernel/nbd/receive_buffer.h"
#include "kernel/nbd/reply.h"
#include "kernel/nbd/service.h"
#include "kernel/nbd/stats.h"
#include "kernel/nbd/transmission.h"
#include "kernel/nbd/waiting.h"
#include "xseg/base/executor.h"

namespace atl::nbd {

class Session final {
 public:
  struct Parts {
    Executor* executor;
    int socket;
    ReceiveBuffer* in;  // With what came behind the handshake.
    Device* device;
    Negotiated negotiated;
    ConnectionLimits limits;
    bool detect_zeroes = false;
    ExportStats* stats;
    BufferWatch* watch;
  };
  explicit Session(const Parts& parts);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Task<void> Run();
  // No further request begins. The caller also ends the socket's reading side, or all of it.
  void FinishSoon() { stopping_ = true; }

  BufferHolder::State buffer_state() const;

 private:
  struct Slot : Exchange {
    int64_t started_ns = 0;
    uint64_t cost = 0;
  };

  Task<void> Receive();
  Task<bool> Fill();
  Task<bool> ReceivePayload(Slot* slot, ConstSpan first);
  Task<void> Send();
  Task<void> Execute(Slot* slot);
  void Finish(Slot* slot, Error error);
  bool HasRoom(uint64_t cost) const;
  Slot* TakeSlot(const Request& request, uint64_t cost);
  void ReturnSlot(Slot* slot);

  Parts parts_;
  WatchedPool pool_;
  Service service_;
  RequestReader reader_;

  std::vector<std::unique_ptr<Slot>> slots_;  // All; at most max_in_flight.
  std::vector<Slot*> free_;
  uint32_t in_flight_ = 0;
  uint64_t held_bytes_ = 0;
  Waker room_;

  SendQueue queue_;
  std::array<iovec, kMaxSendPieces> pieces_;
  Waker to_send_;
  Waker send_ended_;
  bool receiving_ = true;
  bool sending_ = true;
  bool stopping_ = false;
  bool broken_ = false;  // Nothing more can be sent.

  uint64_t moved_bytes_ = 0;
  int64_t send_stall_ns_ = 0;  // Since when replies or a payload wait for the socket; 0: no.
  int64_t payload_stall_ns_ = 0;
};

}  // namespace atl::nbd
