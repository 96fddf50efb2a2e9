// SPDX-License-Identifier: Apache-2.0
//
// What a node is made of over one store, in the placement that the environment names: with
// ATOLL_PLACEMENT=isolated store, mapper and composer talk over a segment, else they are one.
#pragma once

#include <memory>

#include "peers/volumes/local_atoll.h"
#include "tests/peers/port_rpc/isolated_peers.h"

namespace atl {

class NodeParts {
 public:
  NodeParts(Env* env, std::unique_ptr<Store> store, NodeIdentity identity, Drive drive,
            ComposerOptions composers = {});

  LocalAtoll& atoll() { return *atoll_; }
  StoreSet& stores() { return peers_ ? peers_->stores() : stores_; }
  bool has_peers() const { return peers_ != nullptr; }
  void ReplaceMapper() { peers_->ReplaceMapper(); }
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
