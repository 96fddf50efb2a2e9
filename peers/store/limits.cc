// SPDX-License-Identifier: Apache-2.0
#include "peers/store/limits.h"

#include <fmt/format.h>

namespace atl {
namespace {

bool Fits(uint64_t offset, uint64_t length, uint64_t end) {
  return length <= end && offset <= end - length;
}

}  // namespace

Status CheckIo(const BlobId& blob, uint64_t offset, uint64_t length) {
  if (length <= kMaxStoreIo && Fits(offset, length, kMaxVolumeSize)) [[likely]]
    return {};
  return {Code::kInvalid, fmt::format("blob {}: {} bytes at {} are beyond the limits",
                                      blob.ToString(), length, offset)};
}

Status CheckRange(const BlobId& blob, ByteRange range) {
  if (Fits(range.offset, range.length, kMaxVolumeSize)) [[likely]]
    return {};
  return {Code::kInvalid, fmt::format("blob {}: range of {} bytes at {} ends beyond 1 PiB",
                                      blob.ToString(), range.length, range.offset)};
}

Status CheckLogIo(const LogId& log, uint64_t position, uint64_t length) {
  if (length <= kMaxStoreIo && Fits(position, length, kMaxLogBytes)) [[likely]]
    return {};
  return {Code::kInvalid, fmt::format("{}: {} bytes at {} are beyond the limits", log.ToString(),
                                      length, position)};
}

Status CheckLogLength(const LogId& log, uint64_t length) {
  if (length <= kMaxLogBytes) return {};
  return {Code::kInvalid,
          fmt::format("{}: a length of {} is beyond the limit", log.ToString(), length)};
}

Status CheckPage(uint32_t limit) {
  if (limit > 0) return {};
  return {Code::kInvalid, "a page of a listing has at least one item"};
}

Status CheckRecordPayload(const RecordKey& key, ConstSpan payload, const Uuid& operation) {
  if (payload.size() > kMaxRecordBytes) {
    return {Code::kInvalid, fmt::format("{}: {} bytes are more than the {} of a record",
                                        key.ToString(), payload.size(), kMaxRecordBytes)};
  }
  if (operation.is_zero()) {
    return {Code::kInvalid, key.ToString() + ": a change needs an operation uuid"};
  }
  return {};
}

Status CheckChunk(const ChunkId& id, size_t length) {
  if (length <= kMaxChunkBytes) return {};
  return {Code::kInvalid, fmt::format("chunk {}: {} bytes are more than the {} of a chunk",
                                      ToHex(id), length, kMaxChunkBytes)};
}

}  // namespace atl
