// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the server share: a libnbd client, and exports to connect to.
#pragma once

#include <libnbd.h>

#include <string>

#include "tests/kernel/nbd/server_thread.h"

namespace atl::nbd {

// A libnbd handle that is connected, or says why not.
class Handle {
 public:
  explicit Handle(const std::string& uri) : handle_(nbd_create()) {
    nbd_add_meta_context(handle_, LIBNBD_CONTEXT_BASE_ALLOCATION);
    ok_ = nbd_connect_uri(handle_, uri.c_str()) == 0;
    if (!ok_) error_ = nbd_get_error();
  }
  ~Handle() { nbd_close(handle_); }
  nbd_handle* get() { return handle_; }
  bool ok() const { return ok_; }
  const std::string& error() const { return error_; }

 private:
  nbd_handle* handle_;
  bool ok_ = false;
  std::string error_;
};

inline void AddGood(ServerThread* server) {
  server->Run([](ServerWorld world) {
    world.atoll->Add("good", kMiB);
    world.atoll->Add("disk", 256 * kMiB);
    return 0;
  });
}

}  // namespace atl::nbd
