// SPDX-License-Identifier: Apache-2.0
//
// What a judged request does to the device that is served, and the reply that comes of it. Knows
// nothing of sockets.
//
// Threads: of the device's executor.
#pragma once

#include <cstdint>

#include "kernel/nbd/errors.h"
#include "kernel/nbd/handshake.h"
#include "kernel/nbd/reply.h"
#include "kernel/nbd/transmission.h"
#include "peers/client/device.h"
#include "xseg/base/buffer.h"
#include "xseg/base/task.h"

namespace atl::nbd {

// One request on its way to being a reply. Used again and again.
struct Exchange : Reply {
  Request request;
  Buffer buffer;  // A write's payload, or what a read brings; until the reply is sent.
};

class Service {
 public:
  // Neither is owned. `pool` hands out buffers of the device's own.
  Service(Device* device, BufferPool* pool, Negotiated negotiated, bool detect_zeroes)
      : device_(device), pool_(pool), negotiated_(negotiated), detect_zeroes_(detect_zeroes) {}

  // By what the device has last heard of its size, which may have changed since the handshake.
  ExportView view() const {
    const DeviceInfo& info = device_->info();
    return {.size = info.size,
            .read_only = info.read_only,
            .structured = negotiated_.structured,
            .block_status = negotiated_.block_status};
  }

  // `exchange` holds a request that Judge let pass, and its payload; it holds a reply afterwards.
  // Yields the error that the reply carries.
  Task<Error> Execute(Exchange* exchange);
  // The replies to a read that has brought `bytes`, and to what has no data.
  void AnswerRead(Exchange* exchange, ConstSpan bytes) const;
  void AnswerDone(Exchange* exchange) const;
  // What holes it has is part of the answer.
  bool AsksForHoles(const Request& request) const;
  // The reply to a request that was not let pass.
  void Refuse(Exchange* exchange, Error error, std::string_view text) const;

 private:
  Task<Error> ErrorFor(const Request& request, const Status& status);
  Task<Status> Run(Exchange* exchange);
  Task<Status> Read(Exchange* exchange);
  Task<Status> ReadSparse(Exchange* exchange);
  Task<Status> BlockStatus(Exchange* exchange);

  Device* device_;
  BufferPool* pool_;
  Negotiated negotiated_;
  bool detect_zeroes_;
};

}  // namespace atl::nbd
