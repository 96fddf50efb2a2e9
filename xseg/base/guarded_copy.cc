// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/guarded_copy.h"

#include <setjmp.h>
#include <signal.h>

#include <atomic>
#include <cstring>
#include <mutex>

#include "xseg/base/check.h"

namespace atl {
namespace {

struct Guard {
  sigjmp_buf back;
  const std::byte* begin;
  const std::byte* end;
};
thread_local Guard* volatile guard = nullptr;

void OnBusError(int signal, siginfo_t* info, void*) {
  const auto* address = static_cast<const std::byte*>(info->si_addr);
  Guard* const mine = guard;
  if (mine != nullptr && address >= mine->begin && address < mine->end) {
    siglongjmp(mine->back, 1);
  }
  // It is raised again as soon as this returns.
  struct sigaction otherwise{};
  otherwise.sa_handler = SIG_DFL;
  sigaction(signal, &otherwise, nullptr);
}

void TakeBusErrors() {
  struct sigaction action{};
  action.sa_sigaction = &OnBusError;
  // It is not blocked within, or the jump out of it would leave it so.
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  CHECK(sigaction(SIGBUS, &action, nullptr) == 0);
}

}  // namespace

bool CopyGuarded(MutSpan to, ConstSpan from) {
  static std::once_flag once;
  std::call_once(once, TakeBusErrors);
  CHECK(to.size() == from.size());
  Guard mine{.back = {}, .begin = from.data(), .end = from.data() + from.size()};
  if (sigsetjmp(mine.back, 0) != 0) {
    guard = nullptr;
    return false;
  }
  guard = &mine;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
  std::atomic_signal_fence(std::memory_order_seq_cst);
  guard = nullptr;
  return true;
}

}  // namespace atl
