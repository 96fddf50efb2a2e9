// SPDX-License-Identifier: Apache-2.0
//
// How the next daemon of an isolated node finds the peers whose daemon has died. Each peer listens
// at STATE/peers/PID.sock, and gives whoever comes there, if that is its own user or root, its name
// and version and what all processes of the node share.
//
// Threads: a Rendezvous belongs to its executor's thread; the functions may be called on any.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "tools/node/store_remains.h"
#include "xseg/base/executor.h"
#include "xseg/base/fd.h"
#include "xseg/base/status.h"
#include "xseg/base/sync.h"
#include "xseg/segment_fds.h"

namespace atl {

// What all processes of an isolated node share. Whoever has it can go on with the node.
struct Estate {
  SegmentFds segment;
  Fd folder;  // Of the state; carries the lock that says that processes of this node live.
  Fd ledger;  // What stores hold (ledger.h).
  AllRemains stores;
};

class Rendezvous {
 public:
  // `estate` outlives it.
  static Result<std::unique_ptr<Rendezvous>> Listen(Executor* executor,
                                                    const std::string& state_dir,
                                                    const std::string& peer, const Estate* estate);
  Task<void> Stop();

 private:
  Rendezvous(Executor* executor, std::string path, std::string peer, Fd socket,
             const Estate* estate)
      : executor_(executor),
        path_(std::move(path)),
        peer_(std::move(peer)),
        socket_(std::move(socket)),
        estate_(estate) {}
  Task<void> AcceptAll();
  void Answer(int socket) const;

  Executor* executor_;
  std::string path_;
  std::string peer_;
  Fd socket_;
  const Estate* estate_;
  bool stopping_ = false;
  TaskGroup accepting_;
};

// Of a peer that has died.
void RemoveRendezvous(const std::string& state_dir, pid_t pid);

struct FoundPeer {
  std::string name;
  std::string version;
  pid_t pid = 0;
  Fd process;  // A pidfd.
};
// Those who answer now. `estate` is what the first of them gave; it is empty if there is none. What
// nobody listens at any more is removed, by who holds the state folder.
Result<std::vector<FoundPeer>> FindPeers(const std::string& state_dir, Estate* estate);
}  // namespace atl
