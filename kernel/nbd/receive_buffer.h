// SPDX-License-Identifier: Apache-2.0
//
// What one recv brought and nobody has used yet: large gulps in, messages out. The memory is not
// touched before bytes come, so a quiet client costs address space only; huge pages, of which one
// touch takes all, are kept away.
#pragma once

#include <sys/mman.h>

#include <cstring>

#include "kernel/nbd/limits.h"
#include "xseg/base/bytes.h"
#include "xseg/base/check.h"

namespace atl::nbd {

class ReceiveBuffer {
 public:
  ReceiveBuffer() {
    void* memory =
        mmap(nullptr, kReceiveBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED) << "no memory for a connection";
    (void)madvise(memory, kReceiveBytes, MADV_NOHUGEPAGE);
    bytes_ = static_cast<std::byte*>(memory);
  }
  ~ReceiveBuffer() { munmap(bytes_, kReceiveBytes); }
  ReceiveBuffer(const ReceiveBuffer&) = delete;
  ReceiveBuffer& operator=(const ReceiveBuffer&) = delete;

  ConstSpan view() const { return {bytes_ + begin_, end_ - begin_}; }
  // What `view` gave stays where it is until the next Room.
  void Consume(size_t count) {
    CHECK(count <= end_ - begin_);
    begin_ += count;
  }
  // Where the next bytes go. Never empty while less than half of the buffer is in use, so that
  // every message that has to be whole fits.
  MutSpan Room() {
    if (begin_ == end_) {
      begin_ = end_ = 0;
    } else if (kReceiveBytes - end_ < kReceiveBytes / 2 && begin_ > 0) {
      std::memmove(bytes_, bytes_ + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    return {bytes_ + end_, kReceiveBytes - end_};
  }
  void Filled(size_t count) {
    CHECK(count <= kReceiveBytes - end_);
    end_ += count;
  }

 private:
  std::byte* bytes_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace atl::nbd
