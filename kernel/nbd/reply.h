// SPDX-License-Identifier: Apache-2.0
//
// Replies ("Simple reply message", "Structured reply chunk message", "Structured reply types") as
// lists of pieces, and the queue that cuts many of them into few sendmsg calls. No I/O here.
//
// A reply owns its headers and points to its data, which stay where they are until it has been
// sent. It is meant to be used again and again: its memory stays.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernel/nbd/protocol.h"
#include "xseg/base/bytes.h"

namespace atl::nbd {

struct StatusDescriptor {
  uint32_t length = 0;
  uint32_t flags = 0;

  friend bool operator==(const StatusDescriptor&, const StatusDescriptor&) = default;
};

class Reply {
 public:
  Reply() = default;
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;

  // Keeps the memory, but not that of an unusually long reply.
  void Clear();

  // Without structured replies; and for success without data, which may always be simple.
  void AddSimple(uint64_t cookie, Error error, ConstSpan data = {});
  // Chunks. The last one of a reply carries `done`.
  void AddData(uint64_t cookie, uint64_t offset, ConstSpan data, bool done);
  void AddHole(uint64_t cookie, uint64_t offset, uint32_t length, bool done);
  void AddDone(uint64_t cookie);
  void AddError(uint64_t cookie, Error error, std::string_view text);
  void AddBlockStatus(uint64_t cookie, uint32_t context, std::span<const StatusDescriptor> extents);

  // The bytes of the one AddData or AddSimple are `data` now, as many as before.
  void ReplaceData(ConstSpan data);

  bool empty() const { return pieces_.empty(); }
  // All of it in one, for tests.
  Bytes Flatten() const;

 private:
  friend class SendQueue;
  // Either `data`, or `length` bytes of head_ from `offset`.
  struct Piece {
    const std::byte* data;
    size_t offset;
    size_t length;
  };
  void PutChunk(Chunk type, uint64_t cookie, uint32_t length, bool done);
  void EndHead(size_t begin);
  ConstSpan piece(size_t index) const {
    const Piece& piece = pieces_[index];
    return {piece.data != nullptr ? piece.data : head_.data() + piece.offset, piece.length};
  }

  Bytes head_;
  std::vector<Piece> pieces_;
  Reply* next_ = nullptr;
};

// First in, first out. The replies are the caller's; it gets each back when the last byte is sent.
class SendQueue {
 public:
  bool empty() const { return first_ == nullptr; }
  void Push(Reply* reply);
  // Whether some of this reply, and not all, has been sent.
  bool HasBegun(const Reply* reply) const { return reply == first_ && (piece_ > 0 || sent_ > 0); }
  template <typename F>
  void ForEach(F visit) const {
    for (Reply* reply = first_; reply != nullptr; reply = reply->next_) visit(reply);
  }
  // It is in the queue, and has not begun.
  void Remove(Reply* reply);
  // Points `out` to what is to be sent next; returns how many entries were filled.
  size_t Gather(std::span<iovec> out) const;
  // `bytes` of what Gather gave have been sent: calls done(Reply*) for each reply that ended.
  template <typename F>
  void Advance(size_t bytes, F done) {
    sent_ += bytes;
    while (first_ != nullptr && TakeEnded()) done(Pop());
  }
  // Gives back everything unsent.
  template <typename F>
  void Drop(F done) {
    sent_ = piece_ = 0;
    while (first_ != nullptr) done(Pop());
  }

 private:
  bool TakeEnded();
  Reply* Pop();

  Reply* first_ = nullptr;
  Reply* last_ = nullptr;
  size_t piece_ = 0;  // Of first_: those before it are sent.
  size_t sent_ = 0;   // Bytes of that piece, or more right after a send.
};

}  // namespace atl::nbd
