// SPDX-License-Identifier: Apache-2.0
#include "peers/client/control_session.h"

#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "peers/client/session_ops.h"
#include "peers/client/unix_socket.h"

namespace atl {

ControlSession::ControlSession(const ControlHost& host, Fd socket)
    : host_(host), socket_(std::move(socket)) {}

Task<void> ControlSession::Run() {
  Status status;
  while (status.ok()) {
    co_await in_flight_.Acquire();
    status = co_await ReceiveOne();
  }
  if (status.code() != Code::kUnavailable) co_await Farewell(status);
  co_await work_.Join();
  co_await CloseDevices();
  shutdown(socket_.get(), SHUT_RDWR);
}

void ControlSession::HangUp() { shutdown(socket_.get(), SHUT_RD); }

void ControlSession::CheckDeadlines(int64_t now_ns) {
  const bool late = (receive_deadline_ns_ != 0 && now_ns > receive_deadline_ns_) ||
                    (send_deadline_ns_ != 0 && now_ns > send_deadline_ns_);
  if (late) shutdown(socket_.get(), SHUT_RDWR);
}

// The permission to have one more request in flight is held when this is called; it goes to the
// request that is started, or back when there is none.
Task<Status> ControlSession::ReceiveOne() {
  auto header = co_await ReceiveHeader();
  if (!header.ok()) co_return header.status();
  Bytes body(header->body_bytes);
  CO_RETURN_IF_ERROR(co_await Receive(body));
  co_return co_await BeginOperation(*this, *header, std::move(body));
}

Task<Result<FrameHeader>> ControlSession::ReceiveHeader() {
  std::array<std::byte, kFrameHeaderBytes> raw;
  // The clock runs from the first byte on: a connection may be idle for ever.
  const int got = co_await host_.executor.ring().Recv(socket_.get(), raw);
  if (got <= 0) co_return Status(Code::kUnavailable, "the connection is closed");
  CO_RETURN_IF_ERROR(co_await Receive(MutSpan(raw).subspan(static_cast<size_t>(got))));
  CO_ASSIGN_OR_RETURN(const FrameHeader header, ParseFrameHeader(raw, FrameKind::kRequest));
  if (header.id == 0) co_return Status(Code::kInvalid, "a request has an id that is not 0");
  co_return header;
}

Task<Status> ControlSession::Receive(MutSpan out) {
  if (out.empty()) co_return Status();
  receive_deadline_ns_ = host_.executor.BootNs() + host_.message_time_ns;
  Status status = co_await ReceiveAll(host_.executor, socket_.get(), out);
  receive_deadline_ns_ = 0;
  co_return status;
}

Task<void> ControlSession::Reply(FrameHeader request, Bytes body, ConstSpan payload) {
  if (body.size() > kMaxReplyBody) {
    body = MakeReplyBody(Status(Code::kLimit, "the answer is too large for one message"));
    payload = {};
  }
  FrameHeader header;
  header.id = request.id;
  header.op = request.op;
  header.kind = FrameKind::kReply;
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  const Bytes frame = MakeFrame(header, body);
  const Status sent = co_await Send(frame, payload);
  // Who does not take answers gets no more requests through either.
  if (!sent.ok()) shutdown(socket_.get(), SHUT_RDWR);
}

Task<Status> ControlSession::Send(ConstSpan frame, ConstSpan payload) {
  const auto turn = co_await sending_.Lock();
  send_deadline_ns_ = host_.executor.BootNs() + host_.message_time_ns;
  Status status = co_await SendAll(host_.executor, socket_.get(), frame);
  if (status.ok()) status = co_await SendAll(host_.executor, socket_.get(), payload);
  send_deadline_ns_ = 0;
  co_return status;
}

Task<void> ControlSession::Farewell(const Status& reason) {
  FrameHeader header;
  header.kind = FrameKind::kReply;
  const Bytes frame = MakeFrame(header, MakeReplyBody(reason));
  const Status ignored = co_await Send(frame, {});
  (void)ignored;
}

Task<void> ControlSession::CloseDevices() {
  for (auto& [handle, device] : std::exchange(devices_, {})) co_await device->Close();
}

Result<ControlSession::DeviceRef> ControlSession::Find(uint64_t handle) const {
  const auto found = devices_.find(handle);
  if (found != devices_.end()) return found->second;
  return Status(Code::kNotFound, "this connection has no such device open");
}

Task<Result<ControlSession::DeviceIo>> ControlSession::Prepare(uint64_t handle, uint32_t length) {
  CO_ASSIGN_OR_RETURN(DeviceRef device, Find(handle));
  DeviceIo io;
  io.device = std::move(device);
  if (length > 0) io.buffer = co_await io.device->buffers().Get(length);
  co_return io;
}

Task<Status> ControlSession::ReceivePayload(DeviceIo* io, uint32_t length) {
  if (length == 0) co_return Status();
  if (io != nullptr) co_return co_await Receive(io->buffer.span());
  Bytes nobody_wants(length);
  co_return co_await Receive(nobody_wants);
}

void ControlSession::Start(Task<void> work) { work_.Run(std::move(work)); }

}  // namespace atl
