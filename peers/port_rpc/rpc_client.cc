// SPDX-License-Identifier: Apache-2.0
#include "peers/port_rpc/rpc_client.h"

#include <functional>

namespace atl {
namespace {

// Fields that are not in the slot, and what comes with them.
size_t MessageBytes(size_t argument_bytes, size_t reply_room) {
  return std::max(argument_bytes <= kRpcInlineBytes ? 0 : argument_bytes, reply_room);
}

Status Ended(const RpcTarget& to) { return {Code::kUnavailable, to.name + " is not running"}; }

}  // namespace

RpcClient::RpcClient(Env* env, PortPoller* poller, size_t bounce_bytes)
    : poller_(poller),
      bounces_(env, &poller->port().buffers(), bounce_bytes),
      messages_(env, &poller->port().buffers(), kMessageBytes) {}

Result<RpcTarget> RpcClient::Find(std::string_view port_name) const {
  RpcTarget target{.name = std::string(port_name)};
  const auto port = Port::Find(segment(), port_name);
  if (!port.ok()) return Ended(target);
  target.port = *port;
  RETURN_IF_ERROR(CheckRunning(target));
  return target;
}

Status RpcClient::CheckRunning(const RpcTarget& to) const {
  const PortState state = segment().port(to.port).LoadControl().state;
  return state == PortState::kFree ? Ended(to) : Status();
}

bool RpcClient::InSegment(ConstSpan bytes) const {
  const MutSpan area = segment().area();
  const std::less_equal<const std::byte*> before{};
  return before(area.data(), bytes.data()) &&
         before(bytes.data() + bytes.size(), area.data() + area.size());
}

void RpcClient::WriteRequest(const Outgoing& call, Request* request, ConstSpan data,
                             MutSpan message) {
  call.number(call.fields);
  const MutSpan room = request->argument_room().subspan(sizeof(RpcHead));
  RpcHead head{};
  size_t bytes = call.encode(room, call.fields);
  head.argument_bytes = static_cast<uint32_t>(bytes);
  if (bytes > room.size()) {
    call.encode(message, call.fields);
    bytes = 0;
  }
  if (!message.empty()) {
    const BufferRef ref = segment().RefOf(message);
    head.message_offset = ref.offset;
    head.message_bytes = ref.length;
  }
  std::memcpy(request->argument_room().data(), &head, sizeof(head));
  request->set_argument_bytes(sizeof(head) + bytes);
  if (!data.empty()) request->ReferTo(segment().RefOf(data));
}

Task<Status> RpcClient::Exchange(const Outgoing& call, Answer* answer) {
  ConstSpan data = call.in.empty() ? ConstSpan(call.out) : call.in;
  Buffer bounce;
  if (!data.empty() && !InSegment(data)) {
    if (data.size() > kMaxBufferBytes) {
      co_return Status(Code::kLimit, call.to.name + ": too much data for one request");
    }
    bounce = co_await bounces_.Get(data.size());
    if (!call.in.empty()) std::memcpy(bounce.span().data(), data.data(), data.size());
    data = bounce.span();
  }
  const size_t message_bytes = MessageBytes(call.encode({}, call.fields), call.reply_room);
  if (message_bytes > kMaxBufferBytes) {
    co_return Status(Code::kLimit, call.to.name + ": the arguments are too large for one message");
  }
  if (message_bytes > 0) answer->message = co_await messages_.Get(message_bytes);
  const MutSpan message = answer->message ? answer->message.span() : MutSpan();

  for (bool again = false;; again = true) {
    answer->slot = {};
    Request request = co_await poller_->Prepare(call.op);
    CO_RETURN_IF_ERROR(CheckRunning(call.to));
    WriteRequest(call, &request, data, message);
    if (again) request.set_flags(kFlagAgain);
    answer->slot = co_await poller_->Call(std::move(request), call.to.port);
    if ((answer->slot.result() & kAskAgain) == 0) break;
  }
  CO_RETURN_IF_ERROR(co_await OutcomeOf(call.to, answer));
  if (bounce && !call.out.empty()) {
    std::memcpy(call.out.data(), data.data(), data.size());
  }
  co_return OkStatus();
}

// Finds the body of an answer, and makes a status of one that is not ok.
Task<Status> RpcClient::OutcomeOf(const RpcTarget& to, Answer* answer) {
  const int64_t result = answer->slot.result();
  if ((result & kAnswered) == 0) {
    co_return Status(Code::kUnavailable, to.name + " ended before it answered");
  }
  answer->body_bytes = static_cast<size_t>(result & kBodyMask);
  const bool kept = (result & kTextKept) != 0;
  if (kept || answer->body_bytes <= kInlineArgumentBytes) {
    answer->body = answer->slot.arguments();
  } else if (answer->message && answer->body_bytes <= answer->message.span().size()) {
    answer->body = answer->message.span().first(answer->body_bytes);
  }
  const Code code = answer->slot.code();
  if (code == Code::kOk) co_return OkStatus();
  if (!IsValid(code)) co_return Status(Code::kInternal, to.name + ": an unknown error code");
  if (!kept) co_return Status(code, std::string(AsText(answer->body)));
  ErrorTextOp op;
  Decoder in(answer->body);
  op.number = in.Get<uint64_t>();
  answer->slot = {};  // There may be no other one left.
  auto text = co_await Call(to, op);
  co_return Status(code, text.ok() ? std::move(text->text) : to.name + ": no text was kept");
}

}  // namespace atl
