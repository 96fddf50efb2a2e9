// SPDX-License-Identifier: Apache-2.0
#include "tools/node/isolated_node.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ranges>

#include "peers/port_ops.h"
#include "tools/config/version.h"
#include "tools/node/heirloom.h"
#include "tools/node/segment_report.h"
#include "xseg/port_claim.h"
#include "xseg/reclaim.h"

namespace atl {
namespace {

// How long peers of a daemon that was killed may take to end.
constexpr int64_t kFolderPatience = 30 * kSecond;
constexpr int64_t kRevivePatience = 10 * kSecond;
constexpr int64_t kNap = 10 * kMillisecond;
constexpr int64_t kShortNap = kMillisecond / 2;
// A start that lasts for so long was one: a request that kills whoever takes it does so sooner.
constexpr int64_t kLasting = 100 * kMillisecond;
// So many in a row that do not last are tried again at once; the pause before the next ones
// doubles.
constexpr uint32_t kFreeFailures = 3;
constexpr int64_t kFirstRestartPause = 50 * kMillisecond;
constexpr int64_t kLastRestartPause = 10 * kSecond;
// After so many whoever asks it is told that it does not run.
constexpr uint32_t kGiveUp = 8;

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

Task<Result<std::vector<FoundPeer>>> IsolatedNode::TakeFolder() {
  Fd folder(open(config_.state_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) co_return Status::FromErrno(errno, config_.state_dir);
  const int64_t end_ns = executor_.BootNs() + kFolderPatience;
  while (flock(folder.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) co_return Status::FromErrno(errno, config_.state_dir);
    auto found = FindPeers(config_.state_dir, &estate_);
    if (!found.ok() || !found->empty()) co_return found;
    if (executor_.BootNs() > end_ns) {
      co_return Status(Code::kBusy, config_.state_dir + ": peers of an earlier daemon still run");
    }
    co_await executor_.Sleep(kNap);  // They are about to begin, or to end.
  }
  estate_.folder = std::move(folder);
  co_return std::vector<FoundPeer>();
}

Status IsolatedNode::OpenPorts() {
  inherited_.reset(new PeerInheritance{config_, estate_});
  for (const auto& peer : peers_) peer->process->Inherit(inherited_.get());
  // A daemon that had it holds the lock of the pid file no longer.
  const auto left = Port::Find(*segment_, kDaemonPort);
  if (left.ok() && Quarantine(*segment_, *left, ProofOfDeath::kCallerKnows).ok()) {
    RETURN_IF_ERROR(Release(*segment_, *left).status());
  }
  ASSIGN_OR_RETURN(desk_, PeerPort::Open(&executor_, segment_.get(), kDaemonPort, {}));
  desk_->server().Add(HoldingOps{}, this);
  desk_->server().Serve();
  const std::string name = fmt::format("{}{}", kCallsPrefix, getpid());
  ASSIGN_OR_RETURN(port_, PeerPort::Open(&executor_, segment_.get(), name, kFrontEndBuffers));
  port_->server().Serve();
  return {};
}

Task<Status> IsolatedNode::Begin() {
  CO_ASSIGN_OR_RETURN(std::vector<FoundPeer> found, co_await TakeFolder());
  const auto is_foreign = [](const FoundPeer& peer) { return peer.version != Version(); };
  if (std::ranges::any_of(found, is_foreign)) {
    spdlog::warn("the processes of the daemon before this one are of another version: ending them");
    co_await KillPeers(&executor_, std::exchange(found, {}));
    estate_ = {};
    CO_ASSIGN_OR_RETURN(found, co_await TakeFolder());
  }
  if (found.empty()) {
    CO_RETURN_IF_ERROR(co_await BeginAnew());
  } else {
    CO_RETURN_IF_ERROR(co_await GoOn(std::move(found)));
  }
  CO_ASSIGN_OR_RETURN(RpcTarget composer, port_->client().Find(PortNameOf(kComposerPeer)));
  atoll_ = std::make_unique<SupervisedAtoll>(port_.get(), std::move(composer));
  co_return OkStatus();
}

Task<Status> IsolatedNode::BeginAnew() {
  CO_ASSIGN_OR_RETURN(segment_, Segment::Create(NodeGeometry(config_), executor_.NewUuid()));
  CO_ASSIGN_OR_RETURN(estate_.segment, segment_->fds().Duplicate());
  CO_ASSIGN_OR_RETURN(ledger_, Ledger::Create());
  estate_.ledger = Fd(fcntl(ledger_->fd(), F_DUPFD_CLOEXEC, 0));
  CO_ASSIGN_OR_RETURN(estate_.stores, MakeRemains(config_));
  CO_RETURN_IF_ERROR(OpenPorts());
  for (const auto& peer : peers_) {
    CO_RETURN_IF_ERROR(co_await StartPeer(peer.get(), {}));
    watchers_.Run(Watch(peer.get()));
  }
  co_return OkStatus();
}

// --- Going on ------------------------------------------------------------------------------------

Task<Status> IsolatedNode::GoOn(std::vector<FoundPeer> found) {
  spdlog::info("going on with {} processes whose daemon has died", found.size());
  CO_ASSIGN_OR_RETURN(SegmentFds fds, estate_.segment.Duplicate());
  CO_ASSIGN_OR_RETURN(segment_, Segment::Attach(std::move(fds)));
  CO_ASSIGN_OR_RETURN(ledger_, Ledger::Load(Fd(fcntl(estate_.ledger.get(), F_DUPFD_CLOEXEC, 0))));
  CO_RETURN_IF_ERROR(OpenPorts());
  std::vector<Supervised*> dead;
  for (const auto& peer : peers_) {
    const auto same = std::ranges::find(found, peer->process->name(), &FoundPeer::name);
    if (same == found.end()) {
      dead.push_back(peer.get());
      continue;
    }
    peer->process->Adopt(std::move(*same));
    peer->state = "running";
    peer->started_ns = executor_.BootNs();
    watchers_.Run(Watch(peer.get()));
  }
  for (Supervised* const peer : dead) watchers_.Run(Revive(peer));
  for (PortIndex i = 0; i < segment_->geometry().ports; ++i) {
    const bool calls = segment_->port(i).LoadName().starts_with(kCallsPrefix);
    if (calls && i != port_->port().index()) answering_.Run(BuryDaemon(i));
  }
  // What cannot be started again keeps nobody from asking why.
  const auto is_up = [](const auto& peer) { return peer->state == "running"; };
  const int64_t end_ns = executor_.BootNs() + kRevivePatience;
  while (!std::ranges::all_of(peers_, is_up) && executor_.BootNs() < end_ns) {
    co_await executor_.Sleep(kNap);
  }
  co_return OkStatus();
}

// What it had open at the composer is closed, and its buffers are free once nobody uses them.
Task<void> IsolatedNode::BuryDaemon(PortIndex port) {
  if (!Quarantine(*segment_, port, ProofOfDeath::kCallerKnows).ok()) co_return;
  const auto composer = port_->client().Find(PortNameOf(kComposerPeer));
  if (composer.ok()) (void)co_await port_->client().Tell(*composer, PeerGoneOp{port});
  while (Release(*segment_, port).code() == Code::kBusy && !stopped_) {
    co_await executor_.Sleep(kNap);
  }
  (void)Abandon(*segment_, port, Code::kUnavailable);
}

Task<Status> IsolatedNode::StartPeer(Supervised* peer, Fd heirloom) {
  // One that fails again and again shows why.
  if (peer->failures == 0) peer->state = "starting";
  peer->is_starting = true;
  peer->expected_to_end = false;
  peer->started_ns = executor_.BootNs();
  const Status status = co_await peer->process->Start(std::move(heirloom));
  peer->is_starting = false;
  if (!status.ok()) {
    peer->state = "failed: " + std::string(status.message());
    co_return status;
  }
  peer->state = "running";
  co_return OkStatus();
}

// --- Watching ------------------------------------------------------------------------------------

Task<void> IsolatedNode::Revive(Supervised* peer) {
  peer->state = "dead";
  peer->died_ns = executor_.BootNs();
  co_await Replace(peer);
  if (!stopping_) co_await Watch(peer);
}

Task<void> IsolatedNode::Watch(Supervised* peer) {
  while (true) {
    co_await peer->process->exited();
    if (peer->expected_to_end) {
      peer->state = "stopped";
      co_return;
    }
    const PeerProcess& process = *peer->process;
    RemoveRendezvous(config_.state_dir, process.pid());
    peer->state = "dead: " + process.how();
    peer->died_ns = executor_.BootNs();
    const bool planned = std::exchange(peer->restarting, false);
    const bool lasted = planned || peer->died_ns - peer->started_ns >= kLasting;
    peer->failures = lasted ? 0 : peer->failures + 1;
    spdlog::log(planned ? spdlog::level::info : spdlog::level::err, "{} (pid {}) {}",
                process.name(), process.pid(), process.how());
    co_await Replace(peer);
    if (stopping_) co_return;
  }
}

Task<void> IsolatedNode::Replace(Supervised* peer) {
  while (true) {
    co_await Bury(peer);
    if (stopping_) break;
    if (peer->failures >= kGiveUp) GiveUp(peer);
    co_await PauseBeforeRestart(peer);
    if (stopping_) break;
    const Status status = co_await StartSuccessor(peer);
    if (status.ok()) co_return;
    ++peer->failures;
    spdlog::error("{}: {}", peer->process->name(), status.ToString());
  }
  GiveUp(peer);  // Others, who are to end in order, do not wait for it.
}

Task<Status> IsolatedNode::StartSuccessor(Supervised* peer) {
  ++peer->restarts;
  const auto& holdings = ledger_->of(peer->process->name());
  const Heirloom heirloom{.holdings = {holdings.begin(), holdings.end()}};
  CO_ASSIGN_OR_RETURN(Fd file, MakeHeirloomFile(heirloom));
  CO_RETURN_IF_ERROR(co_await StartPeer(peer, std::move(file)));
  peer->given_up = false;
  if (peer->process->name() == kComposerPeer) co_await TellFrontEnds();
  spdlog::info("{} has been replaced, after {} ms (pid {})", peer->process->name(),
               (executor_.BootNs() - peer->died_ns) / kMillisecond, peer->process->pid());
  co_return OkStatus();
}

Task<void> IsolatedNode::PauseBeforeRestart(Supervised* peer) {
  if (peer->failures <= kFreeFailures) co_return;
  const uint32_t doublings = std::min(peer->failures - kFreeFailures - 1, 16u);
  const int64_t pause_ns = std::min(kFirstRestartPause << doublings, kLastRestartPause);
  const int64_t end_ns = executor_.BootNs() + pause_ns;
  while (executor_.BootNs() < end_ns && !stopping_) co_await executor_.Sleep(kNap);
}

// What it had sent and nobody had accepted is withdrawn, and what others keep for it is closed. Its
// buffers are free once those have answered who had accepted something. What was sent to it stays,
// but for a front end, whose successor begins anew.
Task<void> IsolatedNode::Bury(Supervised* peer) {
  const auto port = Port::Find(*segment_, PortNameOf(peer->process->name()));
  if (!port.ok()) co_return;
  const auto report = Quarantine(*segment_, *port, ProofOfDeath::kCallerKnows);
  if (!report.ok()) co_return;
  if (peer->is_front_end) AnswerAllHeldBy(*segment_, *port, Code::kUnavailable);
  co_await TellWhoServedIt(peer->process->name(), *port);
  while (Release(*segment_, *port).code() == Code::kBusy && !stopped_) {
    co_await executor_.Sleep(kShortNap);
  }
}

Task<void> IsolatedNode::TellWhoServedIt(const std::string& name, PortIndex gone) {
  const char* server = nullptr;
  if (name == kComposerPeer) server = kMapperPeer;
  if (name == kNbdPeer) server = kComposerPeer;
  if (server == nullptr) co_return;
  const auto peer = port_->client().Find(PortNameOf(server));
  if (!peer.ok()) co_return;
  co_await TellGone(*peer, gone);
}

// One that is dead, too, begins anew.
Task<void> IsolatedNode::TellFrontEnds() {
  if (atoll_) atoll_->Rejoin();
  const Supervised* const nbd = Find(kNbdPeer);
  const auto port = port_->client().Find(PortNameOf(kNbdPeer));
  if (nbd->state != "running" || !port.ok()) co_return;
  answering_.Run(TellGone(*port, kNoPort));
}

Task<void> IsolatedNode::TellGone(RpcTarget to, PortIndex gone) {
  const PeerGoneOp op{gone};
  (void)co_await port_->client().Tell(to, op);
}

void IsolatedNode::GiveUp(Supervised* peer) {
  if (peer->given_up) return;
  const auto port = Port::Find(*segment_, PortNameOf(peer->process->name()));
  if (!port.ok()) return;
  peer->given_up = true;
  answering_.Run(AnswerForTheDead(peer, *port));
}

Task<void> IsolatedNode::AnswerForTheDead(Supervised* peer, PortIndex port) {
  while (!stopped_ && peer->given_up) {
    // Nobody has it, and nothing of the dead one is under way any more.
    const bool vacant = segment_->port(port).LoadControl().state == PortState::kVacant;
    if (vacant && !peer->is_starting) {
      AnswerAllHeldBy(*segment_, port, Code::kUnavailable);
    }
    co_await executor_.Sleep(kNap);
  }
}

IsolatedNode::Supervised* IsolatedNode::Find(const std::string& name) const {
  const auto found = std::ranges::find_if(
      peers_, [&name](const auto& peer) { return peer->process->name() == name; });
  return found == peers_.end() ? nullptr : found->get();
}

IsolatedNode::Supervised* IsolatedNode::OwnerOf(PortIndex port) const {
  const std::string name = segment_->port(port).LoadName();
  const auto found = std::ranges::find_if(
      peers_, [&name](const auto& peer) { return PortNameOf(peer->process->name()) == name; });
  return found == peers_.end() ? nullptr : found->get();
}

Task<Status> IsolatedNode::Do(const RpcCall& call, PeerHoldsOp& op) {
  const Supervised* const store = OwnerOf(call.from);
  co_return store != nullptr ? ledger_->Note(store->process->name(), op.what) : OkStatus();
}

Task<Status> IsolatedNode::Do(const RpcCall& call, PeerLeftOp& op) {
  const Supervised* const store = OwnerOf(call.from);
  co_return store != nullptr ? ledger_->Drop(store->process->name(), op.what) : OkStatus();
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
  Supervised* const peer = Find(name);
  if (peer == nullptr) {
    co_return Status(Code::kNotFound, fmt::format("no peer '{}'; see 'atoll node status'", name));
  }
  if (stopping_ || peer->is_starting || peer->expected_to_end) {
    co_return Status(Code::kBusy, fmt::format("{} is {}", name, peer->state));
  }
  const uint32_t before = peer->restarts;
  peer->restarting = peer->process->runs();
  // There is nothing that it has to do first: its successor takes everything over.
  co_await peer->process->Stop(peer->is_front_end ? PeerProcess::kStopPatience : 0);
  while (!stopping_ && (peer->restarts == before || peer->state != "running")) {
    co_await executor_.Sleep(kNap);
  }
  co_return stopping_ ? Status(Code::kUnavailable, "this node is stopping") : OkStatus();
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
    co_await peer->process->Stop(PeerProcess::kStopPatience);
  }
  stopped_ = true;
  // Whoever asks somebody who has ended is told so.
  while (watchers_.running() + answering_.running() > 0) {
    for (const auto& peer : peers_) {
      const auto port = Port::Find(*segment_, PortNameOf(peer->process->name()));
      if (port.ok()) AnswerAllHeldBy(*segment_, *port, Code::kUnavailable);
    }
    co_await executor_.Sleep(kNap);
  }
}

}  // namespace atl
