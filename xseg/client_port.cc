// SPDX-License-Identifier: Apache-2.0
#include "xseg/client_port.h"

#include <poll.h>

#include "xseg/client_greeting.h"
#include "xseg/descriptor_passing.h"

namespace atl {

Result<std::unique_ptr<ClientPort>> ClientPort::Receive(int socket) {
  Bytes greeting(kClientGreeting.size());
  ASSIGN_OR_RETURN(std::vector<Fd> received, ReceiveDescriptors(socket, greeting));
  if (AsText(greeting) != kClientGreeting || received.size() != 2) {
    return Status(Code::kInvalid, "the server sent no client segment");
  }
  std::unique_ptr<ClientPort> port(new ClientPort());
  ASSIGN_OR_RETURN(port->segment_, ClientSegment::Attach(std::move(received[0])));
  port->bell_ = std::move(received[1]);
  port->MakePool();
  ClientRings& rings = port->segment_->rings();
  port->sender_.emplace(port->segment_->slots(), &rings.answers, &rings.client, nullptr);
  return port;
}

ClientPort::~ClientPort() {
  // Slots may be out still; their buffers end with the segment.
  for (unsigned i = 0; sender_ && i < sender_->capacity(); ++i) sender_->BufferOf(i).Disown();
}

void ClientPort::MakePool() {
  PoolParts parts;
  const auto class_at = segment_->class_at();
  for (int c = 0; c < kBlockClasses; ++c) {
    const uint32_t blocks = segment_->geometry().blocks[c];
    words_[c] = std::vector<std::atomic<uint32_t>>(blocks);
    hints_[c] = std::vector<std::atomic<uint64_t>>(HintWords(blocks));
    for (auto& hint : hints_[c]) hint.store(~0ull, std::memory_order_relaxed);
    parts.classes[c] = {words_[c], hints_[c], class_at[c]};
  }
  parts.area = segment_->area();
  buffers_.emplace(parts, kServerHolder);
}

void ClientPort::Submit(Request&& request) {
  CHECK(request.home() == this);
  ClientRings& rings = segment_->rings();
  sender_->Submit(std::move(request), {.holder = kServerHolder,
                                       .box = &rings.requests,
                                       .to = &rings.server,
                                       .summary_bit = kBitOfWord});
  RingIfAsleep(rings.server, {bell_.get(), Bell::Kind::kSocket});
}

bool ClientPort::Wait(AdaptiveSpin& spin, int64_t timeout_ns) {
  if (sender_->HasAnswers()) return true;
  return WaitOnFutex(segment_->rings().client, spin, timeout_ns);
}

bool ClientPort::PrepareSleep() {
  return !sender_->HasAnswers() && AnnounceSleep(segment_->rings().client, Sleep::kEvent);
}

bool ClientPort::server_gone() const {
  // Whatever it has rung with before may still be there to read.
  pollfd bell{bell_.get(), POLLRDHUP, 0};
  return poll(&bell, 1, 0) == 1;
}

}  // namespace atl
