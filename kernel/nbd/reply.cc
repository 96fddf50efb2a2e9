// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/reply.h"

#include <algorithm>
#include <utility>

#include "kernel/nbd/limits.h"
#include "kernel/nbd/wire.h"
#include "xseg/base/check.h"

namespace atl::nbd {

void Reply::Clear() {
  head_.clear();
  if (head_.capacity() > kKeptReplyBytes) head_.shrink_to_fit();
  pieces_.clear();
}

void Reply::EndHead(size_t begin) {
  // Headers that follow each other leave as one piece.
  if (!pieces_.empty() && pieces_.back().data == nullptr) {
    pieces_.back().length += head_.size() - begin;
  } else {
    pieces_.push_back({nullptr, begin, head_.size() - begin});
  }
}

void Reply::AddSimple(uint64_t cookie, Error error, ConstSpan data) {
  const size_t begin = head_.size();
  PutBe(head_, kSimpleReplyMagic);
  PutBe(head_, static_cast<uint32_t>(error));
  PutBe(head_, cookie);
  EndHead(begin);
  if (!data.empty()) pieces_.push_back({data.data(), 0, data.size()});
}

void Reply::PutChunk(Chunk type, uint64_t cookie, uint32_t length, bool done) {
  PutBe(head_, kStructuredReplyMagic);
  PutBe(head_, done ? kReplyFlagDone : uint16_t{0});
  PutBe(head_, static_cast<uint16_t>(type));
  PutBe(head_, cookie);
  PutBe(head_, length);
}

void Reply::AddData(uint64_t cookie, uint64_t offset, ConstSpan data, bool done) {
  CHECK(!data.empty() && data.size() <= kMaxPayload);
  const size_t begin = head_.size();
  PutChunk(kChunkOffsetData, cookie, static_cast<uint32_t>(8 + data.size()), done);
  PutBe(head_, offset);
  EndHead(begin);
  pieces_.push_back({data.data(), 0, data.size()});
}

void Reply::ReplaceData(ConstSpan data) {
  const auto piece =
      std::ranges::find_if(pieces_, [](const Piece& p) { return p.data != nullptr; });
  CHECK(piece != pieces_.end() && piece->length == data.size());
  piece->data = data.data();
}

void Reply::AddHole(uint64_t cookie, uint64_t offset, uint32_t length, bool done) {
  const size_t begin = head_.size();
  PutChunk(kChunkOffsetHole, cookie, 12, done);
  PutBe(head_, offset);
  PutBe(head_, length);
  EndHead(begin);
}

void Reply::AddDone(uint64_t cookie) {
  const size_t begin = head_.size();
  PutChunk(kChunkNone, cookie, 0, true);
  EndHead(begin);
}

void Reply::AddError(uint64_t cookie, Error error, std::string_view text) {
  text = text.substr(0, kMaxErrorText);
  const size_t begin = head_.size();
  PutChunk(kChunkError, cookie, static_cast<uint32_t>(6 + text.size()), true);
  PutBe(head_, static_cast<uint32_t>(error));
  PutBe(head_, static_cast<uint16_t>(text.size()));
  PutText(head_, text);
  EndHead(begin);
}

void Reply::AddBlockStatus(uint64_t cookie, uint32_t context,
                           std::span<const StatusDescriptor> extents) {
  const size_t begin = head_.size();
  PutChunk(kChunkBlockStatus, cookie, static_cast<uint32_t>(4 + 8 * extents.size()), true);
  PutBe(head_, context);
  for (const StatusDescriptor& extent : extents) {
    PutBe(head_, extent.length);
    PutBe(head_, extent.flags);
  }
  EndHead(begin);
}

Bytes Reply::Flatten() const {
  Bytes out;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const ConstSpan bytes = piece(i);
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  return out;
}

void SendQueue::Push(Reply* reply) {
  CHECK(!reply->empty());
  reply->next_ = nullptr;
  if (last_ != nullptr) {
    last_->next_ = reply;
  } else {
    first_ = reply;
  }
  last_ = reply;
}

void SendQueue::Remove(Reply* reply) {
  CHECK(!HasBegun(reply));
  Reply* before = nullptr;
  for (Reply* one = first_; one != reply; one = one->next_) before = one;
  (before != nullptr ? before->next_ : first_) = reply->next_;
  if (last_ == reply) last_ = before;
  reply->next_ = nullptr;
}

size_t SendQueue::Gather(std::span<iovec> out) const {
  size_t count = 0;
  size_t index = piece_;
  size_t skip = sent_;
  for (const Reply* reply = first_; reply != nullptr; reply = reply->next_, index = 0) {
    for (; index < reply->pieces_.size(); ++index, skip = 0) {
      if (count == out.size()) return count;
      const ConstSpan bytes = reply->piece(index).subspan(skip);
      out[count++] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
    }
  }
  return count;
}

// Moves over sent pieces; true if the first reply has none left.
bool SendQueue::TakeEnded() {
  while (piece_ < first_->pieces_.size()) {
    const size_t length = first_->pieces_[piece_].length;
    if (sent_ < length) return false;
    sent_ -= length;
    ++piece_;
  }
  return true;
}

Reply* SendQueue::Pop() {
  Reply* reply = first_;
  first_ = std::exchange(reply->next_, nullptr);
  if (first_ == nullptr) last_ = nullptr;
  piece_ = 0;
  return reply;
}

}  // namespace atl::nbd
