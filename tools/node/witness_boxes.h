// SPDX-License-Identifier: Apache-2.0
//
// The witnesses of each file store of an isolated node (peers/store/witness_box.h). All processes
// of the node hold the ends of all boxes, so they are there for as long as one of them lives.
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

// By the name of the store.
using WitnessBoxes = std::map<std::string, WitnessBox::Ends>;

Result<WitnessBoxes> MakeWitnessBoxes(const NodeConfig& config);

// All descriptors, in the order of the names.
std::vector<int> DescriptorsOf(const WitnessBoxes& boxes);
// For a process that inherits the descriptors: "PUT:TAKE:NAME", a line each.
std::string InheritSpecOf(const WitnessBoxes& boxes);
// Takes over descriptors of this process that it inherited; kInvalid for nonsense.
Result<WitnessBoxes> WitnessBoxesFromSpec(std::string_view spec);

}  // namespace atl
