// SPDX-License-Identifier: Apache-2.0
#include "xseg/descriptor_passing.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace atl {
namespace {

struct ControlBuffer {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxPassedDescriptors)> bytes{};
};

// Whatever came is owned before anything is judged, so that nothing leaks.
std::vector<Fd> TakeDescriptors(msghdr* message) {
  std::vector<Fd> out;
  for (cmsghdr* part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      out.emplace_back(fd);
    }
  }
  return out;
}

}  // namespace

Status SendDescriptors(int socket, ConstSpan bytes, std::span<const int> descriptors) {
  if (bytes.empty() || descriptors.size() > kMaxPassedDescriptors) {
    return {Code::kInvalid, "a message with descriptors has bytes and at most 253 descriptors"};
  }
  ControlBuffer control;
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control.bytes.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return Status::FromErrno(errno, "sendmsg with descriptors");
  if (static_cast<size_t>(sent) != bytes.size()) return {Code::kIo, "a short sendmsg"};
  return {};
}

Result<std::vector<Fd>> ReceiveDescriptors(int socket, MutSpan bytes, int flags) {
  ControlBuffer control;
  iovec part{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  ssize_t got;
  do {
    got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return Status::FromErrno(errno, "recvmsg with descriptors");
  std::vector<Fd> out = TakeDescriptors(&message);
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    return Status(Code::kInvalid, "more descriptors came than there may be");
  }
  if (static_cast<size_t>(got) != bytes.size()) {
    return Status(Code::kInvalid, "a message with descriptors is too short");
  }
  return out;
}

Result<PeerCredentials> CredentialsOf(int socket) {
  ucred credentials;
  socklen_t length = sizeof(credentials);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return Status::FromErrno(errno, "getsockopt(SO_PEERCRED)");
  }
  return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

}  // namespace atl
