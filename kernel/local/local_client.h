// SPDX-License-Identifier: Apache-2.0
//
// What a program of this host links to use a volume through shared memory.
//
//   ASSIGN_OR_RETURN(auto client, LocalClient::Connect("/srv/atoll/local.sock", {"disk"}));
//   auto request = client->Prepare(kOpRead, {offset, length});      // Nothing: no slot is left.
//   request->Carry(*client->port().buffers().Allocate(length));
//   client->Submit(std::move(*request));
//   while (!(answer = client->Collect())) RETURN_IF_ERROR(client->Wait(-1));
//   Status status = LocalClient::Outcome(*answer);
//
// `Call` does all of that for one request. Any number of others may be out; they are collected
// elsewhere, so it is for who has none.
//
// What if the node ends? Nothing is answered any more; Wait says so. What was acknowledged is there
// after it has started again; connect anew.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "kernel/local/greeting.h"
#include "kernel/local/protocol.h"
#include "xseg/base/status.h"
#include "xseg/base/units.h"
#include "xseg/client_port.h"

namespace atl::local {

class LocalClient {
 public:
  // How long a node may take to open what is wanted.
  static constexpr int64_t kPatienceSeconds = 60;

  // Blocks. An error of the node's has its text.
  static Result<std::unique_ptr<LocalClient>> Connect(const std::string& socket, const Wish& wish);
  // The same over a socket that is connected.
  static Result<std::unique_ptr<LocalClient>> Negotiate(int socket, const Wish& wish);

  const Facts& facts() const { return facts_; }
  ClientPort& port() { return *port_; }

  // The buffer of a read or write is up to the caller: as many bytes as the range has.
  std::optional<Request> Prepare(Op op, ByteRange range, uint16_t flags = 0);
  void Submit(Request&& request) {
    port_->Submit(std::move(request));
    ++in_flight_;
  }
  std::optional<Request> Collect();
  // Until there may be something to collect, or the time is over (negative: no limit). It looks
  // again and again, for up to 200 us (with eight and more requests out: 1 ms), while the node has
  // answered as fast lately, and sleeps else. kUnavailable: the node has gone, and all that it had
  // answered is collected.
  Status Wait(int64_t timeout_ns);
  // Of an answer.
  static Status Outcome(const Request& answer);
  // Submits a prepared request, and waits for the next answer; kUnavailable if the node has gone.
  Result<Request> Call(Request&& request);

 private:
  LocalClient(const Facts& facts, std::unique_ptr<ClientPort> port)
      : facts_(facts), port_(std::move(port)) {}
  int64_t SpinNs() const;

  Facts facts_;
  std::unique_ptr<ClientPort> port_;
  unsigned in_flight_ = 0;
  int64_t served_ns_ = 0;  // How long the node took for the last answer, without any waking.
};

}  // namespace atl::local
