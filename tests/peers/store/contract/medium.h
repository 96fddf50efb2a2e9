// SPDX-License-Identifier: Apache-2.0
//
// What the contract suite needs to know of a driver: how to make a medium and instances on it. A
// new driver is one row in `kMediums` (mediums.cc).
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>

#include "peers/store/store.h"
#include "xseg/base/env.h"

namespace atl {

class Medium {
 public:
  virtual ~Medium() = default;
  virtual Env& env() = 0;
  // Another instance on this medium, bare.
  virtual std::unique_ptr<Store> OpenBare() = 0;
  virtual void Drive(Task<void> task) = 0;

  template <typename T>
  T Run(Task<T> task) {
    std::optional<T> out;
    Drive(Keep(std::move(task), &out));
    return std::move(*out);
  }
  void Run(Task<void> task) { Drive(std::move(task)); }

 private:
  template <typename T>
  static Task<void> Keep(Task<T> task, std::optional<T>* out) {
    out->emplace(co_await task);
  }
};

struct MediumRow {
  const char* name;
  std::unique_ptr<Medium> (*make)();
  bool under_filters = true;  // False: a variant that is seen bare only.
};
// Every driver, each in the forms that differ in behaviour.
std::span<const MediumRow> AllMediums();

// The same under a stack of filters.
struct FilterRow {
  const char* name;
  std::unique_ptr<Store> (*wrap)(Env& env, std::unique_ptr<Store> store);
};
std::span<const FilterRow> AllFilters();

struct ContractParam {
  MediumRow medium;
  FilterRow filter;
};
std::vector<ContractParam> EveryMediumUnderEveryFilter();
std::string ParamName(const testing::TestParamInfo<ContractParam>& info);

// One medium and two instances on it, `a` and `b`.
class StoreContract : public testing::TestWithParam<ContractParam> {
 protected:
  void SetUp() override {
    medium = GetParam().medium.make();
    a = Open();
    b = Open();
  }
  void TearDown() override {
    for (Store* store : {a.get(), b.get()}) {
      if (store) Run(store->Close());
    }
  }
  std::unique_ptr<Store> Open() {
    return GetParam().filter.wrap(medium->env(), medium->OpenBare());
  }
  template <typename T>
  T Run(Task<T> task) {
    return medium->Run(std::move(task));
  }
  void Run(Task<void> task) { medium->Run(std::move(task)); }

  BlobId NewBlob() { return {.owner = medium->env().NewUuid(), .epoch = 1}; }
  LogId NewLog() { return LogId::Journal(medium->env().NewUuid(), 1, 1); }
  RecordKey NewKey(RecordKind kind = RecordKind::kHeader) {
    return RecordKey::Of(kind, medium->env().NewUuid());
  }
  // `count` bytes of blob `id` from `offset`.
  Bytes ReadBack(Store& store, const BlobId& id, uint64_t offset, size_t count) {
    Bytes out(count, std::byte{0xEE});
    const Status status = Run(store.Read(id, offset, out));
    EXPECT_TRUE(status.ok()) << status.ToString();
    return out;
  }

  std::unique_ptr<Medium> medium;
  std::unique_ptr<Store> a, b;
};

// Bytes that tell where they come from.
inline Bytes Pattern(size_t count, uint64_t seed) {
  Bytes bytes(count);
  std::mt19937_64 random(seed);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() | 1);
  return bytes;
}

// The seed of a randomised test: ATOLL_SEED, or a fixed one; printed.
uint64_t TestSeed(uint64_t otherwise);

#define EXPECT_OK(expr)                              \
  do {                                               \
    const ::atl::Status status_ = (expr);            \
    EXPECT_TRUE(status_.ok()) << status_.ToString(); \
  } while (false)
#define ASSERT_OK(expr)                              \
  do {                                               \
    const ::atl::Status status_ = (expr);            \
    ASSERT_TRUE(status_.ok()) << status_.ToString(); \
  } while (false)
#define EXPECT_CODE(expected, expr)                                           \
  do {                                                                        \
    const auto& outcome_ = (expr);                                            \
    EXPECT_EQ(static_cast<int>(expected), static_cast<int>(outcome_.code())); \
  } while (false)
#define CONTRACT_FOR_ALL(suite)                                                             \
  INSTANTIATE_TEST_SUITE_P(Stores, suite, testing::ValuesIn(EveryMediumUnderEveryFilter()), \
                           ParamName)

}  // namespace atl
