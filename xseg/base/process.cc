// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/process.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "xseg/base/fd.h"

namespace atl {
namespace {

struct ProcessStat {
  char state = 0;
  uint64_t start_ticks = 0;
};

enum class Seen : uint8_t { kThere, kGone, kUnknown };

// "pid (name) state ppid ..." where the name may hold anything: fields count from its last ')'.
Seen ReadStat(uint32_t pid, ProcessStat* out) {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%u/stat", pid);
  const Fd fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno == ENOENT || errno == ESRCH ? Seen::kGone : Seen::kUnknown;
  char text[1024];
  const ssize_t got = read(fd.get(), text, sizeof(text) - 1);
  if (got <= 0) return got == 0 || errno == ESRCH ? Seen::kGone : Seen::kUnknown;
  text[got] = 0;
  const char* at = std::strrchr(text, ')');
  if (at == nullptr || at[1] != ' ') return Seen::kUnknown;
  at += 2;
  out->state = *at;
  constexpr int kStateField = 3;
  constexpr int kStartField = 22;
  for (int field = kStateField; field < kStartField; ++field) {
    at = std::strchr(at, ' ');
    if (at == nullptr) return Seen::kUnknown;
    ++at;
  }
  out->start_ticks = std::strtoull(at, nullptr, 10);
  return Seen::kThere;
}

}  // namespace

ProcessId ThisProcess() {
  ProcessId self{static_cast<uint32_t>(getpid()), 0};
  ProcessStat stat;
  if (ReadStat(self.pid, &stat) == Seen::kThere) self.start_ticks = stat.start_ticks;
  return self;
}

uint64_t ThisPidNamespace() {
  struct stat found;
  return stat("/proc/self/ns/pid", &found) == 0 ? found.st_ino : 0;
}

bool IsAlive(const ProcessId& process) {
  ProcessStat stat;
  if (process.pid == 0) return false;
  const Seen seen = ReadStat(process.pid, &stat);
  // What cannot be looked at, as without a descriptor left, is no proof of a death.
  if (seen != Seen::kThere) return seen == Seen::kUnknown;
  if (stat.state == 'Z' || stat.state == 'X') return false;
  return process.start_ticks == 0 || process.start_ticks == stat.start_ticks;
}

}  // namespace atl
