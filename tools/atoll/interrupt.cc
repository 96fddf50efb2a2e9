// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/interrupt.h"

#include <signal.h>

#include <array>

namespace atl {
namespace {

constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGHUP};
volatile sig_atomic_t pending = 0;

void Note(int) { pending = 1; }

void Handle(void (*handler)(int), int flags) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = flags;
  for (const int number : kSignals) sigaction(number, &action, nullptr);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  pending = 0;
  Handle(Note, static_cast<int>(SA_RESETHAND));
}
InterruptGuard::~InterruptGuard() { Handle(SIG_DFL, 0); }
bool InterruptGuard::interrupted() { return pending != 0; }

}  // namespace atl
