// SPDX-License-Identifier: Apache-2.0
#include "bench/nbdbare/socket.h"

#include <limits.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace atl::nbdbare {

Status ReadAll(int socket, MutSpan into) {
  while (!into.empty()) {
    const ssize_t got = recv(socket, into.data(), into.size(), 0);
    if (got == 0) return {Code::kCancelled, "the client has hung up"};
    if (got < 0) return Status::FromErrno(errno, "recv");
    into = into.subspan(static_cast<size_t>(got));
  }
  return {};
}

Status SendAll(int socket, ConstSpan bytes) {
  std::vector<iovec> pieces = {{const_cast<std::byte*>(bytes.data()), bytes.size()}};
  return SendAll(socket, &pieces);
}

Status SendAll(int socket, std::vector<iovec>* pieces) {
  iovec* next = pieces->data();
  iovec* const end = next + pieces->size();
  while (next != end) {
    msghdr message{};
    message.msg_iov = next;
    message.msg_iovlen = std::min<size_t>(static_cast<size_t>(end - next), IOV_MAX);
    const ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0) return Status::FromErrno(errno, "sendmsg");
    auto left = static_cast<size_t>(sent);
    for (; next != end && left >= next->iov_len; ++next) left -= next->iov_len;
    if (left > 0) {
      next->iov_base = static_cast<std::byte*>(next->iov_base) + left;
      next->iov_len -= left;
    }
  }
  pieces->clear();
  return {};
}

}  // namespace atl::nbdbare
