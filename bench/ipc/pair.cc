// SPDX-License-Identifier: Apache-2.0
#include "bench/ipc/pair.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <vector>

#include "xseg/base/check.h"
#include "xseg/base/stamp_clock.h"

namespace atl::pingpong {
namespace {

// One side that dies would leave the other waiting for ever.
constexpr unsigned kMostSeconds = 120;
constexpr double kOwnShare = 0.95;

// Before anything was pinned.
const std::vector<int>& AllowedCpus() {
  static const std::vector<int> cpus = [] {
    std::vector<int> out;
    cpu_set_t set;
    CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) out.push_back(cpu);
    }
    return out;
  }();
  return cpus;
}

void Pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
}

int64_t ReadNs(clockid_t clock) {
  timespec time;
  CHECK(clock_gettime(clock, &time) == 0);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

class SharedFlag {
 public:
  SharedFlag() {
    void* memory =
        mmap(nullptr, sizeof(*flag_), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    flag_ = new (memory) std::atomic<bool>(false);
  }
  ~SharedFlag() { munmap(flag_, sizeof(*flag_)); }
  SharedFlag(const SharedFlag&) = delete;
  SharedFlag& operator=(const SharedFlag&) = delete;
  void Set() { *flag_ = true; }
  void Await() const {
    while (!*flag_) usleep(100);
  }

 private:
  std::atomic<bool>* flag_;
};

struct CpuClocks {
  int64_t ask, echo;

  static CpuClocks Read(clockid_t echo) { return {ReadNs(CLOCK_PROCESS_CPUTIME_ID), ReadNs(echo)}; }
};

bool HadTheCpus(const CpuClocks& before, const CpuClocks& after, int64_t ns, Manner manner) {
  const double least = kOwnShare * static_cast<double>(ns);
  const auto ask = static_cast<double>(after.ask - before.ask);
  const auto echo = static_cast<double>(after.echo - before.echo);
  if (manner.cpus == Cpus::kOne) return ask + echo >= least;
  return manner.waits == Waits::kBlocked || (ask >= least && echo >= least);
}

[[noreturn]] void RunEcho(const Game& game, SharedFlag* ready, int cpu) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(kMostSeconds);
  Pin(cpu);
  game.echo([ready] { ready->Set(); });
  _exit(0);
}

}  // namespace

bool HasTwoCpus() { return AllowedCpus().size() > 1; }

std::vector<Run> Play(const Game& game, Manner manner) {
  CHECK(manner.cpus == Cpus::kOne || HasTwoCpus());
  SharedFlag ready;
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) RunEcho(game, &ready, AllowedCpus()[manner.cpus == Cpus::kTwo ? 1 : 0]);
  Pin(AllowedCpus()[0]);
  alarm(kMostSeconds);
  ready.Await();
  clockid_t echo;
  CHECK(clock_getcpuclockid(child, &echo) == 0);
  std::vector<Run> runs;
  game.ask([&](const std::function<void()>& body) {
    body();
    for (int i = 1; i < kRuns; ++i) {
      const CpuClocks before = CpuClocks::Read(echo);
      const int64_t start = StampNowNs();
      body();
      const int64_t ns = StampNowNs() - start;
      runs.push_back({ns, HadTheCpus(before, CpuClocks::Read(echo), ns, manner)});
    }
  });
  alarm(0);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && status == 0) << "the echo has failed";
  return runs;
}

}  // namespace atl::pingpong
