// SPDX-License-Identifier: Apache-2.0
//
// What a node is made of over one store, in the placement that the environment names: with
// ATOLL_PLACEMENT=isolated store, mapper and composer talk over a segment, else they are one.
#pragma once

#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

#include "peers/volumes/local_atoll.h"
#include "tests/peers/port_rpc/isolated_peers.h"

namespace atl {

inline bool IsIsolated() {
  const char* text = std::getenv("ATOLL_PLACEMENT");
  return text != nullptr && std::string_view(text) == "isolated";
}

class NodeParts {
 public:
  // `run` drives the Env until a task has ended.
  template <typename Run>
  NodeParts(Env* env, std::unique_ptr<Store> store, NodeIdentity identity, Run run)
      : identity_(std::move(identity)), maps_(env, &stores_) {
    IdentifyProcess(&identity_);
    Store* bare = store.get();
    stores_.Add(std::move(store));
    if (IsIsolated()) {
      peers_ = std::make_unique<IsolatedPeers>(env, bare, run);
      atoll_ = std::make_unique<LocalAtoll>(env, &peers_->stores(), &peers_->maps(),
                                            &peers_->buffers(), identity_);
    } else {
      atoll_ = std::make_unique<LocalAtoll>(env, &stores_, &maps_, &buffers_, identity_);
    }
  }

  LocalAtoll& atoll() { return *atoll_; }
  StoreSet& stores() { return peers_ ? peers_->stores() : stores_; }
  bool has_peers() const { return peers_ != nullptr; }
  template <typename Run>
  void ReplaceMapper(Run run) {
    peers_->ReplaceMapper(run);
  }
  const Uuid& incarnation() const { return identity_.incarnation; }

 private:
  NodeIdentity identity_;
  StoreSet stores_;
  LocalMapOpener maps_;
  HeapBufferPool buffers_{64 * kMiB};
  std::unique_ptr<IsolatedPeers> peers_;
  std::unique_ptr<LocalAtoll> atoll_;
};

}  // namespace atl
