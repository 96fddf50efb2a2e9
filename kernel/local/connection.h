// SPDX-License-Identifier: Apache-2.0
//
// One local client from accept to its end.
//
//   Run: greeting (within its time) -> open -> answer, segment -> Session -> Device::Close
//
// Threads: of its executor.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "kernel/local/greeting.h"
#include "kernel/local/limits.h"
#include "kernel/local/session.h"
#include "kernel/nbd/stats_table.h"
#include "kernel/nbd/waiting.h"
#include "peers/client/atoll.h"
#include "xseg/base/executor.h"
#include "xseg/base/fd.h"
#include "xseg/base/sync.h"
#include "xseg/client_session.h"

namespace atl::local {

class Connection {
 public:
  // What all connections of a server share; outlives them.
  struct Shared {
    Executor* executor;
    Atoll* atoll;
    nbd::StatsTable* stats;
    Limits limits;
    uint32_t* served;  // How many have got through their greeting.
  };
  Connection(const Shared& shared, Fd socket);

  // Once; everything of this client is over when it ends.
  Task<void> Run();
  // Nothing further is begun; what the device has begun is answered.
  void FinishSoon();
  bool is_served() const { return is_served_; }
  // Still in its greeting: there is no room to wait for it.
  void CutOff();

 private:
  Task<Status> Negotiate();
  Status TakePlace();
  Task<Result<Wish>> ReceiveWish();
  Task<Status> Open(Wish wish);
  Task<void> WatchGreeting();
  Task<void> Serve();

  Shared shared_;
  Fd socket_;
  nbd::Alarm greeting_alarm_;
  TaskGroup watching_;
  std::string name_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<ClientSession> client_;
  std::optional<Session> session_;
  bool is_served_ = false;
  bool stopping_ = false;
};

}  // namespace atl::local
