// SPDX-License-Identifier: Apache-2.0
//
// What is done with a node in the tests of this folder: a row of steps, in each of which one thing
// is asked for and may be cut short. It makes a store, and each operation of volumes, snapshots and
// clones on it, by a node that is stopped, killed and started again.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/peers/crash/known.h"

namespace atl {

// Who acts: a node that may be started and stopped, in a folder.
class Player {
 public:
  // `ids` makes the uuids that operations bring: the same for the same name.
  Player(RealEnv* env, FileNodeOptions options, const Uuid& ids)
      : env_(env), options_(std::move(options)), ids_(ids) {}

  RealEnv* env() { return env_; }
  bool is_up() const { return node_ != nullptr; }
  LocalAtoll& atoll() { return node_->atoll(); }
  Uuid IdOf(const std::string& name) const;

  // A life `known->lives` has as its last one.
  Status Start(const Known& known);
  Status Stop();
  // `hold` keeps the driver from doing anything, or lets it go again.
  void Kill(const std::function<void(bool)>& hold);

 private:
  RealEnv* env_;
  FileNodeOptions options_;
  Uuid ids_;
  std::unique_ptr<FileNode> node_;
};

struct Step {
  std::string name;
  // What is known while it is under way, and once it is done.
  std::function<void(Known&)> begin;
  // Also when it was cut short, or is done already.
  std::function<Status(Player&, const Known&)> act;
  std::function<void(Known&)> end;
  bool kills = false;  // The node is killed before it.
};

std::vector<Step> Story(RealEnv* env);

}  // namespace atl
