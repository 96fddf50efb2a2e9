// SPDX-License-Identifier: Apache-2.0
#include "tools/node/fused_node.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "tools/node/incarnation.h"
#include "tools/node/local_server.h"
#include "tools/node/nbd_options.h"
#include "tools/node/peer_process.h"
#include "tools/node/rendezvous.h"
#include "tools/node/store_list.h"

namespace atl {
namespace {

constexpr size_t kBufferBytes = 256 * kMiB;

}  // namespace

FusedNode::FusedNode(const NodeConfig& config, Executor& executor)
    : config_(config),
      executor_(executor),
      maps_(&executor, &stores_),
      buffers_(kBufferBytes),
      garbage_(&executor) {}

FusedNode::~FusedNode() = default;

Task<Result<std::unique_ptr<Node>>> FusedNode::Start(const NodeConfig& config, Executor& executor) {
  std::unique_ptr<FusedNode> node(new FusedNode(config, executor));
  const Status status = co_await node->Begin();
  if (!status.ok()) {
    co_await node->Stop();
    co_return status;
  }
  co_return std::unique_ptr<Node>(std::move(node));
}

Task<Status> FusedNode::Begin() {
  // If the daemon of an isolated node has died and the configuration was changed since.
  Estate estate;
  CO_ASSIGN_OR_RETURN(std::vector<FoundPeer> left, FindPeers(config_.state_dir, &estate));
  co_await KillPeers(&executor_, std::move(left));
  CO_RETURN_IF_ERROR(OpenConfiguredStores(config_, executor_, &stores_));
  CO_ASSIGN_OR_RETURN(const Uuid before, ReadPredecessor(config_.state_dir));
  const Uuid incarnation = executor_.NewUuid();
  atoll_ = std::make_unique<LocalAtoll>(&executor_, &stores_, &maps_, &buffers_,
                                        MakeIdentity(config_, incarnation),
                                        MakeComposerOptions(config_));
  if (!before.is_zero()) {
    // Its locks are then judged one by one, at the first use.
    const Status buried = co_await atoll_->BuryPredecessor(before);
    if (!buried.ok()) spdlog::warn("the lease of the node before this one: {}", buried.ToString());
  }
  CO_RETURN_IF_ERROR(WriteIncarnation(config_.state_dir, incarnation));
  CO_RETURN_IF_ERROR(co_await StartFrontEnds());
  garbage_.Start(atoll_.get());
  co_return OkStatus();
}

Task<Status> FusedNode::StartFrontEnds() {
  CO_ASSIGN_OR_RETURN(const nbd::ServerOptions options, NbdOptions(config_));
  nbd_ = std::make_unique<nbd::NbdServer>(&executor_, atoll_.get(), options);
  const Status status = co_await nbd_->Start();
  if (!status.ok()) {
    nbd_.reset();
    co_return status.With("the NBD front end");
  }
  CO_ASSIGN_OR_RETURN(local_, co_await StartLocalServer(config_, &executor_, atoll_.get()));
  atoll_->SetStatsSource([this] { return FrontEndStats(); });
  co_return OkStatus();
}

std::vector<PortStats> FusedNode::FrontEndStats() const {
  std::vector<PortStats> rows = nbd_->Stats();
  if (!local_) return rows;
  const std::vector<PortStats> more = local_->Stats();
  rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

std::vector<PeerState> FusedNode::Peers() {
  std::vector<PeerState> peers;
  const auto add = [&peers](std::string name) {
    peers.push_back({std::move(name), getpid(), "running", 0});
  };
  add("composer");
  add("mapper");
  for (size_t i = 0; i < stores_.size(); ++i) {
    add("store " + stores_.at(static_cast<StoreSlot>(i)).info().name);
  }
  if (nbd_) add("nbd");
  return peers;
}

Task<Status> FusedNode::RestartPeer(std::string name) {
  for (const PeerState& peer : Peers()) {
    if (peer.name != name) continue;
    co_return Status(Code::kUnsupported,
                     "this node is fused: its peers share one process and are restarted together, "
                     "with 'atoll node restart'");
  }
  co_return Status(Code::kNotFound, fmt::format("no peer '{}'; see 'atoll node status'", name));
}

Task<Result<Report>> FusedNode::GetReport(ReportSpec spec) {
  if (spec.name == "trace") co_return co_await atoll_->Trace(spec.argument, spec.json);
  if (spec.name != "segment report" && spec.name != "segment check") {
    co_return Status(Code::kInvalid, fmt::format("no report '{}'", spec.name));
  }
  Report report;
  report.text = spec.json ? R"({"placement": "fused", "segment": null, "problems": []})"
                          : "This node is fused: its peers share one process, and there is no "
                            "segment between them.\n";
  co_return report;
}

Task<void> FusedNode::Stop() {
  if (local_) co_await local_->Stop(StopMode::kGraceful);
  if (nbd_) co_await nbd_->Stop(StopMode::kGraceful);
  co_await garbage_.Stop();
  if (atoll_) {
    const Status status = co_await atoll_->Shutdown();
    if (!status.ok()) spdlog::error("closing volumes: {}", status.ToString());
  }
  for (size_t i = 0; i < stores_.size(); ++i) {
    co_await stores_.at(static_cast<StoreSlot>(i)).Close();
  }
}

}  // namespace atl
