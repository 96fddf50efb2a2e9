// SPDX-License-Identifier: Apache-2.0
//
// The file driver in a folder of its own. Each life of the node is a process: the store, the maps
// and the composer are in it, over a real executor, and it serves its volumes at a socket as any
// node does. So a kill is a kill: what had not reached the kernel is gone, and requests are cut
// wherever they are.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "peers/client/remote_atoll.h"
#include "tests/peers/store/contract/temp_dir.h"
#include "tests/peers/volumes/world.h"
#include "xseg/base/executor.h"

namespace atl {

class FileWorld final : public World {
 public:
  // In `below`; as of TempDir.
  explicit FileWorld(const char* below = nullptr) : folder_(below) {}
  ~FileWorld() override;

  void Start() override;
  Atoll& atoll() override { return *remote_; }
  Status Stop() override;
  void Kill() override;
  void LetRun(uint64_t random, const TaskGroup& group) override;
  void Drive(Task<void> task) override;

 private:
  void Disconnect();

  TempDir folder_;
  Executor executor_;
  std::unique_ptr<RemoteAtoll> remote_;
  Uuid incarnation_;
  pid_t process_ = 0;  // 0: none runs.
};

}  // namespace atl
