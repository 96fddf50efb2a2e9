// SPDX-License-Identifier: Apache-2.0
//
// What the story (story.h) does not reach of the file driver, since volumes do not use it there:
// chunks, copies, seals, zeros that keep their space, lists, and what else the contract has. Each
// errand asks the driver for something and looks at what has become of it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "peers/store/file/file_store.h"
#include "tests/peers/crash/file_node.h"

namespace atl {

struct Errand {
  std::string name;
  // May be repeated, after whatever part of it was done.
  std::function<Status(FileStore&)> act;
  bool in_new_life = false;  // The store is closed and opened anew before it.
};

// In their order, on a store in `root`.
std::vector<Errand> Errands(RealEnv* env, const std::string& root);

}  // namespace atl
