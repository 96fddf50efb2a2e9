// SPDX-License-Identifier: Apache-2.0
//
// The blocking half of a file store's blobs: directories, locks, the immutable flag, counting and
// copying. Any thread. Layout: layout.h.
#pragma once

#include <algorithm>
#include <bitset>
#include <optional>
#include <vector>

#include "peers/store/file/posix.h"
#include "peers/store/store.h"

namespace atl {

inline constexpr uint64_t kBlobFileBytes = kTiB;
inline constexpr size_t kMaxBlobFiles = kMaxVolumeSize / kBlobFileBytes;
using BlobFileSet = std::bitset<kMaxBlobFiles>;

// The part of [offset, offset + length) that lies in one file.
struct FilePart {
  uint32_t index;
  uint64_t offset;  // In the file.
  uint64_t length;
};
inline FilePart FirstPart(uint64_t offset, uint64_t length) {
  const uint64_t in_file = offset % kBlobFileBytes;
  return {static_cast<uint32_t>(offset / kBlobFileBytes), in_file,
          std::min(length, kBlobFileBytes - in_file)};
}

// The blob's directory; kNotFound if there is none.
Result<Dir> OpenBlobDir(const Dir& blobs, const BlobId& id);

struct AdoptedBlob {
  Dir dir;
  Fd head;            // Holds the lock for the blob as a whole.
  BlobFileSet files;  // Those that exist.
};
// One try. nullopt: somebody holds the blob, or a request of a dead process on one of its files is
// still in flight. kFenced: sealed.
Result<std::optional<AdoptedBlob>> TryAdoptBlob(const Dir& blobs, const BlobId& id);

// Opens file `index` for the adopter and locks it, making it if it is absent.
Result<Fd> OpenBlobFileForWriting(const AdoptedBlob& blob, uint32_t index);
// nullopt: never made, so it reads as zeros. kCorrupt: made and gone.
Result<std::optional<Fd>> OpenBlobFileForReading(const Dir& dir, uint32_t index);

Status SealBlobDir(const Dir& blobs, const BlobId& id);
Status RemoveBlobDir(const Dir& blobs, const Dir& tmp, const BlobId& id);
// Removes a directory with everything in it; immutable flags are cleared first.
Status RemoveTree(const Dir& parent, const std::string& name);

// Every file, the directory and the one above.
Status SyncBlobDir(const Dir& blobs, const BlobId& id);
Result<std::vector<BlobExtent>> BlobExtents(const Dir& blobs, const BlobId& id, ByteRange range);
Result<uint64_t> BlobUsage(const Dir& blobs, const BlobId& id);

// Copies `range` within one file, holes kept. `from` is -1 where the source has no file.
Status CopyFileRange(int from, int to, ByteRange range, const std::string& path);
// `range` of the file reads as zero, without taking space where the file system can do it.
Status PunchFileRange(int fd, ByteRange range, const std::string& path);
Status WriteZeros(int fd, ByteRange range, const std::string& path);

}  // namespace atl
