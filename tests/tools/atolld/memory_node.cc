// SPDX-License-Identifier: Apache-2.0
//
// A node over MemoryAtoll with the real NBD server, so that daemon and CLI can be tested by
// themselves as real processes.
// Options of its store bend it: start_error, check_error, write_delay_ms, room_bytes,
// stop_delay_ms.
#include <unistd.h>

#include <cstdlib>

#include "kernel/nbd/server.h"
#include "tests/peers/client/memory_atoll.h"
#include "tools/atolld/node.h"

namespace atl {
namespace {

class MemoryNode final : public Node {
 public:
  MemoryNode(const NodeConfig& config, Executor& executor)
      : executor_(executor),
        options_(config.stores.front().options),
        atoll_(executor),
        nbd_(&executor, &atoll_, {.unix_path = config.nbd_socket}) {
    if (const uint64_t delay_ms = Number("write_delay_ms")) {
      atoll_.set_write_delay_ns(static_cast<int64_t>(delay_ms) * kMillisecond);
    }
    if (const uint64_t room = Number("room_bytes")) atoll_.set_room_bytes(room);
  }

  Task<Status> Serve() { return nbd_.Start(); }
  Atoll& atoll() override { return atoll_; }
  std::vector<PeerState> Peers() override { return {{"memory", getpid(), "running", restarts_}}; }
  Task<Status> RestartPeer(std::string name) override {
    if (name != "memory") co_return Status(Code::kNotFound, "peer " + name + ": there is none");
    ++restarts_;
    co_return Status();
  }
  Task<Result<Report>> GetReport(ReportSpec spec) override {
    if (spec.name == "trace") {
      CO_ASSIGN_OR_RETURN(const ResourceInfo info,
                          co_await atoll_.Show(ResourceRef::Named(spec.argument), false));
      co_return Report{spec.json ? "{\"trace\":\"" + info.name + "\"}" : "hops of " + info.name,
                       true};
    }
    const bool good = spec.name != "segment check" || !options_.contains("damaged");
    co_return Report{spec.json ? "{\"report\":true}" : spec.name, good};
  }
  Task<void> Stop() override {
    co_await nbd_.Stop(StopMode::kGraceful);
    co_await executor_.Sleep(static_cast<int64_t>(Number("stop_delay_ms")) * kMillisecond);
  }

 private:
  uint64_t Number(const std::string& key) const {
    const auto found = options_.find(key);
    return found == options_.end() ? 0 : std::strtoull(found->second.c_str(), nullptr, 10);
  }

  Executor& executor_;
  std::map<std::string, std::string> options_;
  MemoryAtoll atoll_;
  nbd::NbdServer nbd_;
  uint32_t restarts_ = 0;
};

}  // namespace

Task<Result<std::unique_ptr<Node>>> Node::Start(const NodeConfig& config, Executor& executor) {
  const auto& options = config.stores.front().options;
  if (const auto error = options.find("start_error"); error != options.end()) {
    co_return Status(Code::kUnavailable, "store default: " + error->second);
  }
  auto node = std::make_unique<MemoryNode>(config, executor);
  CO_RETURN_IF_ERROR(co_await node->Serve());
  co_return std::unique_ptr<Node>(std::move(node));
}

Status Node::Check(const NodeConfig& config) {
  const auto& options = config.stores.front().options;
  const auto error = options.find("check_error");
  return error == options.end() ? Status() : Status(Code::kInvalid, error->second);
}

int Node::RunPeer(const NodeConfig&, const PeerArguments&) { return 2; }

}  // namespace atl
