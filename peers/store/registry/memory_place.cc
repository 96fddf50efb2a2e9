// SPDX-License-Identifier: Apache-2.0
//
// A file system in memory that has no name: it is reached through its descriptor, and is gone with
// the last one (fsopen(2), fsmount(2)).
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>

#include <cerrno>

#include "peers/store/registry.h"
#include "peers/store/registry/options.h"
#include "xseg/base/units.h"

namespace atl {

Result<Fd> MakeMemoryPlace(const StoreSpec& config) {
  const std::string what = fmt::format("store {}", config.name);
  StoreOptions options(config.options, "", what);
  const std::string size = std::to_string(options.Number("capacity", kTiB));
  const auto failed = [&](const char* call) -> Status {
    const Status status = Status::FromErrno(errno, call);
    if (status.code() != Code::kPermission) return status.With(what);
    return {Code::kPermission,
            what +
                ": in an isolated node a store in memory needs the right to mount a tmpfs "
                "(CAP_SYS_ADMIN); as another user take the driver file with a path below "
                "/dev/shm"};
  };
  const Fd context(fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!context.valid()) return failed("fsopen");
  const auto set = [&](const char* key, const char* value) {
    return fsconfig(context.get(), FSCONFIG_SET_STRING, key, value, 0) == 0;
  };
  if (!set("source", "atoll") || !set("mode", "0700") || !set("size", size.c_str())) {
    return failed("fsconfig");
  }
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return failed("fsconfig");
  }
  Fd place(fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID));
  if (!place.valid()) return failed("fsmount");
  return place;
}

}  // namespace atl
