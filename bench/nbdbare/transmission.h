// SPDX-License-Identifier: Apache-2.0
//
// The least that an NBD server can do, over a raw file, for one client at a time: what the machine
// allows, and nothing that a volume is for. It is a measure for our own server, not to be used.
//
//   recv --> each request: a read points into the mapped file, a write is a pwrite
//        --> one fdatasync, if any of them asked for it --> one sendmsg for all replies
//
// Where nothing has come it looks again for a while before it sleeps. With a hop, reads are made by
// another process (hop.h), in portions, so that the client has one while the next is read.
//
// Threads: one, which it blocks.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <vector>

#include "bench/nbdbare/hop.h"
#include "bench/nbdbare/image.h"
#include "xseg/base/status.h"
#include "xseg/base/units.h"

namespace atl::nbdbare {

class Transmission {
 public:
  static constexpr size_t kBufferBytes = 256 * kKiB;
  static constexpr int64_t kSpinNs = 50 * kMicrosecond;
  static constexpr uint32_t kPortion = 16;

  // hop: null without. structured: replies to reads are.
  Transmission(int socket, bool structured, const Image& image, Hop* hop);

  // Until the client goes (kCancelled), or does what it should not.
  Status Run();

 private:
  // A simple reply, or the header of a chunk and what else of it is no data ("Structured reply
  // chunk message").
  struct Reply {
    std::byte bytes[28];
  };

  Status Receive();
  Status TakeAll();
  Status TakeRequest(const std::byte* request);
  void TakeRead(uint64_t cookie, uint64_t offset, uint32_t bytes);
  Status TakePayload();
  void Answer(uint64_t cookie, uint32_t error);
  void AnswerData(uint64_t cookie, uint64_t offset, uint32_t bytes);
  void AnswerNoData(uint64_t cookie, uint32_t error);
  void AddChunk(uint16_t type, uint64_t cookie, uint32_t bytes, uint32_t bytes_here);
  Status SendReplies();

  const int socket_;
  const bool structured_;
  const Image& image_;
  Hop* const hop_;

  Bytes buffer_;
  size_t begin_ = 0, end_ = 0;

  // Of a write that has not come whole.
  bool writing_ = false;
  uint64_t write_cookie_ = 0, write_at_ = 0;
  uint32_t write_left_ = 0, write_error_ = 0;

  bool sync_ = false;
  uint32_t replies_ = 0;
  std::vector<Reply> heads_;
  std::vector<iovec> pieces_;
};

}  // namespace atl::nbdbare
