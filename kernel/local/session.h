// SPDX-License-Identifier: Apache-2.0
//
// The requests of one local client, from its segment to its device.
//
//   ClientSession --Judge--> Device::TryRead, TryWrite --done--> answered within the same look
//                                     |
//                                     +--no--> a coroutine each
//
// How it waits: while it has nothing of the client's in service it looks again and again for as
// long as that has paid lately (nbd/pace.h), and then lets the executor sleep until the client
// rings.
//
// The payload lies in the client's memory, and the client may change it at any time; it goes to
// nobody who parses it. So zeros in what is written are not looked for.
//
// Threads: of its executor. Neither client nor device is owned.
#pragma once

#include <cstdint>

#include "kernel/local/call.h"
#include "kernel/local/limits.h"
#include "kernel/nbd/pace.h"
#include "kernel/nbd/stats.h"
#include "kernel/nbd/waiting.h"
#include "peers/client/device.h"
#include "xseg/base/executor.h"
#include "xseg/client_session.h"

namespace atl::local {

class Session final : private Poller {
 public:
  struct Parts {
    Executor* executor;
    ClientSession* client;
    Device* device;
    nbd::ExportStats* stats;
  };
  explicit Session(const Parts& parts);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Ends when the client has ended, misbehaves, or FinishSoon was called, and nothing of it is in
  // service any more.
  Task<void> Run();
  // No further request begins.
  void FinishSoon();
  // Why it ended; ok after FinishSoon.
  const Status& end() const { return end_; }

 private:
  bool Poll() override;
  bool PrepareSleep() override;
  void Woken() override;
  int doorbell_fd() const override { return parts_.client->doorbell_fd(); }
  void HungUp() override { parts_.client->HungUp(); }

  void Begin(ClientRequest request);
  bool DoAtOnce(const Call& call);
  Task<void> Serve(ClientRequest request, Call call, int64_t began_ns);
  Task<Status> Do(const Call& call);
  void Answer(ClientRequest&& request, const Status& status);
  void Count(uint16_t op, uint64_t length, bool failed, int64_t began_ns);
  bool KeepsLooking();
  bool IsTurnOver() const { return turn_bytes_ >= kTurnBytes; }

  Parts parts_;
  const ClientSession::OnRequest on_request_;
  nbd::Waker changed_;
  Status end_;
  bool stopping_ = false;

  nbd::Pace pace_;
  uint64_t turn_bytes_ = 0;  // What was done at once in this turn.
  int64_t looked_ns_ = 0;
  int64_t looks_until_ns_ = 0;  // 0: nothing is being waited for.
  int64_t sleeps_from_ns_ = 0;
  bool sleeps_ = false;
};

}  // namespace atl::local
