// SPDX-License-Identifier: Apache-2.0
#include "bench/nbdblast/greeting.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "kernel/nbd/protocol.h"
#include "kernel/nbd/wire.h"
#include "xseg/base/units.h"

namespace atl::nbdblast {
namespace {

// Of one option's answer; more is not what a server says to NBD_OPT_GO.
constexpr uint32_t kMaxAnswerBytes = 64 * kKiB;

Status Protocol(std::string what) { return {Code::kInvalid, "not an NBD server: " + what}; }

Result<Fd> Dial(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return Status(Code::kInvalid, fmt::format("'{}' is no path of a Unix socket", path));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Status::FromErrno(errno, "socket");
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return Status::FromErrno(errno, "connect " + path);
  }
  return fd;
}

Result<Bytes> ReadBytes(const Fd& fd, size_t count) {
  Bytes bytes(count);
  for (size_t done = 0; done < count;) {
    const ssize_t got = recv(fd.get(), bytes.data() + done, count - done, 0);
    if (got < 0) return Status::FromErrno(errno, "recv");
    if (got == 0) return Protocol("it hung up in the handshake");
    done += static_cast<size_t>(got);
  }
  return bytes;
}

Status WriteBytes(const Fd& fd, ConstSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t put = send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put <= 0) return Status::FromErrno(errno, "send");
    bytes = bytes.subspan(static_cast<size_t>(put));
  }
  return {};
}

Status Greet(const Fd& fd) {
  ASSIGN_OR_RETURN(const Bytes greeting, ReadBytes(fd, 18));
  nbd::BeReader in(greeting);
  if (in.Get<uint64_t>() != nbd::kNbdMagic || in.Get<uint64_t>() != nbd::kOptionMagic) {
    return Protocol("an unknown greeting");
  }
  const auto flags = in.Get<uint16_t>();
  if (!(flags & nbd::kFlagFixedNewstyle)) return Protocol("it is not fixed newstyle");
  Bytes out;
  uint32_t mine = nbd::kClientFixedNewstyle;
  if (flags & nbd::kFlagNoZeroes) mine |= nbd::kClientNoZeroes;
  nbd::PutBe(out, mine);
  return WriteBytes(fd, out);
}

Status AskForExport(const Fd& fd, const std::string& name) {
  Bytes out;
  nbd::PutBe(out, nbd::kOptionMagic);
  nbd::PutBe(out, static_cast<uint32_t>(nbd::kOptGo));
  nbd::PutBe(out, static_cast<uint32_t>(4 + name.size() + 2));
  nbd::PutBe(out, static_cast<uint32_t>(name.size()));
  nbd::PutText(out, name);
  nbd::PutBe(out, uint16_t{0});
  return WriteBytes(fd, out);
}

// True when the transmission phase begins.
Result<bool> TakeAnswer(Export* target, const std::string& name) {
  ASSIGN_OR_RETURN(const Bytes head, ReadBytes(target->socket, 20));
  nbd::BeReader in(head);
  if (in.Get<uint64_t>() != nbd::kOptionReplyMagic) return Protocol("an unknown answer");
  (void)in.Get<uint32_t>();
  const auto type = in.Get<uint32_t>();
  const auto length = in.Get<uint32_t>();
  if (length > kMaxAnswerBytes) return Protocol("an answer that is too long");
  ASSIGN_OR_RETURN(const Bytes body, ReadBytes(target->socket, length));
  if (type == nbd::kRepAck) return true;
  if (type != nbd::kRepInfo) {
    return Status(Code::kNotFound, fmt::format("export '{}' is refused: {}", name, AsText(body)));
  }
  nbd::BeReader info(body);
  if (info.Get<uint16_t>() != nbd::kInfoExport) return false;
  target->size = info.Get<uint64_t>();
  target->flags = info.Get<uint16_t>();
  return false;
}

}  // namespace

Result<Export> Connect(const std::string& path, const std::string& name) {
  Export target;
  ASSIGN_OR_RETURN(target.socket, Dial(path));
  RETURN_IF_ERROR(Greet(target.socket));
  RETURN_IF_ERROR(AskForExport(target.socket, name));
  for (;;) {
    ASSIGN_OR_RETURN(const bool begins, TakeAnswer(&target, name));
    if (begins) return target;
  }
}

}  // namespace atl::nbdblast
