// SPDX-License-Identifier: Apache-2.0
//
// A listing that is read as a whole and handed out by pages, so that paging through a directory of
// n entries costs n and not n squared. It serves one walk at a time: a page that does not follow
// the one before is answered from a new reading.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "peers/store/store.h"

namespace atl {

template <typename Id>
class ListCache {
 public:
  // Whether the page after `after` can be served from what was read.
  bool Continues(const std::optional<Id>& after) const { return after && after == last_given_; }
  // `ids` sorted.
  void Fill(std::vector<Id> ids) { ids_ = std::move(ids); }
  Page<Id> Take(const std::optional<Id>& after, uint32_t limit) {
    Page<Id> page;
    auto at = after ? std::upper_bound(ids_.begin(), ids_.end(), *after) : ids_.begin();
    const auto left = static_cast<size_t>(ids_.end() - at);
    const size_t count = std::min<size_t>({limit, kMaxPage, left});
    page.items.assign(at, at + static_cast<ptrdiff_t>(count));
    page.last = count == left;
    last_given_.reset();
    if (page.last) {
      ids_ = {};
    } else {
      last_given_ = page.items.back();
    }
    return page;
  }

 private:
  std::vector<Id> ids_;
  std::optional<Id> last_given_;
};

}  // namespace atl
