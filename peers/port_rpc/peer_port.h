// SPDX-License-Identifier: Apache-2.0
//
// A peer's port with everything on it: it serves calls, makes calls, and has payload buffers.
//
// Threads: the Env's. Env and segment outlive it; it outlives what uses it.
#pragma once

#include <memory>
#include <string_view>

#include "peers/port_rpc/rpc_client.h"
#include "peers/port_rpc/rpc_server.h"
#include "xseg/port_poller.h"
#include "xseg/shared_buffer_pool.h"

namespace atl {

struct PeerPortOptions {
  size_t payload_bytes = 32 * kMiB;  // Limit of `buffers`.
  size_t bounce_bytes = 32 * kMiB;   // Limit of the client's.
};

class PeerPort {
 public:
  // As of Port::Claim. What a dead owner of the port had not answered waits for server().Serve().
  static Result<std::unique_ptr<PeerPort>> Open(Env* env, Segment* segment, std::string_view name,
                                                PeerPortOptions options) {
    ASSIGN_OR_RETURN(auto port, Port::Claim(segment, name));
    return std::unique_ptr<PeerPort>(new PeerPort(env, std::move(port), options));
  }

  Port& port() { return *port_; }
  RpcServer& server() { return server_; }
  RpcClient& client() { return client_; }
  BufferPool& buffers() { return buffers_; }

 private:
  PeerPort(Env* env, std::unique_ptr<Port> port, PeerPortOptions options)
      : port_(std::move(port)),
        server_(port_.get()),
        poller_(env, port_.get(),
                [this](Request request) { server_.OnRequest(std::move(request)); }),
        client_(env, &poller_, options.bounce_bytes),
        buffers_(env, &port_->buffers(), options.payload_bytes) {
    for (Request& request : port_->Replay()) server_.OnRequest(std::move(request));
  }

  std::unique_ptr<Port> port_;
  RpcServer server_;
  PortPoller poller_;
  RpcClient client_;
  SharedBufferPool buffers_;
};

}  // namespace atl
