// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/context.h"

#include <fmt/format.h>

#include <utility>

#include "tools/atoll/node_process.h"
#include "tools/atoll/size.h"
#include "tools/config/load.h"
#include "xseg/base/sync.h"

namespace atl {

namespace {

// A peer that has died stays dead until all are started anew.
Status WithWayOut(Status status) {
  if (status.code() != Code::kUnavailable) return status;
  if (!status.message().ends_with("is not running")) return status;
  return {status.code(),
          fmt::format("{}; 'atoll node restart' restarts the node", status.message())};
}

}  // namespace

const std::string& Context::Value(std::string_view name) const {
  static const std::string kEmpty;
  const auto found = invocation_.values.find(name);
  return found == invocation_.values.end() ? kEmpty : found->second;
}

Result<uint64_t> Context::VolumeSize(std::string_view name) {
  const auto size = ParseSize(Value(name));
  if (size.code() == Code::kInvalid) {
    return WrongUsage(size.status().With(fmt::format("--{}", name)));
  }
  if (!size.ok()) return size.status();
  RETURN_IF_ERROR(ValidateSize(*size));
  return *size;
}

Status Context::WrongUsage(Status status) {
  wrong_usage_ = true;
  return status;
}

Result<const NodeConfig*> Context::Config() {
  if (!config_) {
    ASSIGN_OR_RETURN(const std::string path, FindConfig(invocation_.config));
    ASSIGN_OR_RETURN(config_, LoadConfig(path));
  }
  return &*config_;
}

Result<const NodeConfig*> Context::ConfigOfRunningNode() {
  if (!config_of_running_) {
    ASSIGN_OR_RETURN(const std::string path, FindConfig(invocation_.config));
    Status wrong;
    ASSIGN_OR_RETURN(config_of_running_, LoadConfigOfRunningNode(path, &wrong));
    if (!wrong.ok()) {
      fmt::print(stderr, "atoll: note: a node cannot be started from this: {}\n", wrong.message());
    }
  }
  return &*config_of_running_;
}

Status Context::RunWithNode(Task<Status> (*verb)(Context&), int64_t answer_limit_ns) {
  Executor executor;
  executor_ = &executor;
  Status status = executor.RunUntilDone(Connected(verb, answer_limit_ns));
  executor_ = nullptr;
  return status;
}

Task<Status> Context::Connected(Task<Status> (*verb)(Context&), int64_t answer_limit_ns) {
  CO_ASSIGN_OR_RETURN(const NodeConfig* config, ConfigOfRunningNode());
  auto node = RemoteAtoll::Connect(*executor_, config->control_socket());
  if (node.code() == Code::kUnavailable) {
    co_return Status(Code::kUnavailable,
                     fmt::format("no node is running for config {}; start it with: "
                                 "atoll --config {} node start",
                                 config->file, config->file));
  }
  if (node.code() == Code::kPermission) co_return NotPermitted(*config);
  if (node.code() == Code::kTimeout) co_return NoAnswer();
  if (!node.ok()) co_return node.status();
  node_ = *std::move(node);
  Status status = co_await Greet(answer_limit_ns);
  if (status.ok()) status = WithWayOut(co_await verb(*this));
  co_await node_->Disconnect();
  node_.reset();
  co_return status;
}

Task<Status> Context::Greet(int64_t limit_ns) {
  Alarm alarm(*executor_);
  Greeting greeting;
  TaskGroup watch;
  watch.Run(HangUp(&alarm, limit_ns, &greeting));
  const auto status = co_await node_->GetStatus();
  greeting.answered = true;
  alarm.Ring();
  co_await watch.Join();
  if (greeting.cut_off) co_return NoAnswer();
  co_return status.ok() ? Status() : status.status();
}

Task<void> Context::HangUp(Alarm* alarm, int64_t limit_ns, Greeting* greeting) {
  co_await alarm->Sleep(limit_ns);
  if (greeting->answered) co_return;
  greeting->cut_off = true;
  co_await node_->Disconnect();
}

Status Context::NoAnswer() const {
  const auto pid = RunningNode(*config_of_running_);
  const std::string who = pid.ok() && *pid ? fmt::format(" (process {})", **pid) : "";
  return {Code::kTimeout,
          fmt::format("the node{} does not answer; 'atoll node stop --kill' ends it", who)};
}

Status About(Status status, std::string_view kind, std::string_view name) {
  if (status.ok()) return status;
  const std::string whole = fmt::format("{} {}", kind, name);
  const std::string_view message = status.message();
  if (message.starts_with(whole)) return status;
  // "NAME: ..." and "NAME is in use ..." have their subject already.
  const bool named = message.starts_with(name) && message.size() > name.size() &&
                     (message[name.size()] == ':' || message[name.size()] == ' ');
  if (named) return {status.code(), fmt::format("{} {}", kind, message)};
  return status.With(whole);
}

Result<ResourceRef> ParseRef(const std::string& text) {
  constexpr std::string_view kUuid = "uuid:";
  if (text.starts_with(kUuid)) {
    ASSIGN_OR_RETURN(const Uuid uuid, Uuid::Parse(text.substr(kUuid.size())));
    return ResourceRef::Of(uuid);
  }
  RETURN_IF_ERROR(ValidateName(text));
  return ResourceRef::Named(text);
}

}  // namespace atl
