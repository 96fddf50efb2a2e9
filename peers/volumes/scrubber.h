// SPDX-License-Identifier: Apache-2.0
//
// Reads everything again, slowly, in the background: first what `Checker` looks at, then all data
// of all blobs that the resources read from, each blob once. What the medium cannot give any more
// is found while there are snapshots or other copies to go back to.
//
//   never --Start--> running --end--> done
//                       |---Cancel--> cancelled          Start again from either
//
// Without checksums of data a flip in data is not noticed; what the medium or the file system
// refuses to read is, and so is a file that is gone.
//
// Threads: one executor thread. Stop before it is destroyed.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "peers/client/check_report.h"
#include "peers/volumes/checker.h"
#include "peers/volumes/pace.h"
#include "xseg/base/buffer.h"
#include "xseg/base/sync.h"

namespace atl {

class Scrubber {
 public:
  // All outlive it.
  Scrubber(Env* env, StoreSet* stores, BufferPool* buffers, NodeIdentity identity)
      : env_(env), stores_(stores), buffers_(buffers), identity_(std::move(identity)) {}

  // Of one resource, or of all. kBusy if one runs, kInvalid for a rate that is too low.
  Status Start(std::optional<Located> only, uint64_t rate);
  void Cancel();
  // Cancels, and waits for the end.
  Task<void> Stop();
  ScrubStatus GetStatus() const;

 private:
  // A blob, and how far the resources that read from it reach.
  struct Target {
    Uuid store;
    uint64_t bytes = 0;
    uint64_t usage = 0;
  };
  Task<void> Run(std::optional<Located> only);
  Task<void> CheckMetadata(const std::optional<Located>& only);
  // What there is to read. What cannot be found out the check has reported.
  Task<void> FindTargets(const std::optional<Located>& only);
  Task<void> AddTargets(Header header);
  Task<void> ReadBlob(BlobId blob, Target target);
  // The extents of a part of it; false: the blob cannot be read at all.
  Task<bool> ReadPart(Store* store, BlobId blob, ByteRange part, uint64_t* extents);
  Task<void> ReadData(Store* store, BlobId blob, ByteRange data);
  // Blobs that were gone when their turn came, and which are named still.
  Task<void> JudgeVanished();
  void Wrong(const std::string& store, const BlobId& blob, const std::string& what);

  Env* env_;
  StoreSet* stores_;
  BufferPool* buffers_;
  NodeIdentity identity_;
  TaskGroup work_;
  std::unique_ptr<Pace> pace_;
  std::unique_ptr<Checker> checker_;
  ScrubStatus status_;
  std::map<BlobId, Target> targets_;
  std::set<BlobId> vanished_;
};

}  // namespace atl
