// SPDX-License-Identifier: Apache-2.0
//
// The server's end of one connection: reads requests, starts them in the order in which they came,
// answers them as they end, and closes the devices that the connection leaves open.
//
// The client is not trusted: what it sends is validated before it is used, it can hold at most
// kMaxInFlight requests, kMaxDevices devices and one half-sent message, and it has kMessageTime for
// a message in either direction. Who breaks the protocol is told why and cut off.
//
//   Run:  receive -> begin (decode, take a buffer, receive the payload) -> spawn finish
//   finish: call the node -> send the answer
//
// Threads: belongs to its executor's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "peers/client/atoll.h"
#include "peers/client/frame.h"
#include "peers/client/node_control.h"
#include "xseg/base/executor.h"
#include "xseg/base/fd.h"
#include "xseg/base/sync.h"
#include "xseg/base/task.h"

namespace atl {

// Of one connection.
inline constexpr uint64_t kMaxInFlight = 64;
inline constexpr size_t kMaxDevices = 256;

struct ControlHost {
  Executor& executor;
  Atoll& atoll;
  NodeControl& node;
  int64_t message_time_ns = 30 * kSecond;
};

class ControlSession {
 public:
  ControlSession(const ControlHost& host, Fd socket);

  // Ends when the connection has ended, its requests with it, and its devices are closed.
  Task<void> Run();
  // No further requests; those in flight are answered. Run ends then.
  void HangUp();
  // Cuts the connection off if a message has been on its way for too long.
  void CheckDeadlines(int64_t now_ns);

 private:
  friend struct SessionOps;
  using DeviceRef = std::shared_ptr<Device>;
  // A device with the buffer that was taken from its pool, which must go first.
  struct DeviceIo {
    DeviceRef device;
    Buffer buffer;
  };

  Task<Status> ReceiveOne();
  Task<Result<FrameHeader>> ReceiveHeader();
  Task<Status> Receive(MutSpan out);
  Task<void> Reply(FrameHeader request, Bytes body, ConstSpan payload);
  Task<Status> Send(ConstSpan frame, ConstSpan payload);
  Task<void> Farewell(const Status& reason);
  Task<void> CloseDevices();

  // Takes the buffer of a read or a write, and receives the payload of a write into it.
  Task<Result<DeviceIo>> Prepare(uint64_t handle, uint32_t length);
  Task<Status> ReceivePayload(DeviceIo* io, uint32_t length);
  Result<DeviceRef> Find(uint64_t handle) const;
  void Start(Task<void> work);

  const ControlHost& host_;
  Fd socket_;
  Semaphore in_flight_{kMaxInFlight};
  TaskGroup work_;
  Mutex sending_;
  uint64_t next_handle_ = 1;
  std::unordered_map<uint64_t, DeviceRef> devices_;
  // When the message that is on its way must be through; 0: none is.
  int64_t receive_deadline_ns_ = 0;
  int64_t send_deadline_ns_ = 0;
};

}  // namespace atl
