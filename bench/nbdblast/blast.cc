// SPDX-License-Identifier: Apache-2.0
#include "bench/nbdblast/blast.h"

#include <fmt/format.h>
#include <liburing.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "kernel/nbd/protocol.h"
#include "kernel/nbd/wire.h"
#include "xseg/base/check.h"

namespace atl::nbdblast {
namespace {

// What the processor's caches hold.
constexpr size_t kReceiveBytes = kMiB;
constexpr uint32_t kMaxDepth = 4096;

int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

template <typename T>
void StoreBe(std::byte* to, T value) {
  const T swapped = nbd::SwapBytes(value);
  std::memcpy(to, &swapped, sizeof(swapped));
}

class Blaster {
 public:
  Blaster(const Export& target, const Load& load)
      : target_(target),
        load_(load),
        slots_(load.depth),
        received_(std::make_unique_for_overwrite<std::byte[]>(kReceiveBytes)),
        random_(load.seed) {
    const uint64_t span = load.span == 0 ? target.size : load.span;
    blocks_ = span / load.block;
    if (load.writes) {
      payload_.resize(load.block);
      for (std::byte& byte : payload_) byte = static_cast<std::byte>(random_());
    }
  }

  Result<Outcome> Run() {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    const int error = io_uring_queue_init_params(8, &ring_, &params);
    if (error != 0) return Status::FromErrno(-error, "io_uring_queue_init");
    const Status status = Loop();
    io_uring_queue_exit(&ring_);
    if (!status.ok()) return status;
    outcome_.latency = Take(latency_);
    return outcome_;
  }

 private:
  struct Slot {
    std::byte request[nbd::kRequestBytes];
    uint16_t type = nbd::kCmdRead;
    bool counted = false;
    int64_t sent_ns = 0;
  };
  enum Tag : uint64_t { kSend = 1, kRecv = 2 };

  Status Loop() {
    for (uint32_t i = 0; i < load_.depth; ++i) idle_.push_back(i);
    const int64_t begin_ns = NowNs();
    counts_from_ns_ = begin_ns + load_.ramp_ns;
    ends_ns_ = counts_from_ns_ + load_.duration_ns;
    now_ns_ = begin_ns;
    for (;;) {
      ending_ |= now_ns_ >= ends_ns_ || (load_.requests != 0 && begun_ >= load_.requests);
      if (ending_ && idle_.size() == load_.depth) break;
      if (!ending_ && !sending_ && !idle_.empty()) Send();
      if (!receiving_) Receive();
      io_uring_submit_and_wait(&ring_, 1);
      now_ns_ = NowNs();
      RETURN_IF_ERROR(Reap());
    }
    outcome_.took_ns = std::min(now_ns_, ends_ns_) - counts_from_ns_;
    return {};
  }

  void Send() {
    pieces_.clear();
    for (const uint32_t index : idle_) {
      if (load_.requests != 0 && begun_ >= load_.requests) break;
      Slot& slot = slots_[index];
      Fill(index);
      slot.sent_ns = now_ns_;
      slot.counted = now_ns_ >= counts_from_ns_;
      pieces_.push_back({slot.request, sizeof(slot.request)});
      if (slot.type == nbd::kCmdWrite) pieces_.push_back({payload_.data(), payload_.size()});
      ++begun_;
      ++sent_slots_;
    }
    idle_.erase(idle_.begin(), idle_.begin() + static_cast<ptrdiff_t>(sent_slots_));
    sent_slots_ = 0;
    message_ = {};
    message_.msg_iov = pieces_.data();
    message_.msg_iovlen = pieces_.size();
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    io_uring_prep_sendmsg(entry, target_.socket.get(), &message_, MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data64(entry, kSend);
    sending_ = true;
    ++outcome_.sends;
  }

  void Fill(uint32_t index) {
    Slot& slot = slots_[index];
    const bool flush =
        load_.flush_every != 0 && begun_ % (load_.flush_every + 1) == load_.flush_every;
    slot.type = flush ? nbd::kCmdFlush : (load_.writes ? nbd::kCmdWrite : nbd::kCmdRead);
    uint64_t offset = 0;
    if (!flush) {
      const uint64_t block = load_.pattern == Pattern::kSequential ? next_block_++ : random_();
      offset = block % blocks_ * load_.block;
    }
    const bool fua = load_.fua && slot.type == nbd::kCmdWrite;
    StoreBe(slot.request, nbd::kRequestMagic);
    StoreBe(slot.request + 4, static_cast<uint16_t>(fua ? nbd::kCmdFlagFua : 0));
    StoreBe(slot.request + 6, slot.type);
    StoreBe(slot.request + 8, static_cast<uint64_t>(index));
    StoreBe(slot.request + 16, offset);
    StoreBe(slot.request + 24, flush ? uint32_t{0} : load_.block);
  }

  void Receive() {
    // What is left of a header goes to the front; data is dropped as it comes.
    if (begin_ > 0) std::memmove(received_.get(), received_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    io_uring_prep_recv(entry, target_.socket.get(), received_.get() + end_, kReceiveBytes - end_,
                       0);
    io_uring_sqe_set_data64(entry, kRecv);
    receiving_ = true;
  }

  Status Reap() {
    unsigned head;
    unsigned count = 0;
    int sent = 1, got = 1;
    io_uring_cqe* entry;
    io_uring_for_each_cqe(&ring_, head, entry) {
      ++count;
      if (entry->user_data == kSend) {
        sending_ = false;
        sent = entry->res;
      } else {
        receiving_ = false;
        got = entry->res;
        if (got > 0) end_ += static_cast<size_t>(got);
      }
    }
    io_uring_cq_advance(&ring_, count);
    if (sent <= 0) return Status::FromErrno(sent < 0 ? -sent : EPIPE, "send");
    if (got <= 0) return Status::FromErrno(got < 0 ? -got : ECONNRESET, "recv");
    return Parse();
  }

  Status Parse() {
    for (;;) {
      const size_t dropped = std::min<size_t>(skip_, end_ - begin_);
      begin_ += dropped;
      skip_ -= dropped;
      if (skip_ > 0 || end_ - begin_ < nbd::kSimpleReplyBytes) return {};
      const std::byte* head = received_.get() + begin_;
      begin_ += nbd::kSimpleReplyBytes;
      if (nbd::LoadBe<uint32_t>(head) != nbd::kSimpleReplyMagic) {
        return {Code::kInvalid, "a reply without its magic"};
      }
      const auto error = nbd::LoadBe<uint32_t>(head + 4);
      const auto cookie = nbd::LoadBe<uint64_t>(head + 8);
      if (cookie >= slots_.size()) return {Code::kInvalid, "a reply to no request"};
      End(static_cast<uint32_t>(cookie), error);
    }
  }

  void End(uint32_t index, uint32_t error) {
    Slot& slot = slots_[index];
    if (error == 0 && slot.type == nbd::kCmdRead) skip_ = load_.block;
    idle_.push_back(index);
    if (!slot.counted || now_ns_ > ends_ns_) return;
    ++outcome_.requests;
    outcome_.flushes += slot.type == nbd::kCmdFlush;
    outcome_.errors += error != 0;
    if (slot.type != nbd::kCmdFlush && error == 0) outcome_.bytes += load_.block;
    latency_.Record(now_ns_ - slot.sent_ns);
  }

  const Export& target_;
  const Load& load_;
  io_uring ring_{};
  std::vector<Slot> slots_;
  std::vector<uint32_t> idle_;
  std::vector<iovec> pieces_;
  size_t sent_slots_ = 0;
  msghdr message_{};
  Bytes payload_;
  std::unique_ptr<std::byte[]> received_;
  size_t begin_ = 0, end_ = 0;
  size_t skip_ = 0;  // Of a read's data.
  uint64_t blocks_ = 0;
  uint64_t next_block_ = 0;
  uint64_t begun_ = 0;
  std::mt19937_64 random_;
  bool sending_ = false, receiving_ = false, ending_ = false;
  int64_t now_ns_ = 0, counts_from_ns_ = 0, ends_ns_ = 0;
  LatencyHistogram latency_{};
  Outcome outcome_;
};

}  // namespace

Result<Outcome> Blast(const Export& target, const Load& load) {
  const uint64_t span = load.span == 0 ? target.size : load.span;
  if (load.block == 0 || span > target.size || span < load.block) {
    return Status(Code::kInvalid,
                  fmt::format("blocks of {} bytes over {} do not fit an export of {}", load.block,
                              span, target.size));
  }
  if (load.depth == 0 || load.depth > kMaxDepth) {
    return Status(Code::kInvalid, fmt::format("the depth is 1 to {}", kMaxDepth));
  }
  if (load.writes && (target.flags & nbd::kReadOnly)) {
    return Status(Code::kReadOnly, "the export is read-only");
  }
  if (load.fua && !(target.flags & nbd::kSendFua)) {
    return Status(Code::kUnsupported, "the server does not know FUA");
  }
  return Blaster(target, load).Run();
}

}  // namespace atl::nbdblast
