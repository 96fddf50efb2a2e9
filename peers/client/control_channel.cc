// SPDX-License-Identifier: Apache-2.0
#include "peers/client/control_channel.h"

#include <sys/socket.h>

#include "peers/client/unix_socket.h"

namespace atl {

ControlChannel::ControlChannel(Executor& executor, Fd socket)
    : executor_(executor), socket_(std::move(socket)) {
  reader_.Run(ReadAll());
}

ControlChannel::~ControlChannel() { CHECK(reader_.running() == 0) << "a channel was not closed"; }

Task<void> ControlChannel::Close() {
  shutdown(socket_.get(), SHUT_RDWR);
  co_await reader_.Join();
}

Task<Status> ControlChannel::RoundTrip(Op op, Bytes body, ConstSpan payload, Pending* pending) {
  CO_RETURN_IF_ERROR(broken_);
  if (body.size() > kMaxRequestBody || payload.size() > kMaxFramePayload) {
    co_return Status(Code::kLimit, "the request is too large for one message");
  }
  FrameHeader header;
  header.id = next_id_++;
  header.op = op;
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  pending_.emplace(header.id, pending);
  const Status sent = co_await Send(header, std::move(body), payload);
  if (!sent.ok()) {
    // The reader may know better why, as when the server said goodbye first: it ends the call.
    shutdown(socket_.get(), SHUT_WR);
  }
  co_await pending->done;
  co_return pending->broken;
}

Task<Status> ControlChannel::Send(FrameHeader header, Bytes body, ConstSpan payload) {
  const Bytes frame = MakeFrame(header, body);
  const auto turn = co_await sending_.Lock();
  CO_RETURN_IF_ERROR(co_await SendAll(executor_, socket_.get(), frame));
  co_return co_await SendAll(executor_, socket_.get(), payload);
}

Task<void> ControlChannel::ReadAll() {
  Status status;
  while (status.ok()) status = co_await ReadOne();
  Break(status);
}

Task<Status> ControlChannel::ReadOne() {
  std::array<std::byte, kFrameHeaderBytes> raw;
  CO_RETURN_IF_ERROR(co_await ReceiveAll(executor_, socket_.get(), raw));
  CO_ASSIGN_OR_RETURN(const FrameHeader header, ParseFrameHeader(raw, FrameKind::kReply));
  Bytes body(header.body_bytes);
  CO_RETURN_IF_ERROR(co_await ReceiveAll(executor_, socket_.get(), body));
  if (header.id == 0) {
    ConstSpan rest = body;
    const Status reason = TakeOutcome(&rest);
    co_return reason.ok() ? Status(Code::kUnavailable, "the node ended the connection") : reason;
  }
  const auto found = pending_.find(header.id);
  if (found == pending_.end()) co_return Status(Code::kInvalid, "an answer to no question");
  Pending* pending = found->second;
  CO_RETURN_IF_ERROR(co_await ReadPayload(header, pending));
  pending_.erase(header.id);
  pending->body = std::move(body);
  pending->done.Set();
  co_return Status();
}

Task<Status> ControlChannel::ReadPayload(const FrameHeader& header, Pending* pending) {
  if (header.payload_bytes == 0) co_return Status();
  if (header.payload_bytes != pending->into.size()) {
    co_return Status(Code::kInvalid, "an answer with data of another length");
  }
  pending->filled = header.payload_bytes;
  co_return co_await ReceiveAll(executor_, socket_.get(), pending->into);
}

void ControlChannel::Break(const Status& reason) {
  broken_ = reason.code() == Code::kUnavailable ? reason.With("the node went away") : reason;
  // From now on sends fail at once instead of waiting for a reader that is gone.
  shutdown(socket_.get(), SHUT_RDWR);
  for (auto& [id, pending] : std::exchange(pending_, {})) {
    pending->broken = broken_;
    pending->done.Set();
  }
}

}  // namespace atl
