// SPDX-License-Identifier: Apache-2.0
#include "bench/nbdbare/hop.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstring>
#include <new>

#include "xseg/base/check.h"

namespace atl::nbdbare {
namespace {

void Post(std::atomic<uint32_t>* word) {
  word->fetch_add(1);
  syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void WaitFor(std::atomic<uint32_t>* word, uint32_t value) {
  for (uint32_t seen = word->load(); seen != value; seen = word->load()) {
    syscall(SYS_futex, word, FUTEX_WAIT, seen, nullptr, nullptr, 0);
  }
}

}  // namespace

Hop::Hop(const Image& image) {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  CHECK(memory != MAP_FAILED);
  shared_ = new (memory) Shared();
  const pid_t self = getpid();
  const pid_t other = fork();
  CHECK(other >= 0);
  if (other > 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != self) _exit(0);
  RunOther(image);
}

std::byte* Hop::Ask(uint64_t offset, uint32_t bytes) {
  CHECK(Takes(bytes));
  shared_->reads[asked_] = {offset, bytes};
  return shared_->data[asked_++];
}

void Hop::Finish() {
  if (asked_ == 0) return;
  shared_->count = asked_;
  Post(&shared_->there);
  WaitFor(&shared_->back, shared_->there.load());
  asked_ = 0;
}

void Hop::RunOther(const Image& image) {
  for (uint32_t round = 1;; ++round) {
    WaitFor(&shared_->there, round);
    for (uint32_t i = 0; i < shared_->count; ++i) {
      const Shared::Read& read = shared_->reads[i];
      std::memcpy(shared_->data[i], image.at(read.offset), read.bytes);
    }
    Post(&shared_->back);
  }
}

}  // namespace atl::nbdbare
