// SPDX-License-Identifier: Apache-2.0
//
// A peer of the node, a process of its own with the whole segment in its hands, that goes wrong: it
// sends garbage, hoards buffers, writes to ports that do not serve it, dies with everything out.
// A store's server refuses what makes no sense; another peer goes on with checked work; and once
// the process has ended nothing of it is left.
//
// What is not tried is what peers trust each other with (xseg/segment.h): writing into what is
// another's. Whoever is not trusted that far gets a segment of its own (hostile_process_test.cc).
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <random>
#include <thread>
#include <vector>

#include "peers/store/memory/memory_store.h"
#include "tests/peers/port_rpc/isolated_peers.h"
#include "xseg/base/executor.h"
#include "xseg/inspect.h"
#include "xseg/port_claim.h"

namespace atl {
namespace {

constexpr const char* kStore = "store";
constexpr const char* kHonest = "honest";
constexpr const char* kHostile = "hostile";
constexpr int64_t kPatienceNs = 60 * kSecond;

// Of the test: what the process has come to.
struct Control {
  std::atomic<bool> go{false};
  std::atomic<bool> done{false};
  std::atomic<uint64_t> answered{0};
  std::atomic<uint64_t> refused{0};
};

using Behaviour = std::function<void(Port&, Control&)>;

// In a thread of its own, as in a process: a store behind its port.
class StoreThread {
 public:
  explicit StoreThread(Segment* segment) {
    thread_ = std::thread([this, segment] {
      Executor executor;
      MemoryStore store(executor);
      {
        ServedStore served(&executor, segment, kStore, &store);
        running_ = &executor;
        executor.Run();
      }
      executor.RunUntilDone(store.Close());
    });
    while (running_ == nullptr) std::this_thread::yield();
  }
  ~StoreThread() {
    running_.load()->Stop();
    thread_.join();
  }

 private:
  std::atomic<Executor*> running_{nullptr};
  std::thread thread_;
};

class HostilePeerTest : public ::testing::Test {
 protected:
  ~HostilePeerTest() override {
    if (pid_ > 0) Kill();
    munmap(control_, sizeof(Control));
  }

  // The process is there before anything else begins.
  void Start(const Behaviour& behave) {
    pid_ = fork();
    CHECK(pid_ >= 0);
    if (pid_ == 0) {
      while (!control_->go) usleep(100);
      auto port = Port::Claim(segment_.get(), kHostile);
      if (!port.ok()) _exit(1);
      behave(**port, *control_);
      control_->done = true;
      while (true) pause();
    }
    store_ = std::make_unique<StoreThread>(segment_.get());
    executor_ = std::make_unique<Executor>();
    honest_ = OpenPeerOrDie(executor_.get(), segment_.get(), kHonest);
    honest_->server().Serve();
    const auto connect = [this]() -> Task<void> {
      remote_ = *co_await RemoteStore::Connect(&honest_->client(), kStore);
      EXPECT_TRUE((co_await remote_->Adopt(kBlob, 0)).ok());
    };
    executor_->RunUntilDone(connect());
    Rounds(10);
    honest_->port().buffers().Flush();  // It has none in reserve.
    control_->go = true;
  }
  // Until it has done what it came for.
  void RoundsUntilDone() {
    const int64_t end = executor_->BootNs() + kPatienceNs;
    while (!control_->done && executor_->BootNs() < end) Rounds(10);
    EXPECT_TRUE(control_->done);
  }
  // Checked work of the other peer.
  void Rounds(int count) {
    const auto work = [this, count]() -> Task<void> {
      for (int i = 0; i < count; ++i) {
        const Bytes data(1 + random_() % (64 * kKiB), static_cast<std::byte>(random_()));
        Bytes back(data.size());
        const uint64_t offset = random_() % kMiB;
        const Status written = co_await remote_->Write(kBlob, offset, data, {});
        EXPECT_TRUE(written.ok()) << written.ToString();
        const Status read = co_await remote_->Read(kBlob, offset, back);
        EXPECT_TRUE(read.ok()) << read.ToString();
        EXPECT_TRUE(back == data);
      }
    };
    executor_->RunUntilDone(work());
  }

  void Kill() {
    kill(pid_, SIGKILL);
    int status = 0;
    CHECK(waitpid(pid_, &status, 0) == pid_);
    pid_ = -1;
    EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself: " << status;
  }
  // What the supervisor does once it is dead.
  void Reclaim() {
    const auto port = Port::Find(*segment_, kHostile);
    ASSERT_TRUE(port.ok());
    ASSERT_TRUE(Quarantine(*segment_, *port, ProofOfDeath::kCallerKnows).ok());
    for (int i = 0; i < 60'000 && InFlightOf(*segment_, *port) > 0; ++i) usleep(1000);
    const auto released = Release(*segment_, *port);
    ASSERT_TRUE(released.ok()) << released.status().ToString();
    ASSERT_TRUE(Abandon(*segment_, *port, Code::kUnavailable).ok());
    EXPECT_EQ(segment_->port(*port).LoadControl().state, PortState::kFree);
    EXPECT_EQ(BlocksOf(*segment_, *port), 0u);
    for (SlotIndex i = 0; i < segment_->slot_count(); ++i) {
      const SlotWord word = segment_->slot(i).LoadWord();
      EXPECT_TRUE(segment_->owner_of(i) != *port || word.state == SlotState::kFree) << i;
      const bool waits = word.state == SlotState::kSubmitted || word.state == SlotState::kAccepted;
      EXPECT_FALSE(word.holder == *port && waits) << i;
    }
    for (const auto& finding : CheckSegment(*segment_, {})) ADD_FAILURE() << finding;
  }
  void KillAndReclaim() {
    Kill();
    Reclaim();
    Rounds(10);
    EXPECT_EQ(honest_->port().buffers().in_use(), 0u);
  }

  const BlobId kBlob{Uuid::FromRandom(1, 2), 1, 0};
  std::unique_ptr<Segment> segment_ = MakeSegment(kPeersGeometry);
  Control* control_ = new (mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Control();
  pid_t pid_ = -1;
  std::mt19937_64 random_{1};
  std::unique_ptr<StoreThread> store_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<PeerPort> honest_;
  std::unique_ptr<RemoteStore> remote_;
};

void CollectAll(Port& port, Control& control) {
  while (auto answer = port.Collect()) {
    ++control.answered;
    if (answer->code() != Code::kOk) ++control.refused;
  }
}

constexpr uint64_t kGarbage = 20'000;

// Any operation with any bytes, changed once more after they were sent. Data is its own buffer, or
// lies outside of the segment.
void SendGarbage(Port& port, Control& control, uint64_t seed) {
  std::mt19937_64 random(seed);
  const PortIndex store = *Port::Find(port.segment(), kStore);
  const SharedBuffer own = std::move(*port.buffers().Allocate(64 * kKiB));
  AdaptiveSpin spin(0);
  for (uint64_t sent = 0;;) {
    CollectAll(port, control);
    if (control.answered == kGarbage) break;
    auto request = sent < kGarbage ? port.Prepare(static_cast<uint16_t>(random())) : std::nullopt;
    if (!request) {
      port.Wait(spin, kPatienceNs);
      continue;
    }
    if (random() % 2 == 0) request = {};  // Most numbers are no operation.
    if (!request) request = port.Prepare(static_cast<uint16_t>(128 + random() % 40));
    const MutSpan room = request->argument_room();
    for (std::byte& byte : room) byte = static_cast<std::byte>(random());
    RpcHead head{random(), static_cast<uint32_t>(random() % 3 * random()),
                 static_cast<uint32_t>(random() % (2 * kRpcInlineBytes))};
    if (random() % 2 == 0) head = {own.ref().offset, own.ref().length, head.argument_bytes};
    std::memcpy(room.data(), &head, sizeof(head));
    request->set_argument_bytes(random() % (kInlineArgumentBytes + 1));
    request->set_flags(static_cast<uint16_t>(random()));
    request->ReferTo(random() % 2 == 0 ? own.ref()
                                       : BufferRef{random() | 1ull << 40, uint32_t(random())});
    port.Submit(std::move(*request), store);
    ++sent;
    for (std::byte& byte : room) byte = static_cast<std::byte>(random());
    for (std::byte& byte : own.bytes().first(256)) byte = static_cast<std::byte>(random());
  }
}

TEST_F(HostilePeerTest, GarbageIsRefusedAndDisturbsNobody) {
  const char* given = std::getenv("ATOLL_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "ATOLL_SEED=" << seed << "\n";
  Start([seed](Port& port, Control& control) { SendGarbage(port, control, seed); });
  RoundsUntilDone();
  EXPECT_EQ(control_->answered, kGarbage);
  EXPECT_GT(control_->refused, kGarbage / 2);
  KillAndReclaim();
}

// As many as the others leave it: of each class there is as much as the limits of all peers.
TEST_F(HostilePeerTest, WhoKeepsHalfOfAllBuffersAndAllOfItsSlotsStopsNobody) {
  Start([](Port& port, Control&) {
    const PortIndex store = *Port::Find(port.segment(), kStore);
    for (int c = 0; c < kBlockClasses; ++c) {
      for (uint32_t i = 0; i < kPeersGeometry.blocks[c] / 2; ++i) {
        port.buffers().Allocate(kBlockBytes[c])->Disown();
      }
    }
    while (auto request = port.Prepare(static_cast<uint16_t>(Op::kStoreSync))) {
      port.Submit(std::move(*request), store);  // And collects no answer.
    }
  });
  RoundsUntilDone();
  KillAndReclaim();
}

// Nobody can hinder it, for it has the words of the blocks in its hands: others wait for a buffer,
// lose nothing, and go on once it was ended.
TEST_F(HostilePeerTest, WhoTakesAllBuffersHoldsOthersUpUntilItIsEnded) {
  Start([](Port& port, Control&) {
    for (int c = 0; c < kBlockClasses; ++c) {
      while (auto buffer = port.buffers().Allocate(kBlockBytes[c])) buffer->Disown();
    }
  });
  while (!control_->done) usleep(1000);
  std::thread supervisor([this] {
    usleep(100'000);
    Kill();
    Reclaim();
  });
  Rounds(10);
  EXPECT_EQ(pid_, -1) << "there were buffers all the time";
  supervisor.join();
  Rounds(10);
}

TEST_F(HostilePeerTest, PortsThatServeNothingAnswerOrAreNotReached) {
  Start([](Port& port, Control& control) {
    const Segment& segment = port.segment();
    const PortIndex honest = *Port::Find(segment, kHonest);
    AdaptiveSpin spin(0);
    for (int i = 0; i < 1000; ++i) {
      port.Submit(std::move(*port.Prepare(static_cast<uint16_t>(Op::kStoreRead))), honest);
      while (control.answered <= static_cast<uint64_t>(i)) {
        CollectAll(port, control);
        port.Wait(spin, kMillisecond);
      }
      // Bits of others, for slots that nobody has sent.
      for (PortIndex other = 0; other < segment.geometry().ports; ++other) {
        const PortIndex store = *Port::Find(segment, kStore);
        segment.mailbox({.to = store, .from = other}).Post(static_cast<unsigned>(i) % 512);
        segment.port(store).hot.RaiseArrival(other);
        HotLine::PostExpress(segment.port(store).hot.express_request,
                             static_cast<uint64_t>(i) * 7919);
      }
      segment.port(honest).answers.Post(static_cast<unsigned>(i) % 512);
      segment.port(honest).hot.RaiseAnswer(static_cast<unsigned>(i) % 64);
      HotLine::PostExpress(segment.port(honest).hot.express_answer,
                           static_cast<uint64_t>(i) * 7919);
    }
    // To a port that nobody has, and to itself.
    port.Submit(std::move(*port.Prepare(1)), kPeersGeometry.ports - 1);
    port.Submit(std::move(*port.Prepare(1)), port.index());
  });
  RoundsUntilDone();
  EXPECT_EQ(control_->refused, 1000u) << "who only sends serves nothing";
  KillAndReclaim();
}

// Each of these is a moment between two writes to the segment (mailbox.h, doorbell.h).
constexpr int kExpress = 5;
class DeathOfAPeerTest : public HostilePeerTest, public testing::WithParamInterface<int> {};

TEST_P(DeathOfAPeerTest, InTheMiddleOfASubmitLeavesNothing) {
  const int moment = GetParam();
  Start([moment](Port& port, Control&) {
    const Segment& segment = port.segment();
    const PortIndex store = *Port::Find(segment, kStore);
    for (int i = 0; i < 8; ++i) {
      port.Submit(std::move(*port.Prepare(static_cast<uint16_t>(Op::kStoreCapacity))), store);
    }
    Request request = std::move(*port.Prepare(static_cast<uint16_t>(Op::kStoreCapacity)));
    request.Carry(std::move(*port.buffers().Allocate(kMiB)));
    const unsigned number = request.number();
    SlotRecord& slot = *request.Release();
    if (moment >= 1) slot.StoreWord({SlotState::kSubmitted, store, slot.LoadWord().sequence});
    HotLine& hot = segment.port(store).hot;
    if (moment == kExpress) {
      HotLine::PostExpress(hot.express_request, segment.first_slot(port.index()) + number + 1);
      return;
    }
    if (moment >= 2) segment.mailbox({.to = store, .from = port.index()}).Post(number);
    if (moment >= 3) hot.RaiseArrival(port.index());
    if (moment >= 4) hot.sleeping.exchange(0);
  });
  RoundsUntilDone();
  KillAndReclaim();
}
INSTANTIATE_TEST_SUITE_P(Moments, DeathOfAPeerTest, testing::Range(0, kExpress + 1));

// It dies with what another one has asked of it: that one is told.
TEST_F(HostilePeerTest, WhoDiesWithRequestsOfOthersAnswersThemByItsEnd) {
  Start([](Port& port, Control& control) {
    control.answered = 1;
    AdaptiveSpin spin(0);
    for (int held = 0; held < 16;) {
      auto request = port.Accept();
      if (!request) {
        port.Wait(spin, kMillisecond);
        continue;
      }
      request->Leave();
      ++held;
    }
  });
  while (control_->answered == 0) usleep(1000);
  std::array<Code, 32> codes{};
  TaskGroup group;
  const auto ask = [this](RpcTarget to, Code* code) -> Task<void> {
    const StoreCapacityOp op;
    *code = (co_await honest_->client().Call(to, op)).code();
  };
  for (Code& code : codes) group.Run(ask(*honest_->client().Find(kHostile), &code));
  RoundsUntilDone();
  KillAndReclaim();
  executor_->RunUntilDone(group.Join());
  for (const Code code : codes) EXPECT_EQ(code, Code::kUnavailable);
}

}  // namespace
}  // namespace atl
