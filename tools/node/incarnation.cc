// SPDX-License-Identifier: Apache-2.0
#include "tools/node/incarnation.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "xseg/base/fd.h"
#include "xseg/base/units.h"

namespace atl {
namespace {

std::string PathIn(const std::string& state_dir) { return state_dir + "/incarnation"; }

Status MakeFirst(const std::string& state_dir, const std::string& path, const std::string& text) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return Status::FromErrno(errno, "open " + path);
  if (write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      fsync(fd.get()) != 0) {
    return Status::FromErrno(errno, "write " + path);
  }
  const Fd folder(open(state_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid() || fsync(folder.get()) != 0) {
    return Status::FromErrno(errno, "sync " + state_dir);
  }
  return {};
}

}  // namespace

Result<Uuid> ReadPredecessor(const std::string& state_dir) {
  std::ifstream in(PathIn(state_dir));
  if (!in) return Uuid();
  std::string text;
  in >> text;
  auto uuid = Uuid::Parse(text);
  // A torn one names nobody: the leases it might have had run out by themselves.
  return uuid.ok() ? *uuid : Uuid();
}

Status WriteIncarnation(const std::string& state_dir, const Uuid& incarnation) {
  const std::string path = PathIn(state_dir);
  const std::string text = incarnation.ToString() + "\n";
  Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid() && errno == ENOENT) return MakeFirst(state_dir, path, text);
  if (!fd.valid()) return Status::FromErrno(errno, "open " + path);
  // In place, which needs no room on a disk that is full. A torn one names nobody.
  if (pwrite(fd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()) ||
      ftruncate(fd.get(), static_cast<off_t>(text.size())) != 0 || fsync(fd.get()) != 0) {
    return Status::FromErrno(errno, "write " + path);
  }
  return {};
}

ComposerOptions MakeComposerOptions(const NodeConfig& config) {
  ComposerOptions options;
  if (!config.write_log) options.flushes_before_log = 0;
  return options;
}

NodeIdentity MakeIdentity(const NodeConfig& config, const Uuid& incarnation) {
  char host[256] = "localhost";
  gethostname(host, sizeof(host) - 1);
  NodeIdentity identity;
  identity.incarnation = incarnation;
  identity.node = std::string(host) + ":" + config.state_dir;
  identity.control_address = "unix:" + config.control_socket();
  IdentifyProcess(&identity);
  identity.lease_term_ns = config.lease_seconds * kSecond;
  return identity;
}

}  // namespace atl
