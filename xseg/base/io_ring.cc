// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/io_ring.h"

#include <poll.h>

#include <cerrno>
#include <cstring>

#include "xseg/base/check.h"

namespace atl {
namespace {

constexpr unsigned kMostFilesAtOnce = 8;

}  // namespace

IoRing::IoRing(unsigned entries) {
  io_uring_params params{};
  params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG;
  params.cq_entries = entries * 4;
  int error = io_uring_queue_init_params(entries, &ring_, &params);
  if (error == -EINVAL) {  // A kernel before 6.0 knows no SINGLE_ISSUER.
    params = {};
    error = io_uring_queue_init_params(entries, &ring_, &params);
  }
  CHECK(error == 0) << "io_uring_queue_init: " << std::strerror(-error);
}

IoRing::~IoRing() { io_uring_queue_exit(&ring_); }

io_uring_sqe* IoRing::NextEntry() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  while (entry == nullptr) {
    const int error = io_uring_submit(&ring_);
    // The completion queue is full: make room, then try again.
    if (error == -EBUSY || error == -EAGAIN) Reap();
    CHECK(error >= 0 || error == -EBUSY || error == -EAGAIN || error == -EINTR)
        << "io_uring_submit: " << std::strerror(-error);
    entry = io_uring_get_sqe(&ring_);
  }
  return entry;
}

io_uring_sqe* IoRing::NextEntryOfFile() {
  if (files_prepared_ == kMostFilesAtOnce) {
    io_uring_submit(&ring_);  // What it does not take goes with the next ones.
    files_prepared_ = 0;
  }
  ++files_prepared_;
  return NextEntry();
}

void IoRing::PollForever(int fd, Completion* completion) {
  io_uring_sqe* entry = NextEntry();
  io_uring_prep_poll_multishot(entry, fd, POLLIN);
  io_uring_sqe_set_data(entry, completion);
}

void IoRing::CancelPoll(Completion* completion) {
  io_uring_sqe* entry = NextEntry();
  io_uring_prep_cancel(entry, completion, 0);
  io_uring_sqe_set_data(entry, nullptr);
}

size_t IoRing::Reap() {
  size_t count = 0;
  unsigned head;
  io_uring_cqe* entry;
  io_uring_for_each_cqe(&ring_, head, entry) {
    ++count;
    auto* completion = static_cast<Completion*>(io_uring_cqe_get_data(entry));
    if (completion != nullptr) completion->OnComplete(entry->res, entry->flags);
  }
  io_uring_cq_advance(&ring_, static_cast<unsigned>(count));
  return count;
}

// COOP_TASKRUN: completions are run when this thread enters the kernel; TASKRUN_FLAG says when
// there are some. Who looks often has to enter seldom.
bool IoRing::WantsKernel() const {
  constexpr unsigned kSomethingToRun = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
  if (io_uring_sq_ready(&ring_) > 0 || (ring_.flags & IORING_SETUP_TASKRUN_FLAG) == 0) return true;
  return (__atomic_load_n(ring_.sq.kflags, __ATOMIC_ACQUIRE) & kSomethingToRun) != 0;
}

size_t IoRing::SubmitAndReap() {
  if (WantsKernel()) io_uring_submit_and_get_events(&ring_);
  files_prepared_ = 0;
  return Reap();
}

void IoRing::SubmitAndWait(int64_t timeout_ns) {
  io_uring_cqe* entry = nullptr;
  files_prepared_ = 0;
  if (timeout_ns < 0) {
    io_uring_submit_and_wait(&ring_, 1);
  } else {
    __kernel_timespec limit{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
    io_uring_submit_and_wait_timeout(&ring_, &entry, 1, &limit, nullptr);
  }
  Reap();
}

}  // namespace atl
