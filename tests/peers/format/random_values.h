// SPDX-License-Identifier: Apache-2.0
//
// Random values for tests, from a printed seed that ATOLL_SEED sets, and the damage that tests do
// to encoded bytes.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

#include "xseg/base/bytes.h"
#include "xseg/base/uuid.h"

namespace atl {

class RandomValues {
 public:
  RandomValues() : seed_(PickSeed()), engine_(seed_) {
    std::printf("ATOLL_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  }

  uint64_t Word() { return engine_(); }
  // From `low` to `high`, both possible.
  uint64_t In(uint64_t low, uint64_t high) {
    return std::uniform_int_distribution<uint64_t>(low, high)(engine_);
  }
  bool Chance(uint64_t one_in) { return In(1, one_in) == 1; }
  Uuid NewUuid() {
    const uint64_t high = Word();
    return Uuid::FromRandom(high, Word());
  }
  std::string Text(size_t low, size_t high) {
    std::string text(In(low, high), 'x');
    for (char& c : text) c = static_cast<char>('a' + In(0, 25));
    return text;
  }

 private:
  static uint64_t PickSeed() {
    if (const char* text = std::getenv("ATOLL_SEED")) return std::strtoull(text, nullptr, 0);
    return std::random_device()();
  }

  uint64_t seed_;
  std::mt19937_64 engine_;
};

// Calls `refused(bytes)` with each single bit of `encoded` flipped, with it cut at each length, and
// with a byte more; each call must answer true.
template <typename Refused>
void ExpectAllDamageRefused(const Bytes& encoded, Refused refused) {
  for (size_t bit = 0; bit < encoded.size() * 8; ++bit) {
    Bytes damaged = encoded;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    ASSERT_TRUE(refused(damaged)) << "bit " << bit;
  }
  for (size_t length = 0; length < encoded.size(); ++length) {
    // A vector of its own, so that a sanitizer sees any read behind the end.
    const Bytes cut(encoded.begin(), encoded.begin() + length);
    ASSERT_TRUE(refused(cut)) << "cut to " << length;
  }
  Bytes longer = encoded;
  longer.push_back(std::byte{0});
  ASSERT_TRUE(refused(longer)) << "a byte more";
}

}  // namespace atl
