// SPDX-License-Identifier: Apache-2.0
//
// Nodes over one medium, in virtual time: started, stopped, killed, cut from power.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "peers/store/memory/memory_store.h"
#include "peers/volumes/local_atoll.h"
#include "xseg/base/test_env.h"

namespace atl {

// ATOLL_SEED repeats one run of a randomised test.
inline uint64_t SeedOr(uint64_t fallback) {
  const char* text = std::getenv("ATOLL_SEED");
  return text ? std::strtoull(text, nullptr, 0) : fallback;
}

class MemoryNode {
 public:
  MemoryNode(TestEnv* env, MemoryWorld* world, std::string name, uint32_t pid = 0)
      : env_(env), maps_(env, &stores_) {
    MemoryStoreOptions options;
    options.name = "default";
    options.world = world;
    auto store = std::make_unique<MemoryStore>(*env, options);
    store_ = store.get();
    stores_.Add(std::move(store));
    identity_.incarnation = env->NewUuid();
    identity_.node = std::move(name);
    identity_.boot = ThisBoot();
    identity_.pid = pid;
    atoll_ = std::make_unique<LocalAtoll>(env, &stores_, &maps_, &buffers_, identity_);
  }

  LocalAtoll& atoll() { return *atoll_; }
  MemoryStore& store() { return *store_; }
  StoreSet& stores() { return stores_; }
  const Uuid& incarnation() const { return identity_.incarnation; }

  // Everything is flushed and released.
  Status Stop() { return env_->Run(atoll_->Shutdown()); }
  // As by kill -9: from now on its store takes nothing from it any more, so what its coroutines
  // still do on their way out has no effect. Devices are dropped before.
  void Kill(int64_t late_ns = 0) {
    store_->Die(late_ns);
    (void)Stop();
  }

 private:
  TestEnv* env_;
  NodeIdentity identity_;
  StoreSet stores_;
  LocalMapOpener maps_;
  HeapBufferPool buffers_{64 * kMiB};
  MemoryStore* store_ = nullptr;
  std::unique_ptr<LocalAtoll> atoll_;
};

}  // namespace atl
