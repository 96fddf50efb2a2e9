// SPDX-License-Identifier: Apache-2.0
//
// Raw disk images: files, or block devices to read from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "xseg/base/executor.h"
#include "xseg/base/fd.h"
#include "xseg/base/status.h"
#include "xseg/base/task.h"
#include "xseg/base/units.h"

namespace atl {

struct ImageSource {
  Fd fd;
  std::string path;
  uint64_t size = 0;
};
Result<ImageSource> OpenImage(const std::string& path);
// The first range at or after `offset` that is no hole; nothing if only holes follow.
Result<std::optional<ByteRange>> NextData(const ImageSource& image, uint64_t offset);

// Whole transfers; errors name `path`.
Task<Status> ReadFile(Executor& executor, const ImageSource& image, uint64_t offset, MutSpan out);
Task<Status> WriteFile(Executor& executor, int fd, const std::string& path, uint64_t offset,
                       ConstSpan data);

// A file that comes to be under its name only when it is complete and durable.
class ImageTarget {
 public:
  // kExists if there is one and it is not to be replaced.
  static Result<ImageTarget> Create(const std::string& path, uint64_t size, bool replace);
  ImageTarget(ImageTarget&&) = default;
  // Removes what is not committed.
  ~ImageTarget();

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }
  Task<Status> Commit(Executor& executor);

 private:
  ImageTarget(Fd fd, std::string path, std::string partial)
      : fd_(std::move(fd)), path_(std::move(path)), partial_(std::move(partial)) {}
  Fd fd_;
  std::string path_;
  std::string partial_;
  bool replace_ = false;
};

}  // namespace atl
