// SPDX-License-Identifier: Apache-2.0
//
// What a node asks of a front end, whatever it speaks northbound (NBD, ublk, vhost-user). It is
// made with the `Atoll` whose resources it serves, which outlives it.
//
//   made  --Start()-->  serving  --Stop()-->  stopped, for good
//
// Threads: a front end belongs to one executor thread; every call is made there.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "peers/client/atoll.h"
#include "xseg/base/status.h"
#include "xseg/base/task.h"

namespace atl {

enum class StopMode : uint8_t {
  kGraceful,  // Finish what is in flight, up to the front end's own limit of time.
  kNow,       // Cut every client off; only what the devices have begun is waited for.
};

class FrontEnd {
 public:
  virtual ~FrontEnd() = default;

  // Clients can connect once this has ended well; after a failure nothing is left behind.
  virtual Task<Status> Start() = 0;
  // Ends when no client, no request and no open device is left. A second call may ask for more
  // haste than the first and ends with it.
  virtual Task<void> Stop(StopMode mode) = 0;
  // One row an object that is or was served, in no order.
  virtual std::vector<PortStats> Stats() const = 0;
  // For people and logs: "nbd".
  virtual std::string_view kind() const = 0;
};

}  // namespace atl
