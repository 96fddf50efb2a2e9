// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/volumes/node_harness.h"

#include <cstdlib>

#include "peers/store/filter/checked_filter.h"

namespace atl {

template class HandsIn<TestEnv>;

uint64_t SeedOr(uint64_t fallback) {
  const char* text = std::getenv("ATOLL_SEED");
  return text ? std::strtoull(text, nullptr, 0) : fallback;
}

Task<Status> HookFilter::Before(const StoreCall& call) {
  if (before) before(call);
  if (stops && stops(call)) {
    stops = nullptr;
    stopped.Set();
    co_await go;
  }
  if (Event* event = hold_before ? hold_before(call) : nullptr) co_await *event;
  co_return fail ? fail(call) : OkStatus();
}

Task<Status> HookFilter::After(const StoreCall& call, Status outcome) {
  if (lose && outcome.ok()) outcome = lose(call);
  const Hook hook = after;  // It may take itself away.
  if (hook) hook(call);
  if (Event* event = hold_after ? hold_after(call) : nullptr) co_await *event;
  co_return outcome;
}

MemoryNode::MemoryNode(TestEnv* env, MemoryWorld* world, NodeOptions options) : env_(env) {
  MemoryStoreOptions memory;
  memory.name = "default";
  memory.world = world;
  memory.min_delay_ns = options.max_delay_ns / 10;
  memory.max_delay_ns = options.max_delay_ns;
  auto store = std::make_unique<MemoryStore>(*env, memory);
  store_ = store.get();
  std::unique_ptr<Store> checked = std::make_unique<CheckedFilter>(std::move(store));
  if (options.wrap) checked = options.wrap(std::move(checked));
  auto filter = std::make_unique<HookFilter>(std::move(checked));
  filter_ = filter.get();
  NodeIdentity identity;
  identity.incarnation = env->NewUuid();
  identity.node = std::move(options.name);
  identity.lease_term_ns = options.lease_term_ns;
  parts_ = std::make_unique<NodeParts>(
      env, std::move(filter), std::move(identity),
      [env](Task<void> task) { env->Run(std::move(task)); }, options.composers);
}

Status MemoryNode::Stop() { return env_->Run(atoll().Shutdown()); }

void MemoryNode::Kill(int64_t late_ns) {
  store_->Die(late_ns);
  (void)Stop();
}

}  // namespace atl
