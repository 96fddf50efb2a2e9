// SPDX-License-Identifier: Apache-2.0
//
// What a verb works with: its arguments, the format to answer in, the configuration, and for most
// verbs a connection to the node.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "peers/client/remote_atoll.h"
#include "tools/atoll/output.h"
#include "tools/atoll/verb.h"
#include "tools/config/node_config.h"
#include "xseg/base/alarm.h"
#include "xseg/base/executor.h"
#include "xseg/base/units.h"

namespace atl {

// A command line that was understood.
struct Invocation {
  const VerbRow* verb = nullptr;
  std::map<std::string, std::string, std::less<>> values;  // Arguments and options by name.
  std::set<std::string, std::less<>> flags;
  std::string config;
  Format format = Format::kTable;
};

class Context {
 public:
  explicit Context(Invocation invocation) : invocation_(std::move(invocation)) {}

  // An argument or an option's value; "" if it was not given.
  const std::string& Value(std::string_view name) const;
  bool Has(std::string_view name) const { return invocation_.values.contains(name); }
  bool Flag(std::string_view name) const { return invocation_.flags.contains(name); }
  Format format() const { return invocation_.format; }
  const Invocation& invocation() const { return invocation_; }

  // kInvalid if it is no size at all, which is wrong usage; otherwise checked as a volume's size.
  Result<uint64_t> VolumeSize(std::string_view name);
  // Marks the outcome as wrong usage (exit code 2 instead of 1).
  Status WrongUsage(Status status);
  bool wrong_usage() const { return wrong_usage_; }

  // Found and read once.
  Result<const NodeConfig*> Config();
  // The same for what asks or stops a node that runs: what is wrong with the file matters when the
  // node is started the next time, and is a note on stderr.
  Result<const NodeConfig*> ConfigOfRunningNode();

  // Of verbs with a node.
  RemoteAtoll& node() { return *node_; }
  Executor& executor() { return *executor_; }
  // The verb's part with a node: connects, runs it, disconnects. The node's first answer has a
  // limit, after which it is kTimeout; the verb itself takes as long as it takes.
  Status RunWithNode(Task<Status> (*verb)(Context&), int64_t answer_limit_ns = kAnswerLimitNs);

 private:
  static constexpr int64_t kAnswerLimitNs = 10 * kSecond;

  Task<Status> Connected(Task<Status> (*verb)(Context&), int64_t answer_limit_ns);
  // Whether there is somebody who answers.
  Task<Status> Greet(int64_t limit_ns);
  struct Greeting {
    bool answered = false;
    bool cut_off = false;
  };
  Task<void> HangUp(Alarm* alarm, int64_t limit_ns, Greeting* greeting);
  Status NoAnswer() const;

  Invocation invocation_;
  std::optional<NodeConfig> config_;
  std::optional<NodeConfig> config_of_running_;
  Executor* executor_ = nullptr;
  std::unique_ptr<RemoteAtoll> node_;
  bool wrong_usage_ = false;
};

// Adds "volume NAME: " unless the message says so already.
Status About(Status status, std::string_view kind, std::string_view name);

// A name, or "uuid:" and a uuid.
Result<ResourceRef> ParseRef(const std::string& text);

}  // namespace atl
