// SPDX-License-Identifier: Apache-2.0
//
// Calls to another peer of the node, over ports:
//
//   StoreSyncOp op{blob};
//   const auto reply = co_await client.Call(store, op);
//
// Arguments travel in the request's slot, data by reference if it lies in the segment already and
// else through a buffer of this client's pool. Calls reach the other side in no particular order;
// an operation with a `counter` (peers/port_ops.h) takes its number when it is sent, so that the
// receiver can restore the order in which the calls were made.
//
// A call to a peer that has died waits for its successor, which finds it and carries it out,
// perhaps for the second time (RpcCall::replayed).
//
// Errors: those of the operation, with their whole text; kUnavailable, naming the peer, if it has
// ended for good. The operation may have been carried out then.
//
// Threads: those of the port's Env. It outlives all its calls.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "peers/port_rpc/wire.h"
#include "xseg/base/env.h"
#include "xseg/port_poller.h"
#include "xseg/shared_buffer_pool.h"

namespace atl {

struct RpcTarget {
  PortIndex port = kNoPort;
  std::string name;  // For people.
};

class RpcClient {
 public:
  // `bounce_bytes` limits the buffers for data that does not lie in the segment; at least
  // kMaxBufferBytes if such data may be as large as that.
  RpcClient(Env* env, PortPoller* poller, size_t bounce_bytes);

  // What a client takes of the segment at most, besides `bounce_bytes`.
  static constexpr size_t kMessageBytes = 32 * kMiB;

  // The port of a peer. kUnavailable if it never ran, or has ended in order.
  Result<RpcTarget> Find(std::string_view port_name) const;

  // Which of the processes that have had this port it is; another number once one was replaced.
  uint32_t LifeOf(const RpcTarget& to) const {
    return segment().port(to.port).LoadControl().incarnation;
  }

  // `out` is filled by the other side, `in` is read by it; one of both at most.
  template <typename O>
  Task<Result<typename O::Wire::Reply>> Call(const RpcTarget& to, O op, ConstSpan in = {},
                                             MutSpan out = {}) {
    using Reply = typename O::Wire::Reply;
    Outgoing call{.to = to,
                  .op = static_cast<uint16_t>(O::Wire::kOp),
                  .fields = &op,
                  .encode = &EncodeFields<O>,
                  .number = &Number<O>,
                  .in = in,
                  .out = out,
                  .reply_room = kReplyRoom<O>};
    while (true) {
      Answer answer;
      CO_RETURN_IF_ERROR(co_await Exchange(call, &answer));
      if (answer.body_bytes <= answer.body.size()) co_return Parse<Reply>(to, answer.body);
      if (O::Wire::kRepeat != Repeat::kHarmless || answer.body_bytes > kMaxReplyRoom) {
        co_return Status(Code::kLimit, to.name + ": its answer is too large for one message");
      }
      call.reply_room = answer.body_bytes;
    }
  }
  // For operations that answer nothing but their outcome.
  template <typename O>
  Task<Status> Tell(const RpcTarget& to, O op, ConstSpan in = {}, MutSpan out = {}) {
    const auto reply = co_await Call(to, std::move(op), in, out);
    co_return reply.ok() ? Status() : reply.status();
  }

  PortPoller& poller() { return *poller_; }
  const Segment& segment() const { return poller_->port().segment(); }

 private:
  struct Outgoing {
    const RpcTarget& to;
    uint16_t op;
    void* fields;
    size_t (*encode)(MutSpan, const void*);
    void (*number)(void*);
    ConstSpan in;
    MutSpan out;
    size_t reply_room;
  };
  // Keeps slot and message buffer as long as the body is read.
  struct Answer {
    Request slot;
    Buffer message;
    ConstSpan body;
    size_t body_bytes = 0;  // More than body.size(): it did not fit.
  };

  template <typename O>
  static size_t EncodeFields(MutSpan out, const void* fields) {
    return EncodeInto(out, *static_cast<const O*>(fields));
  }
  template <typename O>
  static void Number(void* fields) {
    if constexpr (requires(O op) { op.counter; }) {
      O& op = *static_cast<O*>(fields);
      if (op.counter != nullptr) op.sequence = (*op.counter)++;
    }
  }
  template <typename Reply>
  static Result<Reply> Parse(const RpcTarget& to, ConstSpan body) {
    auto reply = DecodeMessage<Reply>(body);
    if (!reply.ok()) return Status(Code::kInternal, to.name + ": an answer that makes no sense");
    return reply;
  }

  Task<Status> Exchange(const Outgoing& call, Answer* answer);
  Task<Status> OutcomeOf(const RpcTarget& to, Answer* answer);
  Status CheckRunning(const RpcTarget& to) const;
  bool InSegment(ConstSpan bytes) const;
  void WriteRequest(const Outgoing& call, Request* request, ConstSpan data, MutSpan message);

  PortPoller* poller_;
  SharedBufferPool bounces_;
  // Apart from the others: who has a bounce buffer may wait for one of these, never the other way.
  SharedBufferPool messages_;
};

}  // namespace atl
