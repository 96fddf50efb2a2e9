// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/context.h"

#include <fmt/format.h>

#include <utility>

#include "tools/atoll/size.h"
#include "tools/config/load.h"

namespace atl {

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

Status Context::RunWithNode(Task<Status> (*verb)(Context&)) {
  Executor executor;
  return executor.RunUntilDone(Connected(executor, verb));
}

Task<Status> Context::Connected(Executor& executor, Task<Status> (*verb)(Context&)) {
  CO_ASSIGN_OR_RETURN(const NodeConfig* config, Config());
  auto node = RemoteAtoll::Connect(executor, config->control_socket());
  if (node.code() == Code::kUnavailable) {
    co_return Status(Code::kUnavailable,
                     fmt::format("no node is running for config {}; start it with: "
                                 "atoll --config {} node start",
                                 config->file, config->file));
  }
  if (!node.ok()) co_return node.status();
  executor_ = &executor;
  node_ = *std::move(node);
  Status status = co_await verb(*this);
  co_await node_->Disconnect();
  node_.reset();
  executor_ = nullptr;
  co_return status;
}

Status About(Status status, std::string_view kind, std::string_view name) {
  if (status.ok()) return status;
  const std::string whole = fmt::format("{} {}", kind, name);
  const std::string_view message = status.message();
  if (message.starts_with(whole)) return status;
  if (message.starts_with(fmt::format("{}:", name)))
    return {status.code(), fmt::format("{} {}", kind, message)};
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
