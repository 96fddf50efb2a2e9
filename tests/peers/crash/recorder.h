// SPDX-License-Identifier: Apache-2.0
//
// Writes down what the file driver does to its file system, call by call, in terms that do not
// depend on where that is: directories and files are numbers in the order in which they were made.
//
// A clock counts the beginnings and ends of calls, so that of any two it is known whether one had
// ended before the other began. Calls that failed changed nothing and are left out.
//
// Syncs are answered here and do not reach the kernel: what they promise is up to CrashDisk.
//
// Threads: any.
#pragma once

#include <sys/types.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "peers/store/file/sys.h"

namespace atl {

using NodeId = uint32_t;  // A directory or a file; 0 is the root of the store.

struct DiskOp {
  enum class Kind : uint8_t {
    kMakeFile,  // `name` in directory `node`; the file is `child`.
    kMakeDir,
    kLink,    // `name` in `node` is one more name of `child`.
    kUnlink,  // `name`, which was of `child`, goes from `node`. Of directories, too.
    kRename,  // It goes from `node` and is `to_name` in `to` from then on.
    kWrite,   // `data` at range.offset of `node`.
    kZero,    // `range` of `node` reads as zero; its size stays.
    kSize,    // `node` has the size range.offset, if it has less or `cuts`.
    kSync,    // `node` is synced: the contents of a file, the names in a directory.
  };
  Kind kind;
  NodeId node = 0;
  std::string name = {};
  NodeId child = 0;
  NodeId to = 0;
  std::string to_name = {};
  ByteRange range = {};
  Bytes data = {};
  bool cuts = false;
  bool synced = false;  // Of a write: it is durable when it has ended.
  uint64_t begun = 0;
  uint64_t ended = 0;
  sys::Site site = {};
};
std::string Describe(const DiskOp& op);

class Recorder final : public sys::Watcher {
 public:
  // `root` is there and is empty.
  explicit Recorder(const std::string& root);

  // In the order of their ends. Not while calls are made.
  const std::vector<DiskOp>& ops() const { return ops_; }
  uint64_t clock() const;
  // As when the process is killed: no call does anything from now on, until it is let go again.
  void Hold(bool held);

  std::optional<int64_t> Before(sys::Call& call) override;
  void After(const sys::Call& call, int64_t result) override;

 private:
  using Kind = DiskOp::Kind;
  NodeId NodeOf(int fd) const;
  NodeId Child(NodeId directory, const std::string& name) const;
  void Names(const sys::Call& call, int64_t result);
  void Contents(const sys::Call& call, int64_t result);
  void Opened(const sys::Call& call, int fd);
  void Push(const sys::Call& call, DiskOp op);

  mutable std::mutex mutex_;
  bool held_ = false;
  uint64_t clock_ = 0;
  NodeId nodes_ = 1;
  std::map<ino_t, NodeId> by_inode_;
  std::map<NodeId, std::map<std::string, NodeId>> names_;  // As the kernel has them now.
  std::vector<DiskOp> ops_;
};

}  // namespace atl
