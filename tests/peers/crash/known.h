// SPDX-License-Identifier: Apache-2.0
//
// What somebody who uses a node knows of it: which names there are and what they read as. While an
// operation is under way he knows less: a name may be there or not, and read as before or as after.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/peers/crash/file_node.h"
#include "tests/peers/volumes/oracle.h"

namespace atl {

class Known {
 public:
  struct Resource {
    std::vector<Oracle> either;  // It is one of these.
    bool must = true;            // It is there; else it may be.
  };

  // Of what is known exactly.
  Oracle& At(const std::string& name);
  bool Has(const std::string& name) const { return names.contains(name); }
  // From now on it may be as it is or as `next`.
  void Or(const std::string& name, Oracle next) { names[name].either.push_back(std::move(next)); }
  void Is(const std::string& name, Oracle next) { names[name] = {.either = {std::move(next)}}; }

  // Compares it with what `atoll` shows, as after a crash. kWrong: it is not what it may be; any
  // other error is one of `atoll`. Where it is right, what is shown is what is known from then on.
  Status Settle(RealEnv* env, LocalAtoll* atoll, Oracle::Crash crash);
  // Nothing that is tested here answers so.
  static constexpr Code kWrong = Code::kInternal;

  std::map<std::string, Resource> names;
  std::vector<std::string> one_of;  // Exactly one of these is there.
  std::vector<Uuid> lives;          // Of the node, the last one perhaps begun.

 private:
  Status SettleOne(RealEnv* env, LocalAtoll* atoll, Oracle::Crash crash, const std::string& name);
};

}  // namespace atl
