// SPDX-License-Identifier: Apache-2.0
//
// What the model runs on: a medium, and the lives of one node over it, one at a time. A new driver
// is one more class of this.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "peers/client/atoll.h"
#include "xseg/base/sync.h"
#include "xseg/base/task.h"

namespace atl {

class World {
 public:
  virtual ~World() = default;

  // The next life of the node, after Stop, Kill or LosePower; or the first.
  virtual void Start() = 0;
  virtual Atoll& atoll() = 0;
  // In order: everything is flushed and released. Devices are closed before.
  virtual Status Stop() = 0;
  // The node does nothing any more. Calls in flight end, well or not, and are waited for; devices
  // are dropped before the next Start.
  virtual void Kill() = 0;
  virtual bool can_lose_power() const { return false; }
  // As Kill, and of what was not flushed any part is lost.
  virtual void LosePower(uint64_t /*seed*/) {}

  // The mapper dies and is replaced; who uses the node sees nothing of it but that it takes a
  // while.
  virtual bool can_replace_the_mapper() const { return false; }
  virtual void ReplaceTheMapper() {}

  // Lets what is in flight run for a while that `random` chooses.
  virtual void LetRun(uint64_t random, const TaskGroup& group) = 0;
  virtual void Drive(Task<void> task) = 0;
  template <typename T>
  T Run(Task<T> task) {
    std::optional<T> out;
    Drive(Keep(std::move(task), &out));
    return std::move(*out);
  }
  void Run(Task<void> task) { Drive(std::move(task)); }

 private:
  template <typename T>
  static Task<void> Keep(Task<T> task, std::optional<T>* out) {
    out->emplace(co_await task);
  }
};

}  // namespace atl
