// SPDX-License-Identifier: Apache-2.0
//
// io_uring as awaitables. Each call yields what the system call would have returned: a count, or
// a negative errno.
//
//   const int got = co_await ring.Read(fd, buffer, offset);
//
// Submission is batched: entries go to the kernel when the executor has nothing else to do, or
// when the queue is full. Reads and writes of files go eight at a time: a disk, above all a virtual
// one, may answer together what it was given together, and has nothing to do until the next comes.
// What an operation points to (buffers, message headers) stays alive until
// it has completed; the kernel may write to it until then, even if nobody waits any more.
//
// Threads: one ring belongs to one executor.
#pragma once

#include <liburing.h>
#include <sys/socket.h>

#include <coroutine>
#include <cstdint>

#include "xseg/base/bytes.h"
#include "xseg/base/scheduler.h"
#include "xseg/base/units.h"

namespace atl {

class IoRing {
 public:
  // Who wants to know of a completion. One-shot ones are called once; multishot ones as long as
  // `flags` has IORING_CQE_F_MORE.
  class Completion {
   public:
    virtual void OnComplete(int result, uint32_t flags) = 0;

   protected:
    ~Completion() = default;
  };

  // One operation: prepared when awaited.
  template <typename Prepare>
  class Operation final : public Completion {
   public:
    Operation(IoRing* ring, Prepare prepare, bool of_file)
        : ring_(ring), prepare_(prepare), of_file_(of_file) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      handle_ = handle;
      io_uring_sqe* entry = of_file_ ? ring_->NextEntryOfFile() : ring_->NextEntry();
      prepare_(entry);
      io_uring_sqe_set_data(entry, static_cast<Completion*>(this));
      ring_->files_in_flight_ += of_file_;
    }
    int await_resume() const noexcept { return result_; }
    void OnComplete(int result, uint32_t) override {
      result_ = result;
      ring_->files_in_flight_ -= of_file_;
      ring_->files_done_ += of_file_;
      Scheduler::Current().Post(handle_);
    }

   private:
    IoRing* ring_;
    Prepare prepare_;
    bool of_file_;
    int result_ = 0;
    std::coroutine_handle<> handle_;
  };

  explicit IoRing(unsigned entries);
  ~IoRing();
  IoRing(const IoRing&) = delete;
  IoRing& operator=(const IoRing&) = delete;

  auto Read(int fd, MutSpan buffer, uint64_t offset) {
    return MakeOfFile([=](io_uring_sqe* sqe) {
      io_uring_prep_read(sqe, fd, buffer.data(), static_cast<unsigned>(buffer.size()), offset);
    });
  }
  // `rw_flags` as of pwritev2: RWF_DSYNC and so on.
  auto Write(int fd, ConstSpan buffer, uint64_t offset, int rw_flags = 0) {
    return MakeOfFile([=](io_uring_sqe* sqe) {
      io_uring_prep_write(sqe, fd, buffer.data(), static_cast<unsigned>(buffer.size()), offset);
      sqe->rw_flags = rw_flags;
    });
  }
  // `flags`: 0 or IORING_FSYNC_DATASYNC.
  auto Fsync(int fd, unsigned flags) {
    return Make([=](io_uring_sqe* sqe) { io_uring_prep_fsync(sqe, fd, flags); });
  }
  auto Fallocate(int fd, int mode, ByteRange range) {
    return Make([=](io_uring_sqe* sqe) {
      io_uring_prep_fallocate(sqe, fd, mode, static_cast<off_t>(range.offset),
                              static_cast<off_t>(range.length));
    });
  }
  auto Accept(int fd) {
    return Make(
        [=](io_uring_sqe* sqe) { io_uring_prep_accept(sqe, fd, nullptr, nullptr, SOCK_CLOEXEC); });
  }
  auto Recv(int fd, MutSpan buffer, int flags = 0) {
    return Make([=](io_uring_sqe* sqe) {
      io_uring_prep_recv(sqe, fd, buffer.data(), buffer.size(), flags);
    });
  }
  auto Send(int fd, ConstSpan buffer, int flags = MSG_NOSIGNAL) {
    return Make([=](io_uring_sqe* sqe) {
      io_uring_prep_send(sqe, fd, buffer.data(), buffer.size(), flags);
    });
  }
  auto SendMsg(int fd, const msghdr* message, int flags = MSG_NOSIGNAL) {
    return Make([=](io_uring_sqe* sqe) {
      io_uring_prep_sendmsg(sqe, fd, message, static_cast<unsigned>(flags));
    });
  }
  auto RecvMsg(int fd, msghdr* message, int flags = 0) {
    return Make([=](io_uring_sqe* sqe) {
      io_uring_prep_recvmsg(sqe, fd, message, static_cast<unsigned>(flags));
    });
  }
  // Until one of `events` (POLLIN, ...) is there.
  auto Poll(int fd, unsigned events) {
    return Make([=](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, fd, events); });
  }

  // Calls `completion` each time `fd` becomes readable, until the ring ends.
  void PollForever(int fd, Completion* completion);
  // Ends it: `completion` is called once more, without IORING_CQE_F_MORE, and may go then.
  void CancelPoll(Completion* completion);

  // Reads and writes of files.
  uint64_t files_in_flight() const { return files_in_flight_; }
  // How many have ended, ever.
  uint64_t files_done() const { return files_done_; }
  bool has_unsubmitted() { return io_uring_sq_ready(&ring_) > 0; }
  // Hands prepared entries to the kernel and delivers what is complete; returns how many that was.
  size_t SubmitAndReap();
  // As above, but sleeps until something completes or `timeout_ns` is over; negative: no limit.
  void SubmitAndWait(int64_t timeout_ns);

 private:
  template <typename Prepare>
  Operation<Prepare> Make(Prepare prepare) {
    return Operation<Prepare>(this, prepare, false);
  }
  template <typename Prepare>
  Operation<Prepare> MakeOfFile(Prepare prepare) {
    return Operation<Prepare>(this, prepare, true);
  }
  io_uring_sqe* NextEntry();
  io_uring_sqe* NextEntryOfFile();
  bool WantsKernel() const;
  size_t Reap();

  io_uring ring_;
  uint64_t files_in_flight_ = 0;
  uint64_t files_done_ = 0;
  unsigned files_prepared_ = 0;  // Not submitted yet.
};

}  // namespace atl
