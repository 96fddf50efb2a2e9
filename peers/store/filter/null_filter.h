// SPDX-License-Identifier: Apache-2.0
//
// A store that drops the data of its blobs and keeps all else: what is written reads as zeros. Over
// a store in memory it is what everything above costs, with no medium at all; to be measured, not
// to be used.
#pragma once

#include <memory>

#include "peers/store/filter/forwarding_store.h"

namespace atl {

class NullFilter final : public ForwardingStore {
 public:
  explicit NullFilter(std::unique_ptr<Store> below);

  const StoreInfo& info() const override { return info_; }
  // The store below says whether it would have been possible, as of a range that is zeroed.
  Task<Status> Write(const BlobId& blob, uint64_t offset, ConstSpan data,
                     WriteOptions options) override;
  Task<Status> Copy(const BlobId& from, const BlobId& to, ByteRange range) override;
  bool TryRead(const BlobId& blob, uint64_t offset, MutSpan out) override;
  bool TryWrite(const BlobId& blob, uint64_t offset, ConstSpan data) override;

 private:
  Task<Status> Before(const StoreCall& call) override;
  Task<Status> After(const StoreCall& call, Status outcome) override;

  StoreInfo info_;
};

}  // namespace atl
