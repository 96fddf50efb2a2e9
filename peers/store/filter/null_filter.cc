// SPDX-License-Identifier: Apache-2.0
#include "peers/store/filter/null_filter.h"

#include <utility>

#include "peers/store/limits.h"

namespace atl {

NullFilter::NullFilter(std::unique_ptr<Store> below)
    : ForwardingStore(std::move(below)), info_(this->below().info()) {
  info_.location += ", data is dropped";
}

Task<Status> NullFilter::Write(const BlobId& blob, uint64_t offset, ConstSpan data, WriteOptions) {
  CO_RETURN_IF_ERROR(CheckIo(blob, offset, data.size()));
  co_return co_await below().Zero(blob, {offset, data.size()}, {});
}

// Of what there is nothing there is nothing to copy.
Task<Status> NullFilter::Copy(const BlobId& from, const BlobId& to, ByteRange range) {
  CO_RETURN_IF_ERROR((co_await below().Usage(from)).status());
  co_return co_await below().Zero(to, range, {});
}

bool NullFilter::TryRead(const BlobId& blob, uint64_t offset, MutSpan out) {
  return below().TryRead(blob, offset, out);
}

// Whether it may be written to.
bool NullFilter::TryWrite(const BlobId& blob, uint64_t offset, ConstSpan data) {
  return CheckIo(blob, offset, data.size()).ok() && below().TryWrite(blob, offset, {});
}

Task<Status> NullFilter::Before(const StoreCall&) { co_return OkStatus(); }
Task<Status> NullFilter::After(const StoreCall&, Status outcome) { co_return outcome; }

}  // namespace atl
