// SPDX-License-Identifier: Apache-2.0
//
// What verbs on volumes and on snapshots have in common.
#pragma once

#include <string>
#include <vector>

#include "tools/atoll/context.h"

namespace atl {

// "nbd+unix:///NAME?socket=PATH", or over TCP if there is no socket; empty if the node serves none.
std::string NbdUri(const NodeStatus& node, const std::string& name);

// Shows `name`; an error unless it is of this kind.
Task<Result<ResourceInfo>> ShowOfKind(Context& context, ResourceKind kind, std::string name,
                                      bool with_space);

Row ResourceRow(const ResourceInfo& info, const std::string& nbd_uri);
// All of them, page by page.
Task<Result<std::vector<ResourceInfo>>> ListAll(Context& context, ListSpec spec);
// A list in the format that was asked for, or names only with --quiet.
Task<Status> PrintResources(Context& context, ListSpec spec);
// One resource in full.
Task<Status> PrintResource(Context& context, ResourceInfo info);
// `said` for people, the resource in JSON.
Task<Status> PrintDone(Context& context, std::string said, ResourceInfo info);

}  // namespace atl
