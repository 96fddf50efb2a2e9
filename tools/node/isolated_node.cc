// SPDX-License-Identifier: Apache-2.0
#include "tools/node/isolated_node.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <ranges>

#include "peers/port_ops.h"
#include "tools/node/segment_report.h"
#include "xseg/port_claim.h"
#include "xseg/reclaim.h"

namespace atl {
namespace {

// How long peers of a daemon that was killed may take to end.
constexpr int64_t kFolderPatience = 30 * kSecond;
constexpr int64_t kStopPatience = 60 * kSecond;
constexpr int64_t kNap = 10 * kMillisecond;
// A front end that ends right after its start is not started again at once.
constexpr int64_t kRestartPause = 1 * kSecond;

}  // namespace

class SupervisedAtoll final : public PortAtoll {
 public:
  SupervisedAtoll(PeerPort* port, RpcTarget composer)
      : PortAtoll(port, std::move(composer)), client_(&port->client()) {}

  Task<Result<std::vector<PortStats>>> Stats() override {
    CO_ASSIGN_OR_RETURN(std::vector<PortStats> rows, co_await PortAtoll::Stats());
    const auto nbd = client_->Find(PortNameOf(kNbdPeer));
    if (!nbd.ok()) co_return rows;
    const PeerStatsOp op;
    const auto more = co_await client_->Call(*nbd, op);
    if (more.ok()) rows.insert(rows.end(), more->begin(), more->end());
    co_return rows;
  }

 private:
  RpcClient* client_;
};

Task<Result<std::unique_ptr<Node>>> StartIsolatedNode(const NodeConfig& config,
                                                      Executor& executor) {
  auto node = std::make_unique<IsolatedNode>(config, executor);
  const Status status = co_await node->Begin();
  if (!status.ok()) {
    co_await node->Stop();
    co_return status;
  }
  co_return std::unique_ptr<Node>(std::move(node));
}

IsolatedNode::IsolatedNode(const NodeConfig& config, Executor& executor)
    : config_(config), executor_(executor) {
  for (const StoreConfig& store : config.stores) Add(StorePeer(store), false);
  Add(kMapperPeer, false);
  Add(kComposerPeer, false);
  Add(kNbdPeer, true);
}

IsolatedNode::~IsolatedNode() = default;

Atoll& IsolatedNode::atoll() { return *atoll_; }

void IsolatedNode::Add(std::string name, bool is_front_end) {
  auto peer = std::make_unique<Supervised>();
  peer->process = std::make_unique<PeerProcess>(&executor_, std::move(name));
  peer->is_front_end = is_front_end;
  peers_.push_back(std::move(peer));
}

// --- Starting ------------------------------------------------------------------------------------

Task<Status> IsolatedNode::TakeFolder() {
  folder_ = Fd(open(config_.state_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder_.valid()) co_return Status::FromErrno(errno, config_.state_dir);
  const int64_t end_ns = executor_.BootNs() + kFolderPatience;
  while (flock(folder_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) co_return Status::FromErrno(errno, config_.state_dir);
    if (executor_.BootNs() > end_ns) {
      co_return Status(Code::kBusy, config_.state_dir + ": peers of an earlier daemon still run");
    }
    co_await executor_.Sleep(kNap);
  }
  co_return OkStatus();
}

Status IsolatedNode::MakeSegment() {
  ASSIGN_OR_RETURN(segment_, Segment::Create(NodeGeometry(config_), executor_.NewUuid()));
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Status::FromErrno(errno, "pipe");
  lifeline_read_ = Fd(ends[0]);
  lifeline_write_ = Fd(ends[1]);
  inherited_.reset(
      new PeerInheritance{config_, segment_->fds(), lifeline_read_.get(), folder_.get()});
  for (const auto& peer : peers_) peer->process->Inherit(inherited_.get());
  ASSIGN_OR_RETURN(port_,
                   PeerPort::Open(&executor_, segment_.get(), kDaemonPort, kFrontEndBuffers));
  return {};
}

Task<Status> IsolatedNode::Begin() {
  CO_RETURN_IF_ERROR(co_await TakeFolder());
  CO_RETURN_IF_ERROR(MakeSegment());
  for (const auto& peer : peers_) CO_RETURN_IF_ERROR(co_await StartPeer(peer.get()));
  CO_ASSIGN_OR_RETURN(RpcTarget composer, port_->client().Find(PortNameOf(kComposerPeer)));
  atoll_ = std::make_unique<SupervisedAtoll>(port_.get(), std::move(composer));
  co_return OkStatus();
}

Task<Status> IsolatedNode::StartPeer(Supervised* peer) {
  peer->state = "starting";
  peer->expected_to_end = false;
  peer->started_ns = executor_.BootNs();
  const Status status = co_await peer->process->Start();
  if (!status.ok()) {
    peer->state = "failed: " + std::string(status.message());
    co_return status;
  }
  peer->state = "running";
  watchers_.Run(Watch(peer));
  co_return OkStatus();
}

// --- Watching ------------------------------------------------------------------------------------

Task<void> IsolatedNode::Watch(Supervised* peer) {
  const PeerProcess& process = *peer->process;
  co_await peer->process->exited();
  if (peer->expected_to_end) {
    peer->state = "stopped";
    co_return;
  }
  peer->state = "dead: " + process.how();
  spdlog::error("{} (pid {}) {}", process.name(), process.pid(), process.how());
  co_await Bury(peer);
  if (!peer->is_front_end) {
    spdlog::error("what needs {} answers with errors until this node is restarted", process.name());
    co_return;
  }
  const int64_t earliest_ns = peer->started_ns + kRestartPause;
  while (executor_.BootNs() < earliest_ns && !stopping_) co_await executor_.Sleep(kNap);
  if (stopping_) co_return;
  ++peer->restarts;
  const Status status = co_await StartPeer(peer);
  if (!status.ok()) spdlog::error("{}: {}", process.name(), status.ToString());
}

// Its requests are withdrawn and what others keep for it is closed. The port of a front end, which
// does no I/O of its own but through others, is free as soon as those have answered.
Task<void> IsolatedNode::Bury(Supervised* peer) {
  const auto port = Port::Find(*segment_, PortNameOf(peer->process->name()));
  if (!port.ok()) co_return;
  const auto report = Quarantine(*segment_, *port, ProofOfDeath::kCallerKnows);
  if (!report.ok()) co_return;
  if (peer->is_front_end) {
    AnswerAllHeldBy(*segment_, *port, Code::kUnavailable);
    co_await TellOthers(*port);
    while (Release(*segment_, *port).code() == Code::kBusy && !stopped_) {
      co_await executor_.Sleep(kNap);
    }
    co_return;
  }
  answering_.Run(AnswerForTheDead(*port));
  co_await TellOthers(*port);
}

Task<void> IsolatedNode::TellOthers(PortIndex gone) {
  for (const char* name : {kComposerPeer, kMapperPeer}) {
    const auto peer = port_->client().Find(PortNameOf(name));
    if (!peer.ok() || peer->port == gone) continue;
    const PeerGoneOp op{gone};
    (void)co_await port_->client().Tell(*peer, op);
  }
}

Task<void> IsolatedNode::AnswerForTheDead(PortIndex port) {
  while (!stopped_) {
    AnswerAllHeldBy(*segment_, port, Code::kUnavailable);
    co_await executor_.Sleep(kNap);
  }
}

// --- Being asked ---------------------------------------------------------------------------------

std::vector<PeerState> IsolatedNode::Peers() {
  std::vector<PeerState> states;
  for (const auto& peer : peers_) {
    states.push_back({peer->process->name(), peer->process->pid(), peer->state, peer->restarts});
  }
  return states;
}

Task<Status> IsolatedNode::RestartPeer(std::string name) {
  const auto found = std::ranges::find_if(
      peers_, [&name](const auto& peer) { return peer->process->name() == name; });
  if (found == peers_.end()) {
    co_return Status(Code::kNotFound, fmt::format("no peer '{}'; see 'atoll node status'", name));
  }
  Supervised* const peer = found->get();
  if (!peer->is_front_end && !peer->process->runs()) {
    co_return Status(Code::kUnsupported,
                     fmt::format("{} is {}, and nothing can take its place while the node runs; "
                                 "'atoll node restart' restarts all of it",
                                 name, peer->state));
  }
  if (!peer->is_front_end) {
    co_return Status(
        Code::kUnsupported,
        fmt::format("{} holds open volumes and cannot be replaced while the node runs; "
                    "'atoll node restart' restarts all of it",
                    name));
  }
  if (stopping_ || peer->state == "starting" || peer->expected_to_end) {
    co_return Status(Code::kBusy, fmt::format("{} is {}", name, peer->state));
  }
  peer->expected_to_end = true;
  co_await peer->process->Stop(kStopPatience);
  co_await Bury(peer);  // If it had to be killed.
  ++peer->restarts;
  co_return co_await StartPeer(peer);
}

Task<Result<Report>> IsolatedNode::GetReport(ReportSpec spec) {
  if (spec.name == "trace") co_return co_await atoll_->Trace(spec.argument, spec.json);
  if (spec.name == "segment report") co_return ReportSegment(*segment_, spec.json);
  if (spec.name == "segment check") co_return CheckSegmentFor(*segment_, spec.json);
  co_return Status(Code::kInvalid, fmt::format("no report '{}'", spec.name));
}

// --- Stopping ------------------------------------------------------------------------------------

Task<void> IsolatedNode::Stop() {
  stopping_ = true;
  for (const auto& peer : std::views::reverse(peers_)) {
    peer->expected_to_end = true;
    co_await peer->process->Stop(kStopPatience);
  }
  stopped_ = true;
  co_await watchers_.Join();
  co_await answering_.Join();
}

}  // namespace atl
