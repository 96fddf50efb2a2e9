// SPDX-License-Identifier: Apache-2.0
//
// The receiving end of calls over a port. A service is any class with a handler for each of its
// operations:
//
//   class StoreServer {
//     Task<Status> Do(const RpcCall& call, StoreWriteOp& op);
//     Task<Result<Capacity>> Do(const RpcCall& call, StoreCapacityOp& op);
//   };
//   server.Add(StoreOps{}, &store_server);
//   server.Serve();
//
// What comes before Serve waits: a peer that takes the place of one that has died finds what that
// one had not answered, and has to get ready for it first. If the server ends without having
// served, those requests stay for the next one.
//
// Requests are validated as far as the wire goes: fields that do not decode, data and messages that
// are not in the segment and unknown operations are answered with an error, and no handler runs.
// What the values mean is the service's to check.
//
// Each request runs as a task of its own; the caller's bytes stay as they are until it is answered.
//
// Threads: the port's. Services outlive the server; Join before it is destroyed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "peers/port_rpc/wire.h"
#include "xseg/base/sync.h"
#include "xseg/base/task.h"
#include "xseg/port.h"

namespace atl {

struct RpcCall {
  PortIndex from = kNoPort;
  MutSpan data;           // Empty if there is none.
  bool replayed = false;  // Somebody before us died with it, and may have carried it out.
};

class RpcServer {
 public:
  explicit RpcServer(Port* port);
  ~RpcServer();

  template <typename Service, typename... Ops>
  void Add(OpList<Ops...>, Service* service) {
    (SetRow(Ops::Wire::kOp, {&Run<Service, Ops>, service}), ...);
  }

  // What the port's poller calls.
  void OnRequest(Request request);
  // Begins with what has come so far, but for requests of senders that have died since.
  void Serve();
  // Until nothing is being served.
  Task<void> Join() { return running_.Join(); }
  uint64_t running() const { return running_.running(); }

  // Handler of this layer's own operation.
  Task<Result<ErrorTextReply>> Do(const RpcCall& call, ErrorTextOp& op);

 private:
  static constexpr size_t kOps = 256;
  static constexpr size_t kTextsKept = 64;
  static_assert(static_cast<size_t>(Op::kErrorText) < kOps);

  struct Row {
    Task<void> (*run)(RpcServer*, void*, Request) = nullptr;
    void* service = nullptr;
  };
  // What a request says of itself, checked.
  struct Opened {
    ConstSpan fields;
    MutSpan message;
    RpcCall call;
  };

  template <typename Service, typename O>
  static Task<void> Run(RpcServer* server, void* service, Request request) {
    const auto opened = server->Open(request);
    if (!opened.ok()) {
      server->Refuse(std::move(request), {}, opened.status());
      co_return;
    }
    auto op = DecodeMessage<O>(opened->fields);
    if (!op.ok()) {
      server->Refuse(std::move(request), opened->message, op.status());
      co_return;
    }
    const auto result = co_await static_cast<Service*>(service)->Do(opened->call, *op);
    server->Finish(std::move(request), opened->message, result);
  }

  void SetRow(Op op, Row row) { rows_[static_cast<size_t>(op)] = row; }
  Result<Opened> Open(const Request& request) const;

  void Finish(Request request, MutSpan message, const Status& status) {
    if (!status.ok()) return Refuse(std::move(request), message, status);
    Succeed(std::move(request), 0);
  }
  template <typename T>
  void Finish(Request request, MutSpan message, const Result<T>& result) {
    if (!result.ok()) return Refuse(std::move(request), message, result.status());
    MarkAnswering(&request);
    size_t bytes = EncodeInto(request.argument_room(), *result);
    if (bytes > kInlineArgumentBytes) EncodeInto(message, *result);
    Succeed(std::move(request), bytes);
  }
  // From here on the answer lies over the request's own fields. If we die now, a successor sees it.
  static void MarkAnswering(Request* request);
  void Succeed(Request request, size_t body_bytes);
  void Refuse(Request request, MutSpan message, const Status& status);

  Port* port_;
  bool serving_ = false;
  std::vector<Request> waiting_;  // For Serve.
  std::array<Row, kOps> rows_{};
  TaskGroup running_;
  std::array<std::string, kTextsKept> texts_;
  uint64_t next_text_ = 1;
};

}  // namespace atl
