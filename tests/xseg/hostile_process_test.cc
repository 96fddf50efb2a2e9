// SPDX-License-Identifier: Apache-2.0
//
// A client that misbehaves in each way that there is: the server ends its session and keeps nothing
// of it, and nobody else notices.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <random>
#include <vector>

#include "tests/xseg/client_processes.h"

namespace atl {
namespace {

uint64_t Seed() {
  static const uint64_t seed = [] {
    const char* given = std::getenv("ATOLL_SEED");
    const uint64_t chosen = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "ATOLL_SEED=" << chosen << "\n";
    return chosen;
  }();
  return seed;
}

int AwaitCutOff(const ClientPort& port) {
  for (int i = 0; i < 60'000 && !port.server_gone(); ++i) usleep(1000);
  return port.server_gone() ? kDone : kNotCutOff;
}

// A slot as an honest client would submit it, but for `change`.
int SubmitChanged(ClientPort& port, const std::function<void(SlotRecord&)>& change) {
  ClientRings& rings = port.segment().rings();
  SlotRecord& slot = port.segment().slots()[0];
  slot.op.Store(kEcho);
  slot.StoreWord({SlotState::kSubmitted, kServerHolder, 1});
  change(slot);
  rings.requests.Post(0);
  rings.server.RaiseArrival(0);
  RingIfAsleep(rings.server, {port.doorbell_fd(), Bell::Kind::kSocket});
  return AwaitCutOff(port);
}

void SubmitSlowOnes(ClientPort& port, int count) {
  for (int i = 0; i < count; ++i) {
    auto request = port.Prepare(kSlow);
    if (!request) return;
    auto buffer = port.buffers().Allocate(kPageBytes);
    if (buffer) request->Carry(std::move(*buffer));
    port.Submit(std::move(*request));
  }
}

[[noreturn]] void Die() {
  raise(SIGKILL);
  std::abort();
}

// --- It writes garbage into its requests.

TEST_F(HostileProcessTest, WhoWritesGarbageIntoItsRequestsIsCutOff) {
  const uint64_t seed = Seed();
  ExpectCutOff(
      [seed](ClientPort& port, Control&) {
        std::mt19937_64 random(seed);
        SubmitSlowOnes(port, 64);
        ClientSegment& segment = port.segment();
        auto* words = reinterpret_cast<std::atomic<uint64_t>*>(&segment.rings());
        const size_t count = (kPageBytes + segment.slots().size_bytes()) / sizeof(uint64_t);
        for (int i = 0; i < 10'000'000 && !(i % 64 == 0 && port.server_gone()); ++i) {
          words[random() % count].store(random() % 8 == 0 ? random() : random() % 256);
          RingIfAsleep(segment.rings().server, {port.doorbell_fd(), Bell::Kind::kSocket});
        }
        return AwaitCutOff(port);
      },
      "misbehaves");
}

TEST_F(HostileProcessTest, WhoNamesBytesThatAreNotItsOwnIsCutOff) {
  ExpectCutOff(
      [](ClientPort& port, Control&) {
        return SubmitChanged(port, [&](SlotRecord& slot) {
          slot.buffer_offset.Store(port.segment().area().size() - 1);
          slot.buffer_length.Store(kPageBytes);
        });
      },
      "a buffer is not in its segment");
}

// --- It holds on to everything that it can get.

TEST_F(HostileProcessTest, WhoHoldsAllBuffersAndSlotsForEverHoldsItsOwnOnly) {
  ExpectDeathIsNoticed(
      [](ClientPort& port, Control& control) -> int {
        SubmitSlowOnes(port, 64);
        std::vector<SharedBuffer> held;
        while (auto buffer = port.buffers().Allocate(1)) held.push_back(std::move(*buffer));
        for (SlotRecord& slot : port.segment().slots()) {
          while (slot.LoadWord().state == SlotState::kSubmitted) usleep(100);
        }
        control.ready = true;  // And no answer is ever collected.
        while (true) {
          for (std::byte& byte : port.segment().area().first(64 * kKiB)) byte ^= std::byte{1};
          usleep(100);
        }
      },
      true);
}

// --- It asks for what is not for it.

TEST_F(HostileProcessTest, WhoAsksForAnOperationThatIsNotForClientsIsCutOff) {
  ExpectCutOff(
      [](ClientPort& port, Control&) {
        return SubmitChanged(port, [](SlotRecord& slot) { slot.op.Store(kMaxOp + 1); });
      },
      "there is no such operation");
}

TEST_F(HostileProcessTest, WhoClaimsToSpeakForADeadPeerIsCutOff) {
  ExpectCutOff(
      [](ClientPort& port, Control&) {
        return SubmitChanged(port, [](SlotRecord& slot) { slot.flags.Store(kFlagReplayed); });
      },
      "a flag is not for clients");
}

// A slot that says that another port holds it, rings for words that there are not.
TEST_F(HostileProcessTest, WhoSubmitsToAPortThatIsNotItsServerReachesNobodyElse) {
  ExpectCutOff(
      [](ClientPort& port, Control&) {
        SlotRecord& slot = port.segment().slots()[1];
        slot.op.Store(kEcho);
        slot.StoreWord({SlotState::kSubmitted, 7, 1});
        ClientRings& rings = port.segment().rings();
        rings.requests.Post(1);
        rings.server.RaiseArrival(0);
        RingIfAsleep(rings.server, {port.doorbell_fd(), Bell::Kind::kSocket});
        while (slot.LoadWord().state != SlotState::kAnswered) usleep(100);
        if (slot.LoadWord().holder != kServerHolder) return kWrongAnswer;
        rings.server.RaiseArrival(kMailboxWords);
        RingIfAsleep(rings.server, {port.doorbell_fd(), Bell::Kind::kSocket});
        return AwaitCutOff(port);
      },
      "a word that is none");
}

// Beside its memory and its bell it has nothing, so there is nothing of others to write into.
TEST_F(HostileProcessTest, AClientHasItsOwnSegmentAndNothingElse) {
  ExpectCutOff(
      [](ClientPort& port, Control&) {
        // Standard streams, socket, memory, bell, and the look itself.
        if (OpenDescriptors() > 3 + 3 + 1) return kSeesTooMuch;
        if (MappedSegments("atoll-client") != 1 || MappedSegments("atoll-segment") != 0) {
          return kSeesTooMuch;
        }
        return SubmitChanged(port, [](SlotRecord& slot) { slot.word.store(~0ull); });
      },
      "a slot is not submitted");
}

// --- It dies, in the middle of something.

TEST_F(HostileProcessTest, WhoDiesBeforeItHasAnnouncedASlotIsForgotten) {
  ExpectDeathIsNoticed([](ClientPort& port, Control&) -> int {
    SubmitSlowOnes(port, 8);
    port.segment().slots()[63].StoreWord({SlotState::kSubmitted, kServerHolder, 9});
    Die();
  });
}

TEST_F(HostileProcessTest, WhoDiesBetweenTheTwoBitsIsForgotten) {
  ExpectDeathIsNoticed([](ClientPort& port, Control&) -> int {
    SubmitSlowOnes(port, 8);
    port.segment().slots()[63].StoreWord({SlotState::kSubmitted, kServerHolder, 9});
    port.segment().rings().requests.Post(63);
    Die();
  });
}

TEST_F(HostileProcessTest, WhoDiesAfterItHasSilencedTheBellIsNoticed) {
  ExpectDeathIsNoticed([](ClientPort& port, Control&) -> int {
    SubmitSlowOnes(port, 8);
    port.segment().rings().server.sleeping.exchange(0);
    Die();
  });
}

// What it has rung with is still there to read.
TEST_F(HostileProcessTest, WhoDiesBehindAFullBellIsNoticed) {
  ExpectDeathIsNoticed([](ClientPort& port, Control&) -> int {
    const Bytes rings(4096);
    while (send(port.doorbell_fd(), rings.data(), rings.size(), MSG_DONTWAIT) > 0) {
    }
    Die();
  });
}

TEST_F(HostileProcessTest, WhoDiesWhileItIsServedIsNoticedOnceThatIsOver) {
  ExpectDeathIsNoticed(
      [](ClientPort& port, Control& control) -> int {
        control.ready = true;
        AdaptiveSpin spin(0);
        while (true) {
          SubmitSlowOnes(port, 64);
          if (port.Wait(spin, kSecond)) port.Collect();
        }
      },
      true);
}

}  // namespace
}  // namespace atl
