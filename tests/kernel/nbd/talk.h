// SPDX-License-Identifier: Apache-2.0
//
// Lets a test say a script to a fresh server: once as a whole, once byte by byte and once in random
// pieces. All three have to give the same answer, whatever the test is about.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "tests/kernel/nbd/conversation.h"
#include "tests/kernel/nbd/script.h"

namespace atl::nbd {

// The server's greeting.
inline Script Greeting() { return Script().U64(0x4e42444d41474943).U64(0x49484156454F5054).U16(3); }

struct Heard {
  Bytes bytes;  // Without the greeting.
  bool closed = false;
  std::string reason;
};

class Talk : public ::testing::Test {
 protected:
  static constexpr uint64_t kSize = 4 * kMiB;

  // Makes the world that each run begins with; tests may replace it.
  std::function<void(MemoryAtoll*)> world = [](MemoryAtoll* atoll) {
    atoll->Add("disk", kSize);
    atoll->Add("snap", kSize, ResourceKind::kSnapshot);
  };

  Heard Say(ConstSpan script) {
    const Heard whole = SayInPieces(script, [](size_t rest) { return rest; });
    const Heard bytewise = SayInPieces(script, [](size_t) { return size_t{1}; });
    std::mt19937_64 random(script.size());
    const Heard mixed =
        SayInPieces(script, [&](size_t rest) { return std::min<size_t>(rest, random() % 60); });
    EXPECT_EQ(Hex(bytewise.bytes), Hex(whole.bytes)) << "byte by byte";
    EXPECT_EQ(Hex(mixed.bytes), Hex(whole.bytes)) << "in random pieces";
    EXPECT_EQ(bytewise.bytes, whole.bytes);
    EXPECT_EQ(mixed.bytes, whole.bytes);
    EXPECT_EQ(bytewise.closed, whole.closed);
    EXPECT_EQ(mixed.closed, whole.closed);
    EXPECT_EQ(bytewise.reason, whole.reason);
    return whole;
  }
  void Expect(const Script& script, const Script& answer, bool closed = false) {
    const Heard heard = Say(script);
    EXPECT_EQ(Hex(heard.bytes), Hex(answer.bytes()));
    EXPECT_EQ(heard.bytes, answer.bytes());
    EXPECT_EQ(heard.closed, closed) << heard.reason;
  }

 private:
  template <typename F>
  Heard SayInPieces(ConstSpan script, F next_size) {
    TestEnv env;
    MemoryAtoll atoll(&env);
    world(&atoll);
    Conversation conversation(&env, &atoll);
    EXPECT_EQ(Hex(conversation.Hear()), Hex(Greeting()));
    Heard heard;
    while (!script.empty() && !conversation.closed()) {
      const size_t count = next_size(script.size());
      conversation.Say(script.first(count));
      script = script.subspan(count);
      const Bytes answer = conversation.Hear();
      heard.bytes.insert(heard.bytes.end(), answer.begin(), answer.end());
    }
    heard.closed = conversation.closed();
    heard.reason = conversation.reason();
    return heard;
  }
};

}  // namespace atl::nbd
