// SPDX-License-Identifier: Apache-2.0
#include "tools/node/local_server.h"

namespace atl {

Task<Result<std::unique_ptr<local::LocalServer>>> StartLocalServer(const NodeConfig& config,
                                                                   Executor* executor,
                                                                   Atoll* atoll) {
  if (!config.local) co_return std::unique_ptr<local::LocalServer>();
  const local::ServerOptions options{.path = config.local_socket()};
  auto server = std::make_unique<local::LocalServer>(executor, atoll, options);
  CO_RETURN_IF_ERROR((co_await server->Start()).With("the front end for local clients"));
  co_return server;
}

}  // namespace atl
