// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/space_reserve.h"

#include <algorithm>

#include "peers/store/file/layout.h"

namespace atl {

Result<SpaceReserve> SpaceReserve::Open(const Dir& root, uint64_t size) {
  SpaceReserve reserve;
  reserve.size_ = size;
  ASSIGN_OR_RETURN(reserve.fd_, OpenFileAt(root, kReserveFile, O_RDWR | O_CREAT));
  reserve.Refill();
  return reserve;
}

uint64_t SpaceReserve::bytes() const {
  struct stat info;
  if (sys::Fstat(fd_.get(), &info) != 0) return 0;
  return static_cast<uint64_t>(info.st_blocks) * 512;
}

bool SpaceReserve::GiveUpPiece() {
  struct stat info;
  if (sys::Fstat(fd_.get(), &info) != 0 || info.st_size == 0) return false;
  const auto size = static_cast<uint64_t>(info.st_size);
  const uint64_t left = size - std::min(size, kPieceBytes);
  return sys::Ftruncate(fd_.get(), left) == 0;
}

void SpaceReserve::Refill() {
  struct stat info;
  if (sys::Fstat(fd_.get(), &info) != 0) return;
  // By pieces: a file system that is nearly full still gives what it has.
  for (auto at = static_cast<uint64_t>(info.st_size); at < size_;) {
    const uint64_t piece = std::min(kPieceBytes, size_ - at);
    if (sys::Fallocate(fd_.get(), 0, {at, piece}) != 0) return;
    at += piece;
  }
}

}  // namespace atl
