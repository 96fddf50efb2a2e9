// SPDX-License-Identifier: Apache-2.0
#include "tools/node/fused_node.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <charconv>

#include "tools/node/incarnation.h"
#include "tools/node/store_list.h"

namespace atl {
namespace {

constexpr size_t kBufferBytes = 256 * kMiB;
constexpr int64_t kGarbageInterval = 600 * kSecond;

// "host:port", as the configuration has it; an IPv6 address stands in brackets.
Result<nbd::TcpAddress> ParseTcp(const std::string& text) {
  const size_t colon = text.rfind(':');
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  if (colon == std::string::npos ||
      std::from_chars(text.data() + colon + 1, end, port).ptr != end || port == 0) {
    return Status(Code::kInvalid, fmt::format("'{}' is no host:port", text));
  }
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return nbd::TcpAddress{host, port};
}

}  // namespace

FusedNode::FusedNode(const NodeConfig& config, Executor& executor)
    : config_(config), executor_(executor), maps_(&executor, &stores_), buffers_(kBufferBytes) {}

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
  CO_RETURN_IF_ERROR(OpenConfiguredStores(config_, executor_, &stores_));
  CO_ASSIGN_OR_RETURN(const Uuid before, ReadPredecessor(config_.state_dir));
  const Uuid incarnation = executor_.NewUuid();
  atoll_ = std::make_unique<LocalAtoll>(&executor_, &stores_, &maps_, &buffers_,
                                        MakeIdentity(config_, incarnation));
  if (!before.is_zero()) {
    CO_RETURN_IF_ERROR((co_await atoll_->BuryPredecessor(before)).With("the node before this one"));
  }
  CO_RETURN_IF_ERROR(WriteIncarnation(config_.state_dir, incarnation));
  CO_RETURN_IF_ERROR(co_await StartFrontEnds());
  background_.Run(CollectGarbageNowAndThen());
  co_return OkStatus();
}

Task<Status> FusedNode::StartFrontEnds() {
  nbd::ServerOptions options;
  options.unix_path = config_.nbd_socket;
  if (!config_.nbd_tcp.empty()) {
    CO_ASSIGN_OR_RETURN(options.tcp, ParseTcp(config_.nbd_tcp));
  }
  nbd_ = std::make_unique<nbd::NbdServer>(&executor_, atoll_.get(), options);
  const Status status = co_await nbd_->Start();
  if (!status.ok()) {
    nbd_.reset();
    co_return status.With("the NBD front end");
  }
  atoll_->SetStatsSource([this] { return nbd_->Stats(); });
  co_return OkStatus();
}

Task<void> FusedNode::CollectGarbageNowAndThen() {
  // In naps, so that a node that stops does not wait for it.
  constexpr int64_t kNap = 100 * kMillisecond;
  int64_t next_ns = executor_.BootNs() + kGarbageInterval;
  while (!stopping_) {
    co_await executor_.Sleep(kNap);
    if (executor_.BootNs() < next_ns) continue;
    const auto report = co_await atoll_->CollectGarbage(false);
    if (!report.ok()) {
      spdlog::warn("garbage collection: {}", report.status().ToString());
    } else if (report->blobs + report->logs + report->records > 0) {
      spdlog::info("garbage collection: {} blobs, {} logs, {} records, {} bytes freed",
                   report->blobs, report->logs, report->records, report->freed_bytes);
    }
    next_ns = executor_.BootNs() + kGarbageInterval;
  }
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
  stopping_ = true;
  if (nbd_) co_await nbd_->Stop(StopMode::kGraceful);
  co_await background_.Join();
  if (atoll_) {
    const Status status = co_await atoll_->Shutdown();
    if (!status.ok()) spdlog::error("closing volumes: {}", status.ToString());
  }
  for (size_t i = 0; i < stores_.size(); ++i) {
    co_await stores_.at(static_cast<StoreSlot>(i)).Close();
  }
}

}  // namespace atl
