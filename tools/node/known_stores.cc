// SPDX-License-Identifier: Apache-2.0
#include "tools/node/known_stores.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "xseg/base/fd.h"

namespace atl {
namespace {

Status SyncFolder(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd.valid() && fsync(fd.get()) == 0 ? Status() : Status::FromErrno(errno, path);
}

Status Replace(const std::string& path, const std::string& text) {
  const std::string temp = path + ".new";
  const Fd fd(open(temp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.valid()) return Status::FromErrno(errno, temp);
  const ssize_t put = write(fd.get(), text.data(), text.size());
  if (put != static_cast<ssize_t>(text.size())) {
    return Status::FromErrno(put < 0 ? errno : ENOSPC, temp);
  }
  if (fsync(fd.get()) != 0) return Status::FromErrno(errno, temp);
  return rename(temp.c_str(), path.c_str()) == 0 ? Status() : Status::FromErrno(errno, path);
}

}  // namespace

KnownStore::KnownStore(const NodeConfig& config, const StoreConfig& store)
    : store_(store),
      folder_(config.state_dir + "/stores"),
      // A name may be "." or end like the file that is written first.
      file_(folder_ + "/" + store.name + ".known") {}

Result<Uuid> KnownStore::Read() const {
  std::ifstream in(file_);
  for (std::string line; std::getline(in, line);) {
    const size_t blank = line.find(' ');
    if (blank == std::string::npos || line.substr(blank + 1) != store_.path) continue;
    auto uuid = Uuid::Parse(line.substr(0, blank));
    if (!uuid.ok()) return uuid.status().With(file_);
    return uuid;
  }
  return Uuid();
}

Status KnownStore::Remember(const Uuid& uuid) const {
  if (mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) {
    return Status::FromErrno(errno, folder_);
  }
  std::ostringstream text;
  if (std::ifstream in(file_); in && in.peek() != EOF) text << in.rdbuf();
  text << uuid.ToString() << " " << store_.path << "\n";
  RETURN_IF_ERROR(Replace(file_, text.str()));
  RETURN_IF_ERROR(SyncFolder(folder_));
  return SyncFolder(folder_ + "/..");
}

Status KnownStore::Refuse(const Uuid& known, const std::string& found) const {
  return {Code::kNotFound,
          fmt::format("store {} at {} {}, but this node knew store {} there: is its file system "
                      "mounted? (to use what is there on purpose, remove the line from {})",
                      store_.name, store_.path, found, known.ToString(), file_)};
}

}  // namespace atl
