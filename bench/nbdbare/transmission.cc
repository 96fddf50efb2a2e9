// SPDX-License-Identifier: Apache-2.0
#include "bench/nbdbare/transmission.h"

#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bench/nbdbare/socket.h"
#include "kernel/nbd/protocol.h"
#include "kernel/nbd/wire.h"

namespace atl::nbdbare {
namespace {

constexpr uint32_t kMostReplies = 1024;
constexpr uint32_t kMostBytes = 32 * kMiB;

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

}  // namespace

Transmission::Transmission(int socket, bool structured, const Image& image, Hop* hop)
    : socket_(socket),
      structured_(structured),
      image_(image),
      hop_(hop),
      buffer_(kBufferBytes),
      heads_(kMostReplies) {}

Status Transmission::Run() {
  for (;;) {
    RETURN_IF_ERROR(Receive());
    RETURN_IF_ERROR(TakeAll());
    RETURN_IF_ERROR(SendReplies());
  }
}

Status Transmission::Receive() {
  if (begin_ > 0) std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  const int64_t spins_until = NowNs() + kSpinNs;
  int flags = MSG_DONTWAIT;
  for (;;) {
    const ssize_t got = recv(socket_, buffer_.data() + end_, buffer_.size() - end_, flags);
    if (got > 0) {
      end_ += static_cast<size_t>(got);
      return {};
    }
    if (got == 0) return {Code::kCancelled, "the client has hung up"};
    if (errno != EAGAIN) return Status::FromErrno(errno, "recv");
    if (NowNs() > spins_until) flags = 0;
  }
}

Status Transmission::TakeAll() {
  for (;;) {
    if (writing_) {
      RETURN_IF_ERROR(TakePayload());
      if (writing_) return {};
    }
    if (replies_ >= (hop_ != nullptr ? kPortion : kMostReplies)) RETURN_IF_ERROR(SendReplies());
    if (end_ - begin_ < nbd::kRequestBytes) return {};
    begin_ += nbd::kRequestBytes;
    RETURN_IF_ERROR(TakeRequest(buffer_.data() + begin_ - nbd::kRequestBytes));
  }
}

Status Transmission::TakeRequest(const std::byte* request) {
  if (nbd::LoadBe<uint32_t>(request) != nbd::kRequestMagic) {
    return {Code::kInvalid, "a request without its magic"};
  }
  const auto flags = nbd::LoadBe<uint16_t>(request + 4);
  const auto type = nbd::LoadBe<uint16_t>(request + 6);
  const auto cookie = nbd::LoadBe<uint64_t>(request + 8);
  const auto offset = nbd::LoadBe<uint64_t>(request + 16);
  const auto bytes = nbd::LoadBe<uint32_t>(request + 24);
  sync_ |= (flags & nbd::kCmdFlagFua) != 0 || type == nbd::kCmdFlush;
  switch (type) {
    case nbd::kCmdRead:
      TakeRead(cookie, offset, bytes);
      return {};
    case nbd::kCmdWrite:
      writing_ = true;
      write_cookie_ = cookie;
      write_at_ = offset;
      write_left_ = bytes;
      write_error_ = image_.Has(offset, bytes) ? nbd::kOk : nbd::kEnospc;
      return {};
    case nbd::kCmdFlush:
      Answer(cookie, nbd::kOk);
      return {};
    case nbd::kCmdDisc:
      return {Code::kCancelled, "the client has said goodbye"};
    default:
      Answer(cookie, nbd::kEinval);
      return {};
  }
}

void Transmission::TakeRead(uint64_t cookie, uint64_t offset, uint32_t bytes) {
  if (!image_.Has(offset, bytes) || bytes > kMostBytes) return AnswerNoData(cookie, nbd::kEinval);
  AnswerData(cookie, offset, bytes);
  const bool hops = hop_ != nullptr && hop_->Takes(bytes);
  pieces_.push_back({hops ? hop_->Ask(offset, bytes) : image_.at(offset), bytes});
}

Status Transmission::TakePayload() {
  const size_t bytes = std::min<size_t>(write_left_, end_ - begin_);
  if (write_error_ == nbd::kOk) {
    RETURN_IF_ERROR(image_.Write(write_at_, ConstSpan(buffer_).subspan(begin_, bytes)));
  }
  begin_ += bytes;
  write_at_ += bytes;
  write_left_ -= static_cast<uint32_t>(bytes);
  if (write_left_ > 0) return {};
  writing_ = false;
  Answer(write_cookie_, write_error_);
  return {};
}

void Transmission::Answer(uint64_t cookie, uint32_t error) {
  std::byte* head = heads_[replies_++].bytes;
  StoreBe(head, nbd::kSimpleReplyMagic);
  StoreBe(head + 4, error);
  StoreBe(head + 8, cookie);
  pieces_.push_back({head, nbd::kSimpleReplyBytes});
}

void Transmission::AddChunk(uint16_t type, uint64_t cookie, uint32_t bytes, uint32_t bytes_here) {
  std::byte* head = heads_[replies_++].bytes;
  StoreBe(head, nbd::kStructuredReplyMagic);
  StoreBe(head + 4, nbd::kReplyFlagDone);
  StoreBe(head + 6, type);
  StoreBe(head + 8, cookie);
  StoreBe(head + 16, bytes);
  pieces_.push_back({head, nbd::kChunkHeaderBytes + bytes_here});
}

void Transmission::AnswerData(uint64_t cookie, uint64_t offset, uint32_t bytes) {
  if (!structured_) return Answer(cookie, nbd::kOk);
  AddChunk(nbd::kChunkOffsetData, cookie, 8 + bytes, 8);
  StoreBe(heads_[replies_ - 1].bytes + nbd::kChunkHeaderBytes, offset);
}

// Without a text.
void Transmission::AnswerNoData(uint64_t cookie, uint32_t error) {
  if (!structured_) return Answer(cookie, error);
  AddChunk(nbd::kChunkError, cookie, 6, 6);
  std::byte* body = heads_[replies_ - 1].bytes + nbd::kChunkHeaderBytes;
  StoreBe(body, error);
  StoreBe(body + 4, uint16_t{0});
}

Status Transmission::SendReplies() {
  if (replies_ == 0) return {};
  if (sync_) RETURN_IF_ERROR(image_.Sync());
  if (hop_ != nullptr) hop_->Finish();
  sync_ = false;
  replies_ = 0;
  return SendAll(socket_, &pieces_);
}

}  // namespace atl::nbdbare
