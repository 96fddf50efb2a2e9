// SPDX-License-Identifier: Apache-2.0
#include "peers/port_rpc/rpc_server.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace atl {

RpcServer::RpcServer(Port* port) : port_(port) { Add(OpList<ErrorTextOp>{}, this); }

RpcServer::~RpcServer() {
  for (Request& request : waiting_) request.Leave();
}

void RpcServer::Serve() {
  serving_ = true;
  for (Request& request : std::exchange(waiting_, {})) {
    const PortIndex from = port_->SenderOf(request);
    const bool wanted = port_->segment().port(from).LoadControl().state == PortState::kActive;
    if (wanted) OnRequest(std::move(request));  // Else the token answers, and nobody reads it.
  }
}

void RpcServer::OnRequest(Request request) {
  if (!serving_) {
    waiting_.push_back(std::move(request));
    return;
  }
  if (request.is_replayed() && (request.flags() & kFlagAnswering) != 0) {
    port_->Respond(std::move(request), Code::kUnavailable, kAskAgain);
    return;
  }
  const size_t op = request.op();
  if (op >= kOps || rows_[op].run == nullptr) {
    const Status unknown(Code::kUnsupported,
                         "this peer does not serve " + NameOf(static_cast<Op>(op)));
    Refuse(std::move(request), {}, unknown);
    return;
  }
  running_.Run(rows_[op].run(this, rows_[op].service, std::move(request)));
}

Result<RpcServer::Opened> RpcServer::Open(const Request& request) const {
  const ConstSpan arguments = request.arguments();
  if (arguments.size() < sizeof(RpcHead)) return Status(Code::kInvalid, "a request without a head");
  RpcHead head;
  std::memcpy(&head, arguments.data(), sizeof(head));
  Opened opened;
  opened.call.from = port_->SenderOf(request);
  opened.call.replayed = request.is_replayed() || (request.flags() & kFlagAgain) != 0;
  if (!request.buffer().empty()) {
    ASSIGN_OR_RETURN(opened.call.data, port_->segment().Resolve(request.buffer()));
  }
  if (head.message_bytes > 0) {
    ASSIGN_OR_RETURN(opened.message,
                     port_->segment().Resolve({head.message_offset, head.message_bytes}));
  }
  const bool in_slot = head.argument_bytes <= kRpcInlineBytes;
  const ConstSpan from = in_slot ? arguments.subspan(sizeof(head)) : ConstSpan(opened.message);
  if (head.argument_bytes > from.size()) {
    return Status(Code::kInvalid, "a request with fewer arguments than it says");
  }
  opened.fields = from.first(head.argument_bytes);
  return opened;
}

void RpcServer::MarkAnswering(Request* request) {
  request->set_flags(request->flags() | kFlagAnswering);
  // Before a byte of the answer can be seen there.
  std::atomic_thread_fence(std::memory_order_release);
}

void RpcServer::Succeed(Request request, size_t body_bytes) {
  MarkAnswering(&request);
  request.set_argument_bytes(std::min(body_bytes, kInlineArgumentBytes));
  port_->Respond(std::move(request), Code::kOk, kAnswered | static_cast<int64_t>(body_bytes));
}

void RpcServer::Refuse(Request request, MutSpan message, const Status& status) {
  MarkAnswering(&request);
  const ConstSpan text = AsBytes(status.message());
  int64_t result = kAnswered | static_cast<int64_t>(text.size());
  if (text.size() <= kInlineArgumentBytes) {
    request.SetArguments(text);
  } else if (text.size() <= message.size()) {
    std::memcpy(message.data(), text.data(), text.size());
    request.set_argument_bytes(0);
  } else {
    texts_[next_text_ % kTextsKept] = AsText(text);
    const uint64_t number = next_text_++;
    request.SetArguments({reinterpret_cast<const std::byte*>(&number), sizeof(number)});
    result |= kTextKept;
  }
  port_->Respond(std::move(request), status.code(), result);
}

Task<Result<ErrorTextReply>> RpcServer::Do(const RpcCall& call, ErrorTextOp& op) {
  if (op.number == 0 || op.number >= next_text_ || next_text_ - op.number > kTextsKept) {
    co_return Status(Code::kNotFound, "that text is not kept any more");
  }
  co_return ErrorTextReply{texts_[op.number % kTextsKept]};
}

}  // namespace atl
