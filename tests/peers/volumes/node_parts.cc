// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/volumes/node_parts.h"

#include <cstdlib>
#include <string_view>
#include <utility>

namespace atl {
namespace {

bool IsIsolated() {
  const char* text = std::getenv("ATOLL_PLACEMENT");
  return text != nullptr && std::string_view(text) == "isolated";
}

}  // namespace

NodeParts::NodeParts(Env* env, std::unique_ptr<Store> store, NodeIdentity identity, Drive drive,
                     ComposerOptions composers)
    : identity_(std::move(identity)), maps_(env, &stores_) {
  IdentifyProcess(&identity_);
  Store* bare = store.get();
  stores_.Add(std::move(store));
  if (IsIsolated()) {
    peers_ = std::make_unique<IsolatedPeers>(env, bare, std::move(drive));
    atoll_ = std::make_unique<LocalAtoll>(env, &peers_->stores(), &peers_->maps(),
                                          &peers_->buffers(), identity_, composers);
  } else {
    atoll_ = std::make_unique<LocalAtoll>(env, &stores_, &maps_, &buffers_, identity_, composers);
  }
}

}  // namespace atl
