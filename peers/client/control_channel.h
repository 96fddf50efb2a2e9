// SPDX-License-Identifier: Apache-2.0
//
// The client's end of a connection to a node: many calls in flight over one socket. When the
// connection ends, every call that waits gets kUnavailable with the reason, and so does every later
// one.
//
// Lifetime: Close before the last reference goes, and before the executor ends.
// Threads: belongs to its executor's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "peers/client/frame.h"
#include "xseg/base/executor.h"
#include "xseg/base/fd.h"
#include "xseg/base/sync.h"
#include "xseg/base/task.h"

namespace atl {

class ControlChannel {
 public:
  ControlChannel(Executor& executor, Fd socket);
  ~ControlChannel();

  // `payload` is sent with the request; the payload of the answer fills `into` exactly. Both stay
  // alive until the call has ended.
  template <typename O>
  Task<Result<typename O::Wire::Reply>> Call(O op, ConstSpan payload = {}, MutSpan into = {}) {
    Pending pending{.into = into};
    Bytes body = EncodeMessage(op);
    CO_RETURN_IF_ERROR(co_await RoundTrip(O::Wire::kOp, std::move(body), payload, &pending));
    auto reply = ParseReplyBody<typename O::Wire::Reply>(pending.body);
    if (reply.ok() && pending.filled != into.size()) {
      co_return Status(Code::kInvalid, "an answer without its data");
    }
    co_return reply;
  }

  // Ends the connection and waits for its reader.
  Task<void> Close();
  Executor& executor() { return executor_; }

 private:
  struct Pending {
    MutSpan into;
    size_t filled = 0;
    Bytes body;
    Status broken;
    Event done;
  };

  Task<Status> RoundTrip(Op op, Bytes body, ConstSpan payload, Pending* pending);
  Task<Status> Send(FrameHeader header, Bytes body, ConstSpan payload);
  Task<void> ReadAll();
  Task<Status> ReadOne();
  Task<Status> ReadPayload(const FrameHeader& header, Pending* pending);
  void Break(const Status& reason);

  Executor& executor_;
  Fd socket_;
  Mutex sending_;
  uint64_t next_id_ = 1;
  std::unordered_map<uint64_t, Pending*> pending_;
  Status broken_;
  TaskGroup reader_;
};

}  // namespace atl
