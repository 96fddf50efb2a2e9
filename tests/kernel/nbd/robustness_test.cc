// SPDX-License-Identifier: Apache-2.0
//
// Random bytes, and honest conversations with random damage. The server may hang up, but never
// crash, hang, or answer more than its limits allow. ATOLL_SEED=n repeats one run.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "tests/kernel/nbd/conversation.h"
#include "tests/kernel/nbd/script.h"

namespace atl::nbd {
namespace {

uint64_t Seed() {
  const char* given = std::getenv("ATOLL_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
}

class Damage {
 public:
  explicit Damage(uint64_t seed) : random_(seed) {}

  void OneConversation() {
    TestEnv env;
    // 32 MiB is the least that a pool has to have.
    MemoryAtoll atoll(&env, 32 * kMiB);
    atoll.Add("disk", 64 * kMiB);
    atoll.Add("snap", kMiB, ResourceKind::kSnapshot);
    Conversation conversation(&env, &atoll);
    Bytes script = Pick(4) == 0 ? Noise(2000) : Honest();
    for (uint64_t i = Pick(4); i > 0; --i) Break(script);
    ConstSpan rest = script;
    while (!rest.empty() && !conversation.closed()) {
      const size_t count = std::min<size_t>(rest.size(), 1 + Pick(5000));
      conversation.Say(rest.first(count));
      rest = rest.subspan(count);
      ASSERT_LE(conversation.Hear().size(), 40 * (kMaxPayload + kMiB));
    }
  }

 private:
  uint64_t Pick(uint64_t below) { return random_() % below; }

  Bytes Noise(size_t most) {
    Bytes out(Pick(most));
    for (auto& byte : out) byte = static_cast<std::byte>(random_());
    return out;
  }
  std::string Name() {
    const char* names[] = {"disk", "snap", "nothing", ""};
    return names[Pick(4)];
  }
  Bytes Honest() {
    Script script;
    script.ClientFlags(3);
    for (uint64_t i = Pick(6); i > 0; --i) {
      const auto option = static_cast<uint32_t>(Pick(12));
      if (option == 1 || option == 7) continue;
      if (option == 6)
        script.Option(6, InfoData(Name(), {0, 1, 2, 3}));
      else if (option == 9 || option == 10)
        script.Option(option, MetaData(Name(), {"base:allocation"}));
      else
        script.Option(option, Pick(3) == 0 ? Noise(100) : Bytes{});
    }
    script.Option(7, InfoData(Pick(3) == 0 ? Name() : "disk", {3}));
    for (uint64_t i = Pick(30); i > 0; --i) AddRequest(script);
    return script;
  }
  void AddRequest(Script& script) {
    Script::RequestFields request{.flags = Pick(4) == 0 ? static_cast<unsigned>(Pick(32)) : 0,
                                  .type = static_cast<unsigned>(Pick(9)),
                                  .cookie = random_(),
                                  .offset = Pick(65 * kMiB),
                                  .length = Pick(1ull << Pick(22))};
    if (request.type == 3) request.offset = request.length = 0;
    if (Pick(50) == 0) request.offset = random_();
    if (request.type == 1) request.length = Pick(5000);
    script.Request(request);
    if (request.type == 1) script.Fill(request.length, static_cast<unsigned>(Pick(256)));
  }
  void Break(Bytes& script) {
    if (script.empty()) return;
    const auto at = static_cast<ptrdiff_t>(Pick(script.size()));
    switch (Pick(4)) {
      case 0:
        script[static_cast<size_t>(at)] = static_cast<std::byte>(random_());
        break;
      case 1:
        script.resize(static_cast<size_t>(at));
        break;
      case 2:
        script.erase(script.begin() + at);
        break;
      default: {
        const Bytes noise = Noise(40);
        script.insert(script.begin() + at, noise.begin(), noise.end());
      }
    }
  }

  std::mt19937_64 random_;
};

TEST(Robustness, SurvivesDamagedAndRandomConversations) {
  const uint64_t seed = Seed();
  const int rounds = std::getenv("ATOLL_SEED") != nullptr ? 1 : 1500;
  for (int i = 0; i < rounds; ++i) {
    SCOPED_TRACE("ATOLL_SEED=" + std::to_string(seed + static_cast<uint64_t>(i)));
    Damage(seed + static_cast<uint64_t>(i)).OneConversation();
    if (HasFatalFailure()) return;
  }
  std::printf("seeds %lu to %lu\n", seed, seed + static_cast<uint64_t>(rounds) - 1);
}

}  // namespace
}  // namespace atl::nbd
