// SPDX-License-Identifier: Apache-2.0
//
// Reads the options of one driver or filter. Every option that is asked for is known; what is left
// over at the end is a mistake of the user's, told with the list of those that exist.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "xseg/base/status.h"

namespace atl {

class StoreOptions {
 public:
  // Those of `all` that begin with `prefix`. `what` is for messages, as "store a".
  StoreOptions(const std::map<std::string, std::string>& all, std::string prefix, std::string what);

  std::string Text(const std::string& name, std::string otherwise);
  // A number of bytes, with K, M, G or T behind it if wanted; or any plain number.
  uint64_t Number(const std::string& name, uint64_t otherwise);
  bool Flag(const std::string& name, bool otherwise);
  // For options that the caller parses.
  void Fail(const std::string& name, const Status& status);

  // The first thing that was wrong, or an option that nobody asked for.
  Status Finish() const;

 private:
  const std::string* Find(const std::string& name);

  std::map<std::string, std::string> given_;
  std::set<std::string> known_;
  std::string prefix_;
  std::string what_;
  Status failure_;
};

}  // namespace atl
