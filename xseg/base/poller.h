// SPDX-License-Identifier: Apache-2.0
//
// Sources of work besides an Env's own timers and I/O, such as mailboxes in shared memory.
//
// Threads: those of the Env.
#pragma once

namespace atl {

class Poller {
 public:
  virtual ~Poller() = default;
  // Takes what is there; true if there was anything. Called every turn: cheap.
  virtual bool Poll() = 0;
  // About to sleep: from now on senders must ring. False: something came in meanwhile, stay awake.
  virtual bool PrepareSleep() = 0;
  // Awake again: senders need not ring.
  virtual void Woken() = 0;
  // Readable when rung; -1 if there is none.
  virtual int doorbell_fd() const = 0;
  // Of a doorbell that is a socket: its other end was closed. Said once, before the next Poll.
  virtual void HungUp() {}
};

}  // namespace atl
