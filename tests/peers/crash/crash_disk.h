// SPDX-License-Identifier: Apache-2.0
//
// What a disk may hold after a crash, given the calls that were made until then.
//
// When processes die, and the machine goes on, the disk is what the kernel had: all that ended.
//
// When the power fails, this is assumed; it is what ext4, XFS and btrfs keep to, and less than each
// of them promises:
//
//   - A completed sync of a file makes durable what was written to it, punched, and its size,
//     by calls that had ended when the sync began. A write with RWF_DSYNC does so for its own
//     bytes. Neither says anything of the file's names.
//   - A completed sync of a directory makes durable the names that were made, removed and moved in
//     it by calls that had ended when the sync began.
//   - What is not covered so may be lost or not:
//       - of the changes of names of one directory, only the last ones: they reach the medium in
//         order. Two directories have nothing to do with each other, whatever came first;
//       - but a rename from one directory into the other is in both or in none;
//       - of the bytes of a file any part, by units of 512 bytes or of 4 KiB: each unit is as some
//         call that touched it has left it, not before the last one that is covered. So a write may
//         be torn, and a later one be there where an earlier one is lost;
//       - the size of a file, too, which is as some call left it, but holds what is there; a file
//         may be longer than its bytes, and reads as zeros there.
//   - A call that was under way may have happened, by the same rules, or not.
//   - What a name leads to is there: a file that was never synced, then, may be empty; a directory
//     that is lost takes everything below it along.
//   - A sync that failed is not looked at here. No disk lies: what it has called durable is.
//
// States between the extremes are drawn at random; which ones, a seed says.
#pragma once

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/peers/crash/recorder.h"

namespace atl {

enum class Lost : uint8_t {
  kNothing,       // All that ended is there.
  kAllUnsynced,   // Only what had to be is.
  kSomeUnsynced,  // By the seed.
};

// The files and directories of one state.
class DiskImage {
 public:
  // `ops` until `clock`.
  DiskImage(const std::vector<DiskOp>& ops, uint64_t clock, Lost lost, uint64_t seed);

  // Equal if the states are.
  uint64_t Hash() const;
  // Into `root`, which is there and empty.
  void WriteTo(const std::string& root) const;
  // One line a name.
  std::string ToString() const;

 private:
  // Of a directory, the changes of its names in order, how many of them are durable, and how many
  // there are.
  struct Changes {
    std::vector<const DiskOp*> ops;
    size_t floor = 0;
    size_t kept = 0;
  };
  struct Entry {
    std::string path;
    NodeId node;
    bool is_directory;
  };

  void Sort(const std::vector<DiskOp>& ops);
  void ChooseNames();
  void JoinRenames();
  void MakeNames();
  Bytes MakeFile(const std::vector<const DiskOp*>& ops);
  uint64_t ChooseSize(const std::vector<const DiskOp*>& ops);
  bool IsCovered(const DiskOp& op) const;
  size_t Choose(size_t floor, size_t all);
  void List(NodeId directory, const std::string& path);

  const uint64_t clock_;
  const Lost lost_;
  std::mt19937_64 random_;
  std::map<NodeId, Changes> changes_;
  std::map<NodeId, std::vector<const DiskOp*>> contents_;
  std::map<NodeId, uint64_t> synced_until_;  // Calls that had ended by then are covered.
  std::set<NodeId> directories_{0};
  std::map<NodeId, std::map<std::string, NodeId>> names_;
  std::vector<Entry> entries_;  // What a name leads to, a directory before what is in it.
  std::map<NodeId, Bytes> files_;
};

}  // namespace atl
