// SPDX-License-Identifier: Apache-2.0
#include "peers/store/filter/error_filter.h"

#include <utility>

namespace atl {

Result<StoreOpSet> ParseStoreOps(std::string_view names) {
  if (names == "all") return AllStoreOps();
  StoreOpSet ops;
  while (true) {
    const size_t comma = names.find(',');
    ASSIGN_OR_RETURN(const StoreOp op, ParseStoreOp(names.substr(0, comma)));
    ops.set(static_cast<size_t>(op));
    if (comma == std::string_view::npos) return ops;
    names.remove_prefix(comma + 1);
  }
}

ErrorFilter::ErrorFilter(std::unique_ptr<Store> below, ErrorFilterOptions options)
    : ForwardingStore(std::move(below)), options_(options), random_(options.seed) {}

void ErrorFilter::SetOptions(ErrorFilterOptions options) {
  options_ = options;
  random_.seed(options.seed);
  calls_ = 0;
}

bool ErrorFilter::Chosen(const StoreCall& call) {
  if (!options_.ops.test(static_cast<size_t>(call.op))) return false;
  ++calls_;
  return calls_ == options_.nth || random_() % 1'000'000 < options_.per_million;
}

Status ErrorFilter::Failure(const StoreCall& call) {
  ++failed_;
  return {options_.code, info().name + ": injected failure: " + Describe(call)};
}

Task<Status> ErrorFilter::Before(const StoreCall& call) {
  if (options_.when == FailWhen::kAfter) co_return OkStatus();
  if (!Chosen(call)) co_return OkStatus();
  co_return Failure(call);
}

Task<Status> ErrorFilter::After(const StoreCall& call, Status outcome) {
  const bool void_call =
      call.op == StoreOp::kDisown || call.op == StoreOp::kDisownLog || call.op == StoreOp::kClose;
  if (options_.when == FailWhen::kBefore || void_call || !outcome.ok()) co_return outcome;
  if (!Chosen(call)) co_return outcome;
  co_return Failure(call);
}

}  // namespace atl
