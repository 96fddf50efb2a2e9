// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/campaign.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

#include "tests/sim/simulation.h"
#include "xseg/base/check.h"

namespace atl::sim {
namespace {

using Clock = std::chrono::steady_clock;

// Of real time. A seed takes some milliseconds.
constexpr double kLongestSeed = 120;

double Since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// What a worker says, in memory that both have.
struct Slot {
  std::atomic<uint64_t> seed{0};
  std::atomic<uint64_t> done{0};
  char what[2000]{};
};

struct Board {
  std::atomic<uint64_t> next{0};  // How many seeds were given out.
  std::atomic<bool> stop{false};
};

template <typename T>
T* Share(size_t count) {
  void* memory =
      mmap(nullptr, sizeof(T) * count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  T* things = static_cast<T*>(memory);
  for (size_t i = 0; i < count; ++i) new (things + i) T;
  return things;
}

struct Worker {
  pid_t pid = 0;
  bool running = true;
  uint64_t last_seed = 0;
  Clock::time_point since;  // When `last_seed` was first seen.
};

// The worker's whole life. Nothing is destroyed after a failure: coroutines are suspended anywhere.
[[noreturn]] void Work(const Campaign& campaign, Board* board, Slot* slot) {
  spdlog::set_level(spdlog::level::off);  // That things fail is what is wanted.
  while (!board->stop) {
    const uint64_t number = board->next.fetch_add(1);
    if (campaign.seconds == 0 && number >= campaign.count) break;
    const uint64_t seed = campaign.first + number;
    slot->seed = seed;
    auto* simulation = new Simulation(seed, campaign.traces);
    if (!simulation->Run()) {
      const std::string text = simulation->failure() + "\n  " + simulation->Describe();
      std::strncpy(slot->what, text.c_str(), sizeof(slot->what) - 1);
      board->stop = true;
      _exit(1);
    }
    delete simulation;
    ++slot->done;
  }
  _exit(0);
}

std::string DeathOf(int status) {
  if (WIFSIGNALED(status)) return fmt::format("the process ended by signal {}", WTERMSIG(status));
  return fmt::format("the process ended with {}", WEXITSTATUS(status));
}

class Foreman {
 public:
  explicit Foreman(const Campaign& campaign)
      : campaign_(campaign),
        begin_(Clock::now()),
        board_(Share<Board>(1)),
        slots_(Share<Slot>(static_cast<size_t>(campaign.jobs))) {}
  ~Foreman() {
    munmap(board_, sizeof(Board));
    munmap(slots_, sizeof(Slot) * workers_.size());
  }

  Outcome Run() {
    std::fflush(stdout);
    for (int i = 0; i < campaign_.jobs; ++i) {
      const pid_t pid = fork();
      CHECK(pid >= 0);
      if (pid == 0) Work(campaign_, board_, slots_ + i);
      workers_.push_back({.pid = pid, .since = Clock::now()});
    }
    while (std::ranges::any_of(workers_, &Worker::running)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      for (size_t i = 0; i < workers_.size(); ++i) Look(i);
      if (campaign_.seconds > 0 && Since(begin_) >= campaign_.seconds) board_->stop = true;
      if (campaign_.progress) Progress();
    }
    outcome_.seeds = Done();
    outcome_.seconds = Since(begin_);
    return outcome_;
  }

 private:
  uint64_t Done() const {
    uint64_t done = 0;
    for (size_t i = 0; i < workers_.size(); ++i) done += slots_[i].done;
    return done;
  }

  void Look(size_t i) {
    Worker& worker = workers_[i];
    if (!worker.running) return;
    int status = 0;
    const bool ended = waitpid(worker.pid, &status, WNOHANG) == worker.pid;
    const uint64_t seed = slots_[i].seed;
    if (seed != worker.last_seed) worker.since = Clock::now();
    worker.last_seed = seed;
    if (!ended && Since(worker.since) < kLongestSeed) return;
    worker.running = false;
    if (ended && status == 0) return;
    if (!ended) {
      kill(worker.pid, SIGKILL);
      waitpid(worker.pid, &status, 0);
    }
    board_->stop = true;
    const std::string what = !ended ? fmt::format("it does not end within {} s", kLongestSeed)
                             : slots_[i].what[0] != 0 ? std::string(slots_[i].what)
                                                      : DeathOf(status);
    if (outcome_.failed && outcome_.seed < seed) return;
    outcome_.failed = true;
    outcome_.seed = seed;
    outcome_.what = what;
  }

  void Progress() {
    constexpr double kPause = 10;
    if (Since(begin_) < shown_ + kPause) return;
    shown_ = Since(begin_);
    std::fprintf(stderr, "-- %llu seeds, %.0f s\n", static_cast<unsigned long long>(Done()),
                 shown_);
  }

  const Campaign campaign_;
  const Clock::time_point begin_;
  Board* board_;
  Slot* slots_;
  std::vector<Worker> workers_;
  Outcome outcome_;
  double shown_ = 0;
};

}  // namespace

Outcome RunCampaign(const Campaign& campaign) { return Foreman(campaign).Run(); }

}  // namespace atl::sim
