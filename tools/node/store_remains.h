// SPDX-License-Identifier: Apache-2.0
//
// What outlives the process of a store in an isolated node: descriptors that all processes of the
// node hold, so they are there for as long as one of them lives. Of a file store the two ends of
// its box of witnesses (peers/store/witness_box.h); of a store in memory the file system that it
// is in.
//
// Threads: any.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "peers/store/witness_box.h"
#include "tools/config/node_config.h"

namespace atl {

struct StoreRemains {
  std::vector<Fd> descriptors;

  // kInvalid if it is the other sort of store.
  Result<WitnessBox::Ends> OpenWitnesses() const;
  // A path that leads there, in this process.
  Result<std::string> MemoryPlace() const;
};

// By the name of the store.
using AllRemains = std::map<std::string, StoreRemains>;

Result<AllRemains> MakeRemains(const NodeConfig& config);

// All descriptors, in the order of the names.
std::vector<int> DescriptorsOf(const AllRemains& all);
// "NAME" and how many descriptors it has, a line each: "2 NAME".
std::string CountsOf(const AllRemains& all);
// Of the descriptors, in that order; kInvalid for nonsense.
Result<AllRemains> RemainsFrom(std::string_view counts, std::vector<Fd> descriptors);

// For a process that inherits the descriptors.
std::string InheritSpecOf(const AllRemains& all);
Result<AllRemains> RemainsFromSpec(std::string_view spec);

}  // namespace atl
