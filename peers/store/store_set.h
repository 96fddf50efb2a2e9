// SPDX-License-Identifier: Apache-2.0
//
// The stores of one node, as one executor thread has them open. A slot is the place of a store in
// the configuration; it is the same in every process of a node and means nothing outside of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "peers/store/store.h"

namespace atl {

using StoreSlot = uint8_t;
inline constexpr size_t kMaxStores = 64;

class StoreSet {
 public:
  // Stores are added before anything uses the set; the first is the default and the catalog until
  // something else is said.
  void Add(std::unique_ptr<Store> store) {
    CHECK(stores_.size() < kMaxStores);
    stores_.push_back(std::move(store));
  }
  void SetDefault(StoreSlot slot) { default_ = slot; }
  void SetCatalog(StoreSlot slot) { catalog_ = slot; }

  size_t size() const { return stores_.size(); }
  Store& at(StoreSlot slot) const {
    CHECK(slot < stores_.size());
    return *stores_[slot];
  }
  StoreSlot default_slot() const { return default_; }
  // Where name records are.
  Store& catalog() const { return at(catalog_); }

  // kUnavailable, naming the uuid, if this node has no such store: never "there is none".
  Result<StoreSlot> Find(const Uuid& uuid) const;
  // By configured name; empty is the default. kNotFound lists those that exist.
  Result<StoreSlot> FindByName(std::string_view name) const;

 private:
  std::vector<std::unique_ptr<Store>> stores_;
  StoreSlot default_ = 0;
  StoreSlot catalog_ = 0;
};

}  // namespace atl
