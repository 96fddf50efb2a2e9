// SPDX-License-Identifier: Apache-2.0
//
// A raw file that is mapped to be read, and written by system calls.
#pragma once

#include <cstdint>
#include <string>

#include "xseg/base/bytes.h"
#include "xseg/base/fd.h"
#include "xseg/base/status.h"

namespace atl::nbdbare {

class Image {
 public:
  // Of an existing file that is not empty; it stays as long as it is.
  static Result<Image> Open(const std::string& path);
  Image(Image&& other) noexcept;
  Image& operator=(Image&&) = delete;
  ~Image();

  uint64_t size() const { return size_; }
  bool Has(uint64_t offset, uint64_t bytes) const {
    return offset <= size_ && bytes <= size_ - offset;
  }
  std::byte* at(uint64_t offset) const { return mapped_ + offset; }

  Status Write(uint64_t offset, ConstSpan data) const;
  Status Sync() const;

 private:
  Image(Fd fd, std::byte* mapped, uint64_t size)
      : fd_(std::move(fd)), mapped_(mapped), size_(size) {}

  Fd fd_;
  std::byte* mapped_;
  uint64_t size_;
};

}  // namespace atl::nbdbare
