// SPDX-License-Identifier: Apache-2.0
//
// How long a round trip between two processes takes: two bare words in shared memory, spinning; two
// bare futexes; and a request over ports, spinning, blocked on a futex, and over two executors.
//
//   build/bin/bench_ping_pong [ROUNDS]
//
// Both processes are pinned to a core of their own. Runs are short and many, so that on a machine
// that is busy otherwise the best of them had both cores to itself. Prints the best and the middle.
#include <fmt/format.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <vector>

#include "xseg/base/executor.h"
#include "xseg/clock.h"
#include "xseg/port.h"
#include "xseg/port_poller.h"

namespace atl {
namespace {

constexpr int kRuns = 61;

void Pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu % static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)), &set);
  sched_setaffinity(0, sizeof(set), &set);
}

struct Words {
  alignas(128) std::atomic<uint32_t> there;
  alignas(128) std::atomic<uint32_t> back;
  alignas(128) std::atomic<bool> ready;
};

Words* Shared() {
  void* memory =
      mmap(nullptr, sizeof(Words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  return new (memory) Words();
}

// Runs `echo` in a child on core 1 and `ask` here on core 0; ns for each of `rounds`. `ask` runs
// twice, the first time to warm up, so `echo` sees twice as many.
double Measure(int rounds, Words* words, const std::function<void()>& echo,
               const std::function<void()>& ask) {
  words->ready = false;
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    Pin(1);
    echo();
    _exit(0);
  }
  Pin(0);
  while (!words->ready) usleep(100);
  ask();
  const int64_t start = SegmentNowNs();
  ask();
  const int64_t took = SegmentNowNs() - start;
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  return static_cast<double>(took) / rounds;
}

double RawSpin(int rounds) {
  Words* words = Shared();
  const auto until = [](std::atomic<uint32_t>& word, uint32_t value) {
    while (word.load(std::memory_order_acquire) != value) __builtin_ia32_pause();
  };
  const auto n = static_cast<uint32_t>(rounds);
  return Measure(
      rounds, words,
      [&] {
        words->ready = true;
        for (uint32_t i = 1; i <= 2 * n; ++i) {
          until(words->there, i);
          words->back.store(i, std::memory_order_release);
        }
      },
      [&] {
        const uint32_t done = words->back.load();
        for (uint32_t i = done + 1; i <= done + n; ++i) {
          words->there.store(i, std::memory_order_release);
          until(words->back, i);
        }
      });
}

double RawFutex(int rounds) {
  Words* words = Shared();
  const auto post = [](std::atomic<uint32_t>& word, uint32_t value) {
    word.store(value, std::memory_order_release);
    syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  };
  const auto until = [](std::atomic<uint32_t>& word, uint32_t value) {
    for (uint32_t seen; (seen = word.load(std::memory_order_acquire)) != value;) {
      syscall(SYS_futex, &word, FUTEX_WAIT, seen, nullptr, nullptr, 0);
    }
  };
  const auto n = static_cast<uint32_t>(rounds);
  return Measure(
      rounds, words,
      [&] {
        words->ready = true;
        for (uint32_t i = 1; i <= 2 * n; ++i) {
          until(words->there, i);
          post(words->back, i);
        }
      },
      [&] {
        const uint32_t done = words->back.load();
        for (uint32_t i = done + 1; i <= done + n; ++i) {
          post(words->there, i);
          until(words->back, i);
        }
      });
}

std::unique_ptr<Segment> MakeSegment() {
  return std::move(*Segment::Create({.ports = 4}, Uuid::FromRandom(1, 2)));
}

double Ports(int rounds, int64_t spin_ns) {
  Words* words = Shared();
  auto segment = MakeSegment();
  auto port = std::move(*Port::Claim(segment.get(), "ask"));
  return Measure(
      rounds, words,
      [&] {
        auto port = std::move(*Port::Claim(segment.get(), "echo"));
        AdaptiveSpin spin(spin_ns);
        words->ready = true;
        for (int left = 2 * rounds; left > 0;) {
          auto request = port->Accept();
          if (!request) {
            port->Wait(spin, -1);
            continue;
          }
          port->Respond(std::move(*request), Code::kOk, 1);
          --left;
        }
      },
      [&] {
        const PortIndex echo = *Port::Find(*segment, "echo");
        AdaptiveSpin spin(spin_ns);
        for (int i = 0; i < rounds; ++i) {
          port->Submit(std::move(*port->Prepare(1)), echo);
          while (!port->Collect()) port->Wait(spin, -1);
        }
      });
}

Task<bool> AskAll(PortPoller* poller, PortIndex to, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    Request request = co_await poller->Prepare(1);
    Request answer = co_await poller->Call(std::move(request), to);
    CHECK(answer.code() == Code::kOk);
  }
  co_return true;
}

double Executors(int rounds, int64_t spin_ns) {
  Words* words = Shared();
  auto segment = MakeSegment();
  return Measure(
      rounds, words,
      [&] {
        Executor executor({.spin_ns = spin_ns});
        auto port = std::move(*Port::Claim(segment.get(), "echo"));
        int left = 2 * rounds;
        PortPoller poller(&executor, port.get(), [&](Request request) {
          port->Respond(std::move(request), Code::kOk, 1);
          if (--left == 0) executor.Stop();
        });
        words->ready = true;
        executor.Run();
      },
      [&] {
        Executor executor({.spin_ns = spin_ns});
        auto port = std::move(*Port::Claim(segment.get(), "ask"));
        PortPoller poller(&executor, port.get(), {});
        executor.RunUntilDone(AskAll(&poller, *Port::Find(*segment, "echo"), rounds));
      });
}

double Report(const char* what, double base, const std::function<double()>& run) {
  std::vector<double> ns;
  for (int i = 0; i < kRuns; ++i) ns.push_back(run());
  std::sort(ns.begin(), ns.end());
  const double middle = ns[kRuns / 2];
  const double best = ns.front();
  fmt::print("{:<24} best {:>8.0f} ns  middle {:>8.0f} ns  best to best {:>5.2f}\n", what, best,
             middle, base == 0 ? 1.0 : best / base);
  return best;
}

int Main(int rounds) {
  const int fewer = std::max(rounds / 10, 1);
  const double spin = Report("two words, spinning", 0, [&] { return RawSpin(rounds); });
  Report("ports, spinning", spin, [&] { return Ports(rounds, 1'000'000'000); });
  Report("executors, spinning", spin, [&] { return Executors(rounds, 1'000'000'000); });
  const double futex = Report("two futexes, blocked", 0, [&] { return RawFutex(fewer); });
  Report("ports, blocked", futex, [&] { return Ports(fewer, 0); });
  Report("executors, blocked", futex, [&] { return Executors(fewer, 0); });
  return 0;
}

}  // namespace
}  // namespace atl

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 2'000;
  if (rounds <= 0) {
    fmt::print(stderr, "usage: bench_ping_pong [ROUNDS]\n");
    return 2;
  }
  return atl::Main(rounds);
}
