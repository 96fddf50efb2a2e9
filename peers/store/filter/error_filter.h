// SPDX-License-Identifier: Apache-2.0
//
// A store that fails as it is told, to see how everything above takes it: in tests and, as a
// product feature, on a node that is not in use yet. What fails is chosen by kind of operation, by
// count or by chance; the same seed fails the same calls.
//
// A failed call has happened below or it has not, which is what a lost answer looks like.
#pragma once

#include <bitset>
#include <memory>
#include <random>

#include "peers/store/filter/forwarding_store.h"

namespace atl {

using StoreOpSet = std::bitset<kStoreOpCount>;
inline StoreOpSet AllStoreOps() { return StoreOpSet().set(); }
// "write,sync", or "all".
Result<StoreOpSet> ParseStoreOps(std::string_view names);

enum class FailWhen : uint8_t {
  kBefore,  // The operation has not happened.
  kAfter,   // It has, and its success is not told.
  kEither,  // A call is chosen twice, once before and once after.
};

struct ErrorFilterOptions {
  Code code = Code::kIo;
  StoreOpSet ops = AllStoreOps();
  uint32_t per_million = 0;  // How likely a call of `ops` fails.
  uint64_t nth = 0;          // The nth call of `ops` fails, counted from 1; 0: none.
  FailWhen when = FailWhen::kBefore;
  uint64_t seed = 1;
};

class ErrorFilter final : public ForwardingStore {
 public:
  ErrorFilter(std::unique_ptr<Store> below, ErrorFilterOptions options);

  // For tests that break and mend a store as they go. Counting begins anew.
  void SetOptions(ErrorFilterOptions options);
  uint64_t failed() const { return failed_; }

 private:
  Task<Status> Before(const StoreCall& call) override;
  Task<Status> After(const StoreCall& call, Status outcome) override;
  bool Chosen(const StoreCall& call);
  Status Failure(const StoreCall& call);

  ErrorFilterOptions options_;
  std::mt19937_64 random_;
  uint64_t calls_ = 0;
  uint64_t failed_ = 0;
};

}  // namespace atl
