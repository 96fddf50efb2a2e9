// SPDX-License-Identifier: Apache-2.0
#include "tools/node/nbd_options.h"

#include <fmt/format.h>

#include <charconv>

namespace atl {
namespace {

// "host:port", as the configuration has it; an IPv6 address stands in brackets.
Result<nbd::TcpAddress> ParseTcp(const std::string& text) {
  const size_t colon = text.rfind(':');
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  if (colon == std::string::npos ||
      std::from_chars(text.data() + colon + 1, end, port).ptr != end || port == 0) {
    return Status(Code::kInvalid, fmt::format("'{}' is no host:port", text));
  }
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return nbd::TcpAddress{host, port};
}

}  // namespace

Result<nbd::ServerOptions> NbdOptions(const NodeConfig& config) {
  nbd::ServerOptions options;
  options.unix_path = config.nbd_socket;
  options.detect_zeroes = config.nbd_detect_zeroes;
  if (!config.nbd_tcp.empty()) {
    ASSIGN_OR_RETURN(options.tcp, ParseTcp(config.nbd_tcp));
  }
  return options;
}

}  // namespace atl
