// SPDX-License-Identifier: Apache-2.0
#include "bench/ipc/bare.h"

#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>
#include <vector>

#include "xseg/base/check.h"
#include "xseg/base/fd.h"

namespace atl::pingpong {
namespace {

constexpr size_t kMessage = 64;

struct Words {
  alignas(128) std::atomic<uint32_t> there;
  alignas(128) std::atomic<uint32_t> back;
};

std::shared_ptr<Words> MakeWords() {
  void* memory =
      mmap(nullptr, sizeof(Words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  return {new (memory) Words(), [](Words* words) { munmap(words, sizeof(Words)); }};
}

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

using Word = std::atomic<uint32_t>;

// Counting up, so that a value is never seen twice.
Game OverWords(int rounds, void (*post)(Word&, uint32_t), void (*until)(Word&, uint32_t)) {
  const auto words = MakeWords();
  const auto n = static_cast<uint32_t>(rounds);
  return {.echo =
              [=](const auto& ready) {
                ready();
                for (uint32_t i = 1; i <= kRuns * n; ++i) {
                  until(words->there, i);
                  post(words->back, i);
                }
              },
          .ask =
              [=](const auto& play) {
                play([&] {
                  const uint32_t done = words->back.load();
                  for (uint32_t i = done + 1; i <= done + n; ++i) {
                    post(words->there, i);
                    until(words->back, i);
                  }
                });
              }};
}

struct TwoFds {
  Fd there, back;
};

void Put(int fd) {
  const uint64_t one = 1;
  CHECK(write(fd, &one, sizeof(one)) == sizeof(one));
}

void Take(int fd) {
  uint64_t count;
  CHECK(read(fd, &count, sizeof(count)) == sizeof(count));
}

// All of `bytes`; of a stream with less room than that, in pieces.
void WriteAll(int fd, const std::byte* data, size_t bytes) {
  while (bytes > 0) {
    const ssize_t put = write(fd, data, bytes);
    CHECK(put > 0);
    data += put;
    bytes -= static_cast<size_t>(put);
  }
}

void EchoBytes(int fd, size_t bytes, size_t most) {
  std::vector<std::byte> data(most);
  while (bytes > 0) {
    const ssize_t got = read(fd, data.data(), data.size());
    CHECK(got > 0);
    WriteAll(fd, data.data(), static_cast<size_t>(got));
    bytes -= static_cast<size_t>(got);
  }
}

void AskBytes(int fd, size_t bytes, size_t most) {
  std::vector<std::byte> data(most);
  size_t sent = 0;
  for (size_t received = 0; received < bytes;) {
    // Whole messages, for those that have come back whole.
    const size_t in_flight = sent - received / kMessage * kMessage;
    const size_t room = std::min(bytes - sent, most - in_flight);
    WriteAll(fd, data.data(), room);
    sent += room;
    const ssize_t got = read(fd, data.data(), data.size());
    CHECK(got > 0);
    received += static_cast<size_t>(got);
  }
}

}  // namespace

Game SharedWords(int rounds) {
  return OverWords(
      rounds, [](Word& word, uint32_t value) { word.store(value, std::memory_order_release); },
      [](Word& word, uint32_t value) {
        while (word.load(std::memory_order_acquire) != value) Pause();
      });
}

Game Futexes(int rounds) {
  return OverWords(
      rounds,
      [](Word& word, uint32_t value) {
        word.store(value, std::memory_order_release);
        syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
      },
      [](Word& word, uint32_t value) {
        for (uint32_t seen; (seen = word.load(std::memory_order_acquire)) != value;) {
          syscall(SYS_futex, &word, FUTEX_WAIT, seen, nullptr, nullptr, 0);
        }
      });
}

Game EventFds(int rounds) {
  const auto fds =
      std::make_shared<TwoFds>(Fd(eventfd(0, EFD_CLOEXEC)), Fd(eventfd(0, EFD_CLOEXEC)));
  CHECK(fds->there.valid() && fds->back.valid());
  return {.echo =
              [=](const auto& ready) {
                ready();
                for (int i = 0; i < kRuns * rounds; ++i) {
                  Take(fds->there.get());
                  Put(fds->back.get());
                }
              },
          .ask =
              [=](const auto& play) {
                play([&] {
                  for (int i = 0; i < rounds; ++i) {
                    Put(fds->there.get());
                    Take(fds->back.get());
                  }
                });
              }};
}

Game UnixSockets(int rounds, int in_flight) {
  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const auto fds = std::make_shared<TwoFds>(Fd(ends[0]), Fd(ends[1]));
  const size_t bytes = static_cast<size_t>(rounds) * kMessage;
  const size_t most = static_cast<size_t>(in_flight) * kMessage;
  return {.echo =
              [=](const auto& ready) {
                ready();
                EchoBytes(fds->back.get(), kRuns * bytes, most);
              },
          .ask = [=](const auto& play) { play([&] { AskBytes(fds->there.get(), bytes, most); }); }};
}

}  // namespace atl::pingpong
