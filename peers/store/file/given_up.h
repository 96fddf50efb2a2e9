// SPDX-License-Identifier: Apache-2.0
//
// The blobs, or logs, of which a sync has failed while this instance did not hold them any more, or
// before it gave them up. The kernel has told that once; whoever wants them later is told by this.
//
// Threads: the executor's.
#pragma once

#include <unordered_map>
#include <utility>

#include "peers/store/file/witnesses.h"

namespace atl {

template <typename Id>
class GivenUp {
 public:
  // Why this instance may not have it any more, or ok.
  Status PoisonOf(const Id& id) const {
    const auto found = things_.find(id);
    return found == things_.end() ? OkStatus() : found->second.poison;
  }
  // Its holder goes. Only what is poisoned is remembered.
  void Leave(FileContext& context, const Id& id, const Status& poison, Witnesses witnesses) {
    if (poison.ok()) {
      witnesses.Forget(context);
    } else {
      things_.emplace(id, Thing{poison, std::move(witnesses)});
    }
  }
  // A sync by who does not hold it.
  void NoteSync(const Id& id, const Status& status) {
    if (status.code() == Code::kIo) things_.try_emplace(id, Thing{status, {}});
  }
  void Remove(FileContext& context, const Id& id) {
    if (auto thing = things_.extract(id)) thing.mapped().witnesses.Forget(context);
  }

 private:
  struct Thing {
    Status poison;
    Witnesses witnesses;
  };
  std::unordered_map<Id, Thing> things_;
};

}  // namespace atl
