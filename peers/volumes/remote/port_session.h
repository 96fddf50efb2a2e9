// SPDX-License-Identifier: Apache-2.0
//
// The requests of all devices that one front end has open at the composer, over the composer's
// death. When that process dies its successor answers kStale; then the devices are opened anew, and
// what was not answered is asked again. Who uses a device sees a pause.
//
//   serving --an answer is kStale--> draining --all others are answered--> reopening
//      ^                                ^                                     |
//      |                                +----- it dies again, at any time ----+
//      |                                                                      v
//      +------------ the rest is sent, in order <--- changes are sent again, in order
//
// A front end whose clients are idle would not notice; the supervisor tells it (Rejoin), so that
// what its clients use is open at the new composer, and nobody removes it as unused.
//
// A change that was not answered may have been made already. Made again after somebody has seen it,
// and has changed the place since, it would undo what that one was acknowledged. So all changes
// that were under way are made again first, of all front ends: the composer lets nothing else begin
// until each has said that its own are done (AtollServer).
//
// Threads: the client's. It outlives its devices.
#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "peers/port_rpc/rpc_client.h"
#include "xseg/base/sync.h"

namespace atl {

class PortSession {
 public:
  class Device {
   public:
    // At the composer that is there now; what it was at an earlier one is forgotten.
    virtual Task<void> Reopen() = 0;

   protected:
    ~Device() = default;
  };

  PortSession(RpcClient* client, RpcTarget composer)
      : client_(client), composer_(std::move(composer)) {}

  void Add(Device* device) { devices_.insert(device); }
  // There is another composer.
  void Rejoin();
  // When nothing of the device is under way.
  Task<void> Remove(Device* device);

  // A request, from its first moment to its last:
  //
  //   Visit visit(&session, changes);
  //   do {
  //     co_await visit.Turn();
  //     visit.Sent();                     // At once: the next one in line may go, too.
  //     reply = co_await client->Call(..., visit.again());
  //     visit.Answered(reply.code());
  //   } while (reply.code() == Code::kStale);
  class Visit {
   public:
    // `changes`: made twice, with others in between, it would do harm.
    Visit(PortSession* session, bool changes)
        : session_(session), turn_(session->turns_++), changes_(changes) {}
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

    Task<void> Turn();
    void Sent();
    void Answered(Code code);
    // It was sent to a composer that has died since, before this one.
    bool again() const { return again_; }

   private:
    friend class PortSession;
    PortSession* session_;
    uint64_t turn_;
    bool changes_;
    bool again_ = false;
    bool is_first_ = false;  // It is sent again before anything else.
    Event go_;
  };

 private:
  bool is_serving() const { return !stale_ && !recovering_ && waiting_.empty(); }
  // The one that may be sent next, if any.
  Visit* Next() const;
  void WakeNext();
  void RecoverIfDrained();
  Task<void> Recover();
  Task<void> MakeChangesAgain();

  RpcClient* client_;
  RpcTarget composer_;
  std::set<Device*> devices_;

  uint64_t turns_ = 0;    // In the order in which requests were made.
  uint64_t running_ = 0;  // Requests that are at the composer.
  bool stale_ = false;
  bool recovering_ = false;
  std::map<uint64_t, Visit*> waiting_;  // By turn.
  uint64_t first_waiting_ = 0;          // Of those that are sent before anything else.
  Signal changes_made_;
  Signal settled_;
  TaskGroup background_;
};

}  // namespace atl
