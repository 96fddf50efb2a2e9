// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/executor.h"

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "xseg/base/fd.h"
#include "xseg/base/offload.h"
#include "xseg/base/units.h"

namespace atl {
namespace {

constexpr int kTurnsWithoutRing = 8;
constexpr int64_t kLongestWithoutRingNs = 20 * kMicrosecond;

constexpr int64_t kFilePatienceNs = 150 * kMicrosecond;
// A disk, above all a virtual one, answers a deep queue batch by batch.
constexpr size_t kDeepQueue = 8;
constexpr int64_t kDeepQueuePatienceNs = kMillisecond;

int64_t ReadClock(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

}  // namespace

// Watches an eventfd or a socket, and drains it so that it can ring again. That it rang is all it
// says: the turn of the loop that follows looks at everything.
class Executor::Doorbell final : public IoRing::Completion {
 public:
  // `poller`, which may be null, until Remove.
  Doorbell(IoRing* ring, int fd, Poller* poller) : ring_(ring), fd_(fd), poller_(poller) {
    ring_->PollForever(fd_, this);
  }
  int fd() const { return fd_; }
  void OnComplete(int result, uint32_t flags) override {
    const bool ended = (flags & IORING_CQE_F_MORE) == 0;
    if (removed_) {
      gone_ = ended;
      return;
    }
    uint64_t count;
    const ssize_t got = read(fd_, &count, sizeof(count));
    const bool hung_up = got == 0 || (result > 0 && (result & POLLHUP) != 0);
    if (hung_up && poller_ != nullptr) poller_->HungUp();
    if (ended) ring_->PollForever(fd_, this);
  }
  // The kernel holds a pointer to this, and a reference to the file, until the cancellation is
  // through.
  void Remove() {
    if (removed_) return;
    removed_ = true;
    ring_->CancelPoll(this);
  }
  bool gone() const { return gone_; }

 private:
  IoRing* ring_;
  int fd_;
  Poller* poller_;
  bool removed_ = false;
  bool gone_ = false;
};

// The executor's own doorbell: Stop and finished offloads ring it.
class Executor::Wakeup final {
 public:
  explicit Wakeup(IoRing* ring)
      : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), doorbell_(ring, fd_.get(), nullptr) {
    CHECK(fd_.valid());
  }
  void Ring() const {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t put = write(fd_.get(), &one, sizeof(one));
  }

 private:
  Fd fd_;
  Doorbell doorbell_;
};

Executor::Executor(Options options)
    : scope_(&scheduler()), options_(options), ring_(options.ring_entries) {
  std::random_device device;
  std::seed_seq seed{device(), device(), device(), device(), device(), device()};
  random_.seed(seed);
  wakeup_ = std::make_unique<Wakeup>(&ring_);
  if (options.offload_threads == 0) return;
  offload_ = std::make_unique<OffloadPool>(options.offload_threads, [this] { wakeup_->Ring(); });
}

Executor::~Executor() { offload_.reset(); }

int64_t Executor::BootNs() { return ReadClock(CLOCK_BOOTTIME); }
int64_t Executor::WallNs() { return ReadClock(CLOCK_REALTIME); }

void Executor::AddPoller(Poller* poller) {
  pollers_.push_back(poller);
  std::erase_if(doorbells_, [](const auto& doorbell) { return doorbell->gone(); });
  if (poller->doorbell_fd() < 0) return;
  doorbells_.push_back(std::make_unique<Doorbell>(&ring_, poller->doorbell_fd(), poller));
}

void Executor::RemovePoller(Poller* poller) {
  std::erase(pollers_, poller);
  for (auto& doorbell : doorbells_) {
    if (doorbell->fd() == poller->doorbell_fd()) doorbell->Remove();
  }
}

void Executor::Stop() {
  stop_.store(true, std::memory_order_relaxed);
  wakeup_->Ring();
}

void Executor::Run() {
  while (!stop_.load(std::memory_order_relaxed)) Turn();
}

bool Executor::PollAll() {
  bool any = false;
  // By number: what a poller delivers may add or remove pollers.
  for (size_t i = 0; i < pollers_.size(); ++i) any |= pollers_[i]->Poll();
  return any;
}

void Executor::Turn() {
  bool worked = scheduler().RunReady() > 0;
  if (offload_ && offload_->has_done()) {
    for (auto handle : offload_->TakeDone()) scheduler().Post(handle);
  }
  const int64_t now_ns = BootNs();
  if (scheduler().next_deadline_ns()) scheduler().FireTimers(now_ns);
  // Work that yields keeps the queue from ever being empty; the ring has its turn anyway.
  const bool is_rings_turn =
      ++turns_without_ring_ >= kTurnsWithoutRing || now_ns - last_ring_ns_ >= kLongestWithoutRingNs;
  if (!scheduler().has_ready() || is_rings_turn) {
    turns_without_ring_ = 0;
    last_ring_ns_ = now_ns;
    worked |= PollAll();
    // Sleeping submits and reaps as well: with nothing else to look at, that is one system call.
    const bool polls = options_.spin_ns > 0 || ring_.files_in_flight() > 0;
    const bool sleeps_next = pollers_.empty() && !polls && !scheduler().has_ready();
    if (!sleeps_next) worked |= ring_.SubmitAndReap() > 0;
  }
  if (worked || scheduler().has_ready()) {
    if (options_.spin_ns > 0) last_work_ns_ = now_ns;
    // Other work says nothing of the disk.
    if (files_awaited_since_ns_ != 0 && ring_.files_done() != files_done_then_) {
      files_awaited_since_ns_ = 0;
      file_patience_halved_ = 0;
    }
    return;
  }
  if (AwaitsFiles()) return;
  if (options_.spin_ns > 0 && BootNs() - last_work_ns_ < options_.spin_ns) return;
  SleepUntilWork();
}

int64_t Executor::FilePatienceNs() const {
  return ring_.files_in_flight() < kDeepQueue ? kFilePatienceNs : kDeepQueuePatienceNs;
}

// Patience that was in vain shrinks, down to none; it comes back with a sleep that was short.
bool Executor::AwaitsFiles() {
  if (file_patience_halved_ >= kNoPatience || ring_.files_in_flight() == 0) return false;
  const int64_t now_ns = BootNs();
  if (files_awaited_since_ns_ == 0) {
    files_awaited_since_ns_ = now_ns;
    files_done_then_ = ring_.files_done();
  }
  if (now_ns - files_awaited_since_ns_ < FilePatienceNs() >> file_patience_halved_) {
    sched_yield();
    return true;
  }
  files_awaited_since_ns_ = 0;
  ++file_patience_halved_;
  return false;
}

void Executor::SleepUntilWork() {
  bool may_sleep = !stop_.load(std::memory_order_relaxed);
  for (Poller* poller : pollers_) may_sleep &= poller->PrepareSleep();
  if (may_sleep) {
    const auto deadline = scheduler().next_deadline_ns();
    const bool for_files = ring_.files_in_flight() > 0;
    const int64_t from_ns = for_files ? BootNs() : 0, patience_ns = FilePatienceNs();
    const uint64_t done = ring_.files_done();
    ring_.SubmitAndWait(deadline ? std::max<int64_t>(*deadline - BootNs(), 0) : -1);
    if (for_files && ring_.files_done() != done && BootNs() - from_ns <= patience_ns) {
      file_patience_halved_ = 0;
    }
  }
  for (Poller* poller : pollers_) poller->Woken();
}

bool Executor::OffloadAwaiter::await_ready() const {
  if (executor->offload_) return false;
  (*work)();
  return true;
}

void Executor::OffloadAwaiter::await_suspend(std::coroutine_handle<> handle) const {
  executor->offload_->Submit(work, handle);
}

}  // namespace atl
