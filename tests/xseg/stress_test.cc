// SPDX-License-Identifier: Apache-2.0
//
// Several senders and a receiver exchange requests with checksummed buffers as fast as they can,
// while some of them are killed at random moments and replaced. Every request of a sender that
// lives must be answered, every checksum must hold, and in the end nothing may be left over.
//
// Twice: with processes and kill -9, and with threads that vanish, which a thread sanitizer can
// follow. ATOLL_SEED repeats the choices, ATOLL_STRESS_MS sets the length of each.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/xseg/segment_fixture.h"
#include "xseg/base/crc32c.h"
#include "xseg/base/stamp_clock.h"
#include "xseg/inspect.h"
#include "xseg/reclaim.h"

namespace atl {
namespace {

constexpr int kSenders = 3;
constexpr const char* kServer = "server";

// Exit codes of a worker.
constexpr int kDone = 0;
constexpr int kVanished = 1;
constexpr int kNoClaim = 10;
constexpr int kBadPayload = 11;
constexpr int kBadAnswer = 12;
constexpr int kLost = 13;

// Shared by all; the workers' only other connection.
struct Control {
  std::atomic<bool> stop_senders{false};
  std::atomic<bool> stop_server{false};
  std::atomic<bool> vanish[kSenders + 1]{};  // Threads only.
};

struct Check {
  uint32_t crc;
  uint32_t seed;
};

void FillPattern(MutSpan bytes, uint32_t seed) {
  uint64_t word = seed * 0x9E3779B97F4A7C15ull + 1;
  for (size_t i = 0; i < bytes.size(); i += 8) {
    word = word * 6364136223846793005ull + 1442695040888963407ull;
    std::memcpy(bytes.data() + i, &word, std::min<size_t>(8, bytes.size() - i));
  }
}

size_t RandomSize(std::mt19937_64& random) {
  const uint64_t kind = random() % 1000;
  if (kind < 990) return 16 + random() % 240;
  if (kind < 999) return 4096 + random() % 30'000;
  return 100'000 + random() % 2'000'000;
}

class SenderWorker {
 public:
  SenderWorker(Segment* segment, Control* control, int number, uint64_t seed)
      : segment_(segment), control_(control), number_(number), random_(seed) {}

  int Run() {
    auto claimed = Port::Claim(segment_, "sender" + std::to_string(number_));
    if (!claimed.ok()) return kNoClaim;
    port_ = std::move(*claimed);
    AdaptiveSpin spin(2000);
    while (true) {
      const bool stopping = control_->stop_senders.load(std::memory_order_relaxed);
      if (control_->vanish[number_].load(std::memory_order_relaxed)) return Vanish();
      if (stopping && out_ == 0) return kDone;
      if (!stopping) SendSome();
      if (const int bad = CollectAll(); bad != kDone) return bad;
      if (out_ > 0 && !port_->HasWork() && !port_->Wait(spin, 20'000'000'000)) return kLost;
    }
  }

 private:
  int Vanish() {
    // Also with a request and a buffer that it has not sent.
    auto request = port_->Prepare(1);
    auto buffer = port_->buffers().Allocate(4096);
    if (buffer) buffer->Disown();
    if (request) request->Release();
    port_->Vanish();
    return kVanished;
  }

  void SendSome() {
    const auto server = Port::Find(*segment_, kServer);
    if (!server.ok()) return;  // Between two servers it is still found; only at the start not.
    const unsigned batch = 1 + random_() % 32;
    for (unsigned i = 0; i < batch; ++i) {
      auto buffer = port_->buffers().Allocate(RandomSize(random_));
      if (!buffer) return;
      auto request = port_->Prepare(2);
      if (!request) return;
      const auto seed = static_cast<uint32_t>(random_());
      FillPattern(buffer->bytes(), seed);
      const Check check{Crc32c(buffer->bytes()), seed};
      request->SetArguments(std::as_bytes(std::span(&check, 1)));
      request->set_trace(seed);
      request->Carry(std::move(*buffer));
      port_->Submit(std::move(*request), *server);
      ++out_;
    }
  }

  // The server has written the pattern of seed + 1 over the buffer and says its checksum.
  int CollectAll() {
    while (auto answer = port_->Collect()) {
      --out_;
      if (answer->code() != Code::kOk) return kBadAnswer;
      const SharedBuffer buffer = answer->TakeBuffer();
      Check check;
      std::memcpy(&check, answer->arguments().data(), sizeof(check));
      if (check.seed != static_cast<uint32_t>(answer->trace()) + 1) return kBadAnswer;
      if (check.crc != Crc32c(buffer.bytes())) return kBadAnswer;
    }
    return kDone;
  }

  Segment* segment_;
  Control* control_;
  int number_;
  std::mt19937_64 random_;
  std::unique_ptr<Port> port_;
  unsigned out_ = 0;
};

class ServerWorker {
 public:
  ServerWorker(Segment* segment, Control* control, uint64_t seed)
      : segment_(segment), control_(control), random_(seed) {}

  int Run() {
    auto claimed = Port::Claim(segment_, kServer);
    if (!claimed.ok()) return kNoClaim;
    port_ = std::move(*claimed);
    for (Request& request : port_->Replay()) held_.push_back(std::move(request));
    AdaptiveSpin spin(2000);
    while (true) {
      if (control_->vanish[kSenders].load(std::memory_order_relaxed)) return Vanish();
      while (auto request = port_->Accept()) {
        held_.push_back(std::move(*request));
        if (held_.size() > 40) break;
      }
      if (const int bad = ServeSome(); bad != kDone) return bad;
      if (!held_.empty()) continue;
      if (control_->stop_server.load(std::memory_order_relaxed)) return kDone;
      port_->Wait(spin, 50'000'000);
    }
  }

 private:
  int Vanish() {
    for (Request& request : held_) request.Leave();
    port_->Vanish();
    return kVanished;
  }

  // In any order, and not all at once.
  int ServeSome() {
    for (unsigned count = 1 + random_() % 48; count > 0 && !held_.empty(); --count) {
      std::swap(held_[random_() % held_.size()], held_.back());
      const int bad = Serve(std::move(held_.back()));
      held_.pop_back();
      if (bad != kDone) return bad;
    }
    return kDone;
  }

  int Serve(Request request) {
    auto bytes = segment_->Resolve(request.buffer());
    Check check;
    if (!bytes.ok() || request.arguments().size() != sizeof(check)) return kBadPayload;
    std::memcpy(&check, request.arguments().data(), sizeof(check));
    const auto seed = static_cast<uint32_t>(request.trace());
    // A predecessor may have served it, wholly or in part, so only a fresh one must be intact.
    if (!request.is_replayed() && (check.seed != seed || check.crc != Crc32c(*bytes))) {
      return kBadPayload;
    }
    FillPattern(*bytes, seed + 1);
    const Check answer{Crc32c(*bytes), seed + 1};
    request.SetArguments(std::as_bytes(std::span(&answer, 1)));
    port_->Respond(std::move(request), Code::kOk, 0);
    return kDone;
  }

  Segment* segment_;
  Control* control_;
  std::mt19937_64 random_;
  std::unique_ptr<Port> port_;
  std::vector<Request> held_;
};

int RunWorker(Segment* segment, Control* control, int number, uint64_t seed) {
  if (number == kSenders) return ServerWorker(segment, control, seed).Run();
  return SenderWorker(segment, control, number, seed).Run();
}

std::string NameOfWorker(int number) {
  return number == kSenders ? kServer : "sender" + std::to_string(number);
}

int64_t StressNs() {
  const char* given = std::getenv("ATOLL_STRESS_MS");
  return (given ? std::atoll(given) : 3500) * 1'000'000;
}

// How workers are started and ended; processes or threads.
class Crew {
 public:
  virtual ~Crew() = default;
  virtual void Start(int number, uint64_t seed) = 0;
  virtual void Kill(int number) = 0;
  // Waits for its end and returns its exit code.
  virtual int Join(int number) = 0;
};

class ProcessCrew final : public Crew {
 public:
  ProcessCrew(Segment* segment, Control* control) : segment_(segment), control_(control) {}
  void Start(int number, uint64_t seed) override {
    pids_[number] = fork();
    CHECK(pids_[number] >= 0);
    if (pids_[number] == 0) _exit(RunWorker(segment_, control_, number, seed));
  }
  void Kill(int number) override { kill(pids_[number], SIGKILL); }
  int Join(int number) override {
    int status = 0;
    CHECK(waitpid(pids_[number], &status, 0) == pids_[number]);
    if (WIFSIGNALED(status))
      return WTERMSIG(status) == SIGKILL ? kVanished : WTERMSIG(status) + 100;
    return WEXITSTATUS(status);
  }

 private:
  Segment* segment_;
  Control* control_;
  pid_t pids_[kSenders + 1] = {};
};

class ThreadCrew final : public Crew {
 public:
  ThreadCrew(Segment* segment, Control* control) : segment_(segment), control_(control) {}
  void Start(int number, uint64_t seed) override {
    control_->vanish[number] = false;
    threads_[number] =
        std::thread([=, this] { codes_[number] = RunWorker(segment_, control_, number, seed); });
  }
  void Kill(int number) override { control_->vanish[number] = true; }
  int Join(int number) override {
    threads_[number].join();
    return codes_[number];
  }

 private:
  Segment* segment_;
  Control* control_;
  std::thread threads_[kSenders + 1];
  int codes_[kSenders + 1] = {};
};

class Stress {
 public:
  explicit Stress(uint64_t seed) : random_(seed) {
    void* shared =
        mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    control_ = new (shared) Control();
  }
  ~Stress() { munmap(control_, sizeof(Control)); }
  Segment* segment() { return segment_.get(); }
  Control* control() { return control_; }

  void Run(Crew& crew) {
    for (int i = 0; i <= kSenders; ++i) crew.Start(i, random_());
    const int64_t end = StampNowNs() + StressNs();
    int killed = 0;
    while (StampNowNs() < end && !testing::Test::HasFailure()) {
      usleep(static_cast<useconds_t>(5'000 + random_() % 60'000));
      Replace(crew, static_cast<int>(random_() % (kSenders + 1)));
      ++killed;
    }
    control_->stop_senders = true;
    for (int i = 0; i < kSenders; ++i) EXPECT_EQ(crew.Join(i), kDone) << NameOfWorker(i);
    control_->stop_server = true;
    EXPECT_EQ(crew.Join(kSenders), kDone);
    ExpectNothingLeft();
    uint64_t served = 0;
    for (PortIndex i = 0; i < segment_->geometry().ports; ++i) {
      served += Take(segment_->metrics(i).served).total_requests();
    }
    std::cout << served << " requests served, " << killed << " workers killed\n";
    EXPECT_GT(served, 1000u);
    EXPECT_GT(killed, 10);
  }

 private:
  void Replace(Crew& crew, int number) {
    crew.Kill(number);
    const int code = crew.Join(number);
    ASSERT_EQ(code, kVanished) << NameOfWorker(number);
    const auto port = Port::Find(*segment_, NameOfWorker(number));
    // Killed before it had claimed its port for the first time: nothing to do.
    if (port.ok() && segment_->port(*port).LoadControl().state != PortState::kVacant) {
      Reclaim(*port);
    }
    crew.Start(number, random_());
  }

  void Reclaim(PortIndex port) {
    auto report = Quarantine(*segment_, port, ProofOfDeath::kCallerKnows);
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    // The server lives, so what is in flight gets answered.
    for (int tries = 0; tries < 20'000; ++tries) {
      const auto released = Release(*segment_, port);
      if (released.ok()) return;
      ASSERT_EQ(released.code(), Code::kBusy) << released.status().ToString();
      usleep(500);
    }
    FAIL() << "requests of port " << port << " stay in flight";
  }

  void ExpectNothingLeft() {
    const auto findings = CheckSegment(*segment_, {.stuck_after_ns = 0});
    for (const auto& finding : findings) ADD_FAILURE() << finding;
    for (SlotIndex i = 0; i < segment_->slot_count(); ++i) {
      EXPECT_EQ(segment_->slot(i).LoadWord().state, SlotState::kFree) << i;
    }
    for (PortIndex i = 0; i < segment_->geometry().ports; ++i) {
      EXPECT_EQ(BlocksOf(*segment_, i), 0u) << i;
      EXPECT_EQ(segment_->port(i).LoadControl().state, PortState::kFree) << i;
    }
  }

  std::mt19937_64 random_;
  std::unique_ptr<Segment> segment_ =
      MakeSegment({.ports = kSenders + 1, .slots_per_port = 128, .blocks = {256, 64, 16}});
  Control* control_;
};

uint64_t Seed() {
  const char* given = std::getenv("ATOLL_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "ATOLL_SEED=" << seed << "\n";
  return seed;
}

TEST(Stress, ProcessesThatAreKilledLoseNothingOfTheOthers) {
  Stress stress(Seed());
  ProcessCrew crew(stress.segment(), stress.control());
  stress.Run(crew);
}

TEST(Stress, ThreadsThatVanishLoseNothingOfTheOthers) {
  Stress stress(Seed());
  ThreadCrew crew(stress.segment(), stress.control());
  stress.Run(crew);
}

}  // namespace
}  // namespace atl
