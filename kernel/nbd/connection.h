// SPDX-License-Identifier: Apache-2.0
//
// One client from accept to close: the handshake, then a Session on the device that it chose.
//
//   Run: greeting -> options (within the handshake's time) -> Session -> Device::Close -> close
//
// Threads: of its executor.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "kernel/nbd/buffer_watch.h"
#include "kernel/nbd/catalog.h"
#include "kernel/nbd/handshake.h"
#include "kernel/nbd/limits.h"
#include "kernel/nbd/receive_buffer.h"
#include "kernel/nbd/session.h"
#include "kernel/nbd/stats_table.h"
#include "kernel/nbd/waiting.h"
#include "xseg/base/executor.h"
#include "xseg/base/fd.h"

namespace atl::nbd {

class Connection final : public BufferHolder {
 public:
  // What all connections of a server share; outlives them.
  struct Shared {
    Executor* executor;
    Catalog* catalog;
    StatsTable* stats;
    BufferWatch* watch;
    Linger* linger;
    ConnectionLimits limits;
    bool detect_zeroes = false;
  };
  Connection(const Shared& shared, Fd socket);
  ~Connection();

  // Once; everything of this client is over when it ends.
  Task<void> Run();
  // Nothing further is read; what is in flight is finished and answered.
  void FinishSoon();
  // The socket is useless from now on; Run ends when the device has done what it had begun.
  void CutOff(std::string_view why) override;

  BufferHolder::State buffer_state() const override;
  // It has shown nothing but a connection yet, and nothing is being done for it.
  bool is_unproven() const { return !handshake_over_ && !device_ && !node_at_work_ && !stopping_; }
  int64_t accepted_ns() const { return accepted_ns_; }

 private:
  Task<bool> Negotiate();
  Task<bool> FlushOutput();
  Task<bool> ReceiveMore();
  Task<void> AnswerList();
  Task<void> AnswerExport();
  Task<void> WatchHandshake();

  Shared shared_;
  Fd socket_;
  ReceiveBuffer in_;
  Handshake handshake_;
  std::unique_ptr<Device> device_;
  std::string export_name_;
  std::optional<Session> session_;
  bool stopping_ = false;

  const int64_t accepted_ns_;
  // The client's time runs only while the node waits for the client.
  int64_t handshake_deadline_ns_ = 0;
  bool node_at_work_ = false;
  bool handshake_over_ = false;
  bool watching_ = false;
  Alarm handshake_alarm_;
  Waker watch_ended_;
};

}  // namespace atl::nbd
