// SPDX-License-Identifier: Apache-2.0
#include "xseg/client_session.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "xseg/base/stamp_clock.h"
#include "xseg/client_greeting.h"
#include "xseg/doorbell.h"
#include "xseg/request.h"

namespace atl {
namespace {

// An honest client causes at most one look at an empty word for each request that is out, and it
// has at most 512 of those.
constexpr unsigned kMaxEmptyLooks = 1024;

// Looking whether the client is still there is a system call.
constexpr unsigned kQuietPollsPerLook = 1024;

Status Misbehaved(std::string_view how) {
  return {Code::kInvalid, fmt::format("the client misbehaves: {}", how)};
}

}  // namespace

ClientRequest::~ClientRequest() {
  if (session_ != nullptr) session_->Answer(number_, Code::kCancelled, 0, {});
}
uint16_t ClientRequest::op() const { return session_->table_[number_].op; }
uint16_t ClientRequest::flags() const { return session_->table_[number_].flags; }
uint64_t ClientRequest::trace() const { return session_->table_[number_].trace; }
ConstSpan ClientRequest::arguments() const {
  const auto& copy = session_->table_[number_];
  return std::as_bytes(std::span(copy.arguments)).first(copy.argument_bytes);
}
MutSpan ClientRequest::buffer() const {
  const BufferRef ref = session_->table_[number_].buffer;
  return session_->segment_->area().subspan(ref.offset, ref.length);
}

Result<std::unique_ptr<ClientSession>> ClientSession::Create(const Options& options) {
  std::unique_ptr<ClientSession> session(new ClientSession(options));
  ASSIGN_OR_RETURN(session->segment_, ClientSegment::Create(options.geometry));
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
    return Status::FromErrno(errno, "socketpair");
  }
  session->bell_ = Fd(ends[0]);
  session->client_bell_ = Fd(ends[1]);
  session->table_.resize(options.geometry.slots);
  return session;
}

ClientSession::~ClientSession() {
  CHECK(in_service_ == 0) << "a client's session ends while its requests are in service";
  // Who has ended, or is cut off, reads no more answers, and may keep the file for ever.
  if (!broken_.ok()) segment_->GiveBack();
  // The client hears of it now, even if a ring still holds a reference to the descriptor.
  if (bell_.valid()) shutdown(bell_.get(), SHUT_RDWR);
}

Status ClientSession::Offer(int socket) {
  ASSIGN_OR_RETURN(peer_, CredentialsOf(socket));
  const std::array<int, 2> descriptors = {segment_->memory_fd(), client_bell_.get()};
  RETURN_IF_ERROR(SendDescriptors(socket, AsBytes(kClientGreeting), descriptors));
  client_bell_.Close();
  return {};
}

Status ClientSession::Poll(const OnRequest& on_request, bool* any) {
  *any = false;
  if (!broken_.ok()) return broken_;
  uint64_t words = segment_->rings().server.TakeArrivals();
  if (words == 0) return ++quiet_polls_ < kQuietPollsPerLook ? Status() : LookAtBell();
  if ((words & ~kAllWords) != 0) return broken_ = Misbehaved("it rings for a word that is none");
  while (words != 0) {
    broken_ = TakeWord(TakeLowestBit(&words), on_request, any);
    if (!broken_.ok()) return broken_;
  }
  return {};
}

// Nothing else tells of a client that has died: it may have done so between any two of its writes,
// and bytes that it has rung with may still be there to read.
Status ClientSession::LookAtBell() {
  quiet_polls_ = 0;
  pollfd bell{bell_.get(), POLLRDHUP, 0};
  if (poll(&bell, 1, 0) == 1) broken_ = Status(Code::kUnavailable, "the client has ended");
  return broken_;
}

Status ClientSession::TakeWord(unsigned word, const OnRequest& on_request, bool* any) {
  uint64_t bits = segment_->rings().requests.Take(word);
  if (bits == 0) {
    if (++empty_looks_ > kMaxEmptyLooks) return Misbehaved("it rings for nothing");
    return {};
  }
  empty_looks_ = 0;
  while (bits != 0) {
    const unsigned number = word * 64 + TakeLowestBit(&bits);
    RETURN_IF_ERROR(TakeSlot(number));
    *any = true;
    on_request(ClientRequest(this, static_cast<uint16_t>(number)));
  }
  return {};
}

Status ClientSession::TakeSlot(unsigned number) {
  if (number >= table_.size()) return Misbehaved("it submits a slot that is none");
  Copy& copy = table_[number];
  if (copy.in_service) return Misbehaved("it submits a slot that is in service");
  const SlotRecord& slot = segment_->slots()[number];
  RETURN_IF_ERROR(Judge(slot, &copy));
  CopyArguments(slot, &copy);
  copy.in_service = true;
  ++in_service_;
  if (options_.metrics != nullptr) options_.metrics->Started(copy.op, copy.buffer.length);
  return {};
}

// Each field is read once; what is judged is the copy.
Status ClientSession::Judge(const SlotRecord& slot, Copy* copy) const {
  const SlotWord word = slot.LoadWord();
  copy->sequence = word.sequence;
  copy->op = slot.op.Load();
  copy->flags = slot.flags.Load();
  copy->argument_bytes = slot.argument_bytes.Load();
  copy->trace = slot.trace.Load();
  copy->buffer = {slot.buffer_offset.Load(), slot.buffer_length.Load()};
  copy->accepted_ns = StampNowNs();
  copy->submitted_ns = slot.submitted_ns.Load();
  if (word.state != SlotState::kSubmitted) return Misbehaved("a slot is not submitted");
  if (copy->submitted_ns < 0 || copy->submitted_ns > copy->accepted_ns) {
    copy->submitted_ns = copy->accepted_ns;  // Nothing but its own traces depends on it.
  }
  if (copy->op > options_.max_op) return Misbehaved("there is no such operation");
  if ((copy->flags & kFlagReplayed) != 0) return Misbehaved("a flag is not for clients");
  if (copy->argument_bytes > kInlineArgumentBytes) return Misbehaved("too many arguments");
  if (!copy->buffer.FitsIn(segment_->area().size())) {
    return Misbehaved("a buffer is not in its segment");
  }
  if (copy->buffer.length > options_.max_buffer_bytes) return Misbehaved("a buffer is too large");
  return {};
}

// Whole words, atomically: the client may be writing them.
void ClientSession::CopyArguments(const SlotRecord& slot, Copy* copy) const {
  const auto* from = reinterpret_cast<const uint64_t*>(slot.arguments);
  const size_t words = (copy->argument_bytes + 7u) / 8;
  for (size_t i = 0; i < words; ++i)
    copy->arguments[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
}

void ClientSession::Respond(ClientRequest&& request, Code code, int64_t result, ConstSpan answer) {
  CHECK(request.session_ == this);
  request.session_ = nullptr;
  Answer(request.number_, code, result, answer);
}

void ClientSession::Answer(unsigned number, Code code, int64_t result, ConstSpan answer) {
  CHECK(answer.size() <= kInlineArgumentBytes);
  Copy& copy = table_[number];
  SlotRecord& slot = segment_->slots()[number];
  if (!answer.empty()) std::memcpy(slot.arguments, answer.data(), answer.size());
  slot.argument_bytes.Store(static_cast<uint16_t>(answer.size()));
  slot.code.Store(static_cast<uint8_t>(code));
  slot.result.Store(result);
  const int64_t now = StampNowNs();
  slot.accepted_after.Store(StampAfter(copy.submitted_ns, copy.accepted_ns));
  slot.answered_after.Store(StampAfter(copy.submitted_ns, now));
  if (options_.metrics != nullptr) {
    options_.metrics->Finished(copy.op, code != Code::kOk, now - copy.accepted_ns);
  }
  // Free here before the client can know of it: it may submit the slot again at once.
  copy.in_service = false;
  --in_service_;
  slot.StoreWord({SlotState::kAnswered, kServerHolder, copy.sequence});
  ClientRings& rings = segment_->rings();
  rings.answers.Post(number);
  rings.client.RaiseAnswer(number / 64);
  RingIfAsleep(rings.client, {bell_.get(), Bell::Kind::kSocket});
}

// Only `arrivals` counts: a client that sets any other bit must not keep the server awake.
bool ClientSession::PrepareSleep() {
  if (!broken_.ok()) return true;
  HotLine& line = segment_->rings().server;
  line.sleeping.store(static_cast<uint32_t>(Sleep::kEvent), std::memory_order_seq_cst);
  if (line.arrivals.load(std::memory_order_seq_cst) == 0) return true;
  AnnounceAwake(line);
  return false;
}

void ClientSession::HungUp() { quiet_polls_ = kQuietPollsPerLook; }

void ClientSession::Woken() { AnnounceAwake(segment_->rings().server); }

}  // namespace atl
