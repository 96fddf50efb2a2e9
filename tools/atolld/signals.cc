// SPDX-License-Identifier: Apache-2.0
#include "tools/atolld/signals.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <utility>

namespace atl {
namespace {

sigset_t StopSet() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

void BlockStopSignals() {
  const sigset_t set = StopSet();
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

StopSignals::StopSignals(Executor& executor, std::function<void(int)> on_signal)
    : executor_(executor), on_signal_(std::move(on_signal)) {
  const sigset_t set = StopSet();
  fd_ = Fd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  CHECK(fd_.valid());
  executor_.ring().PollForever(fd_.get(), this);
}

void StopSignals::OnComplete(int, uint32_t flags) {
  signalfd_siginfo info;
  while (read(fd_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    on_signal_(static_cast<int>(info.ssi_signo));
  }
  if ((flags & IORING_CQE_F_MORE) == 0) executor_.ring().PollForever(fd_.get(), this);
}

}  // namespace atl
