// SPDX-License-Identifier: Apache-2.0
//
// The transmission phase of one connection over its socket.
//
//   socket --recv--> ReceiveBuffer --RequestReader--> Execute (many at once) --> SendQueue
//      ^                                                                            |
//      +------------------------------- sendmsg ------------------------------------+
//
// One coroutine receives. What it can have done at once (Device::TryRead and its like) it does as
// it goes through what one recv has brought, and all replies to that leave in one sendmsg before
// the next recv: in the steady state two system calls serve many requests. Any other request is a
// coroutine of its own, and a further one sends what the socket did not take, or what has become
// ready meanwhile.
//
// A reply may point to the store's own memory (a *view*). That is right only until something else
// runs, so such replies leave, or are copied, before anything is awaited or changed: Settle. It
// waits for nothing.
//
// It ends after NBD_CMD_DISC, the end of the stream, nonsense, a broken socket or FinishSoon, when
// every request that had begun is done and, where the socket still works, its reply is sent. A
// request that has not come completely by then has no effect.
//
// Threads: of its executor. Neither socket nor device is owned.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "kernel/nbd/buffer_watch.h"
#include "kernel/nbd/limits.h"
#include "kernel/nbd/linger.h"
#include "kernel/nbd/pace.h"
#include "kernel/nbd/portions.h"
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
    Linger* linger;
  };
  explicit Session(const Parts& parts);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Task<void> Run();
  // No further request begins. The caller also ends the socket's reading side, or all of it.
  void FinishSoon() { stopping_ = true; }

  BufferHolder::State buffer_state() const;

 private:
  static constexpr int kNothingYet = -EAGAIN;
  struct Slot : Exchange {
    int64_t started_ns = 0;
    uint64_t cost = 0;
    ConstSpan view;  // Its data, if that is one.
    Bytes copy;      // Of what was one, if the pool had no room.
    bool is_viewed() const { return !view.empty(); }
  };

  Task<void> Receive();
  // Takes a request in; false if the session ends.
  Task<bool> Begin(const RequestReader::Step& step);
  bool ServeAtOnce(const RequestReader::Step& step);
  bool ReadAtOnce(Slot* slot);
  bool IsTurnOver(uint64_t bytes);
  bool IsWorthTrying();
  Task<bool> Fill();
  Task<int> ReceiveSoon();
  Task<int> ReceiveLate();
  // As recv: bytes, 0 at the end of the stream, kNothingYet or another negative errno.
  int ReceiveNow();
  void Received(int bytes);
  Task<bool> ReceivePayload(Slot* slot, ConstSpan first);
  // No view is left in the queue when it ends.
  void Settle();
  void CopyViews();
  void CopyView(Slot* slot);
  void Unview(Slot* slot);
  // As much as the socket takes now, and others need not wait for long.
  void SendNow();
  bool HasUnreadReplies() const;
  void Sent(size_t bytes);
  Task<void> Send();
  void Execute(Slot* slot);
  Task<void> Serve(Slot* slot);
  void Count(const Slot* slot, Error error);
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

  Portions portions_;
  uint32_t executing_ = 0;        // With others.
  uint32_t came_back_ = 0;        // Since the sender ran.
  int64_t portion_began_ns_ = 0;  // When the first of those that are executing went.

  SendQueue queue_;
  std::array<iovec, kMaxSendPieces> pieces_;
  Waker to_send_;
  Waker send_ended_;
  uint32_t views_ = 0;         // Replies in the queue whose data is a view,
  uint64_t viewed_bytes_ = 0;  // and their bytes.
  bool in_kernel_ = false;     // The sender's sendmsg is under way.
  uint64_t turn_bytes_ = 0;    // What was served at once since others had their turn.
  uint32_t misses_ = 0;        // In a row: the device could not do it at once.
  int64_t received_ns_ = 0;
  Pace pace_;
  bool waits_late_ = false;  // In ReceiveLate.
  bool lingered_ = false;
  int64_t nothing_since_ns_ = 0;  // There is nothing to do but to wait.
  bool receiving_ = true;
  bool sending_ = true;
  bool stopping_ = false;
  bool broken_ = false;  // Nothing more can be sent.

  uint64_t moved_bytes_ = 0;
  int64_t send_stall_ns_ = 0;  // Since when replies or a payload wait for the socket; 0: no.
  int64_t payload_stall_ns_ = 0;
};

}  // namespace atl::nbd
