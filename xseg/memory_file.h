// SPDX-License-Identifier: Apache-2.0
//
// Sealed memory files and their mappings. A sealed file cannot change its size any more, so no
// process that holds it can make another one fault by truncating it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "xseg/base/bytes.h"
#include "xseg/base/fd.h"
#include "xseg/base/status.h"

namespace atl {

enum class Access { kReadWrite, kReadOnly };

// Unmaps itself. Moves do not change addresses.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();
  static Result<Mapping> Map(int fd, size_t size, Access access);

  std::byte* data() const { return bytes_.data(); }
  size_t size() const { return bytes_.size(); }

 private:
  explicit Mapping(MutSpan bytes) : bytes_(bytes) {}
  MutSpan bytes_;
};

// Zeroed and of a fixed size from the start. `name` is for people (/proc/PID/maps).
Result<Fd> CreateSealedFile(const char* name, uint64_t size);
// kInvalid unless `fd` is a memory file that is sealed against any change of its size; its size.
Result<uint64_t> SizeOfSealedFile(int fd);
// Exactly `out.size()` bytes from the start of the file.
Status ReadStart(int fd, MutSpan out);

}  // namespace atl
