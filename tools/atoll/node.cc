// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <filesystem>
#include <utility>

#include "tools/atoll/node_process.h"
#include "tools/atoll/resource.h"
#include "tools/atoll/size.h"
#include "tools/atoll/verbs.h"
#include "tools/config/load.h"
#include "xseg/base/fd.h"

namespace atl {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kStopTimeoutSeconds = 60;
constexpr int64_t kMaxTimeoutSeconds = 86'400;
constexpr int64_t kLongestAnswerNs = 10 * kSecond;

Status OfNode(const Status& status) { return status.With("node"); }

int64_t BootNow() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

Status WriteNew(const std::string& path, const std::string& text, bool replace) {
  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (replace ? O_TRUNC : O_EXCL);
  const Fd fd(open(path.c_str(), flags, 0644));
  if (!fd.valid() && errno == EEXIST) {
    return {Code::kExists, path + ": is there already; --force replaces it"};
  }
  if (!fd.valid()) return Status::FromErrno(errno, path);
  const ssize_t put = write(fd.get(), text.data(), text.size());
  if (put != static_cast<ssize_t>(text.size()))
    return Status::FromErrno(put < 0 ? errno : ENOSPC, path);
  if (fsync(fd.get()) != 0) return Status::FromErrno(errno, path);
  return {};
}

Status NotRunning(const NodeConfig& config) {
  if (HasOrphanedPeers(config)) {
    return {Code::kUnavailable,
            "its daemon has died, and its other processes go on serving; 'atoll node start' starts "
            "a daemon that goes on with them, 'atoll node stop' ends them"};
  }
  return {Code::kUnavailable, fmt::format("no node is running for config {}", config.file)};
}

Task<Status> AskToStop(Context& context) { co_return co_await context.node().Stop(); }

Task<Status> RestartOnePeer(Context& context) {
  // "store default" is one name, and no shell takes it so.
  std::string peer = context.Value("PEER");
  if (context.Has("STORE")) peer += " " + context.Value("STORE");
  const Status status = co_await context.node().RestartPeer(peer);
  if (!status.ok()) co_return About(status, "peer", peer);
  Json json{{"restarted", peer}};
  Print(RenderSaid(context.format(), "restarted peer " + peer, json));
  co_return Status();
}

Result<int64_t> TimeoutNs(Context& context) {
  if (!context.Has("timeout")) return kStopTimeoutSeconds * kSecond;
  const std::string& text = context.Value("timeout");
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size() && seconds >= 0 &&
      seconds <= kMaxTimeoutSeconds) {
    return seconds * kSecond;
  }
  return context.WrongUsage(
      Status(Code::kInvalid, fmt::format("--timeout: '{}' is no number of seconds", text)));
}

// Over the socket, which proves that it is the node; by signal if nobody listens there or nobody
// answers in half of the time.
Status StopProcess(Context& context, pid_t pid, int64_t timeout_ns, bool may_kill) {
  const int64_t end_ns = BootNow() + timeout_ns;
  const int64_t answer_ns = std::min(timeout_ns / 2, kLongestAnswerNs);
  const bool asked = answer_ns > 0 && context.RunWithNode(AskToStop, answer_ns).ok();
  if (!asked) RETURN_IF_ERROR(Terminate(pid));
  const Status ended = WaitForEnd(pid, std::max<int64_t>(end_ns - BootNow(), 0));
  if (ended.ok() || !may_kill) {
    return ended.code() == Code::kTimeout
               ? Status(Code::kTimeout, fmt::format("it has not ended in {} s (pid {}); --kill "
                                                    "ends it by force when its time is over",
                                                    timeout_ns / kSecond, pid))
               : ended;
  }
  return Kill(pid);
}

void SayStarted(Context& context, const NodeConfig& config, pid_t pid) {
  Json json{{"state", "running"},
            {"pid", pid},
            {"config", config.file},
            {"state_dir", config.state_dir},
            {"nbd_socket", config.nbd_socket}};
  Print(RenderSaid(context.format(),
                   fmt::format("node is running: pid {}, state {}, NBD socket {}", pid,
                               config.state_dir, config.nbd_socket),
                   json));
}

Row PeerRow(const PeerState& peer) {
  return {TextCell("peer", peer.name), CountCell("pid", static_cast<uint64_t>(peer.pid)),
          TextCell("state", peer.state), CountCell("restarts", peer.restarts)};
}

Json PeersJson(const NodeStatus& status) {
  Json peers = Json::array();
  for (const PeerState& peer : status.peers) {
    peers.push_back({{"name", peer.name},
                     {"pid", peer.pid},
                     {"state", peer.state},
                     {"restarts", peer.restarts}});
  }
  return peers;
}

bool IsUp(const PeerState& peer) { return peer.state == "running" || peer.state == "starting"; }

bool IsDegraded(const NodeStatus& status) { return !std::ranges::all_of(status.peers, IsUp); }

Row StatusRow(const NodeStatus& status) {
  return {
      TextCell("state", IsDegraded(status) ? "degraded" : "running"),
      CountCell("pid", static_cast<uint64_t>(status.pid)),
      TextCell("version", status.version),
      TextCell("placement", status.placement),
      TextCell("config", status.config),
      TextCell("state_dir", status.state_dir),
      TextCell("nbd_uri", NbdUri(status, "")),
      TextCell("nbd_tcp", status.nbd_tcp),
      TimeCell("started", status.started_ns),
      {"uptime_ns", status.uptime_ns, ""},
      TextCell("uptime", HumanUptime(status.uptime_ns)),
      {"peers", PeersJson(status), ""},
  };
}

Task<Status> PrintStatus(Context& context) {
  CO_ASSIGN_OR_RETURN(const NodeStatus status, co_await context.node().GetStatus());
  Print(RenderOne(context.format(), StatusRow(status)));
  std::vector<Row> rows;
  rows.reserve(status.peers.size());
  for (const PeerState& peer : status.peers) rows.push_back(PeerRow(peer));
  if (context.format() == Format::kTable) {
    Print("\n" + RenderList(context.format(), PeerRow({}), rows));
  }
  const auto down = std::ranges::find_if_not(status.peers, IsUp);
  if (down == status.peers.end()) co_return Status();
  co_return Status(
      Code::kUnavailable,
      fmt::format("node: {} is {}; it is started again and again, and {}/atolld.log says "
                  "what becomes of it",
                  down->name, down->state, status.state_dir));
}

}  // namespace

Status NodeInit(Context& context) {
  Placement placement = Placement::kFused;
  if (const std::string& word = context.Value("placement"); !word.empty()) {
    if (word != "fused" && word != "isolated") {
      return context.WrongUsage(
          Status(Code::kInvalid, fmt::format("--placement is fused or isolated, not '{}'", word)));
    }
    if (word == "isolated") placement = Placement::kIsolated;
  }
  std::error_code error;
  const std::string folder =
      fs::absolute(context.Value("state"), error).lexically_normal().string();
  if (error) return OfNode(Status::FromErrno(error.value(), context.Value("state")));
  fs::create_directories(folder, error);
  if (error) return OfNode(Status::FromErrno(error.value(), folder));
  const std::string path = (fs::path(folder) / "atoll.conf").string();
  const std::string text = InitialConfig(placement);
  // Whatever would keep the node from starting is better said now.
  if (const auto config = ParseConfig(text, path); !config.ok()) return OfNode(config.status());
  RETURN_IF_ERROR(OfNode(WriteNew(path, text, context.Flag("force"))));
  Json json{{"config", path}, {"state_dir", folder}, {"placement", ToString(placement)}};
  Print(RenderSaid(
      context.format(),
      fmt::format("wrote {}; start the node with: atoll --config {} node start", path, path),
      json));
  return {};
}

Status NodeStart(Context& context) {
  ASSIGN_OR_RETURN(const NodeConfig* config, context.Config());
  const auto running = RunningNode(*config);
  if (!running.ok()) return OfNode(running.status());
  if (*running) {
    return OfNode(Status(
        Code::kBusy, fmt::format("{}: is running already (pid {})", config->state_dir, **running)));
  }
  if (context.Flag("foreground")) return OfNode(BecomeDaemon(*config));
  const auto pid = StartDaemon(*config);
  if (!pid.ok()) return OfNode(pid.status());
  SayStarted(context, *config, *pid);
  return {};
}

Status NodeStop(Context& context) {
  ASSIGN_OR_RETURN(const int64_t timeout_ns, TimeoutNs(context));
  ASSIGN_OR_RETURN(const NodeConfig* config, context.ConfigOfRunningNode());
  auto running = RunningNode(*config);
  if (!running.ok()) return OfNode(running.status());
  if (!*running && HasOrphanedPeers(*config)) {
    // To end in order they need a daemon.
    const auto started = StartDaemon(*config);
    if (!started.ok()) return OfNode(started.status());
    running = std::optional<pid_t>(*started);
  }
  if (!*running) return OfNode(NotRunning(*config));
  const pid_t pid = **running;
  RETURN_IF_ERROR(OfNode(StopProcess(context, pid, timeout_ns, context.Flag("kill"))));
  Json json{{"state", "stopped"}, {"pid", pid}};
  Print(RenderSaid(context.format(), fmt::format("node is stopped (it was pid {})", pid), json));
  return {};
}

Status NodeRestart(Context& context) {
  if (context.Has("PEER")) return context.RunWithNode(RestartOnePeer);
  ASSIGN_OR_RETURN(const NodeConfig* config, context.Config());
  const auto running = RunningNode(*config);
  if (!running.ok()) return OfNode(running.status());
  if (*running) {
    // What could not be started again is left running.
    RETURN_IF_ERROR(OfNode(CheckWithDaemon(*config)));
    RETURN_IF_ERROR(OfNode(StopProcess(context, **running, kStopTimeoutSeconds * kSecond, false)));
  }
  const auto pid = StartDaemon(*config);
  if (!pid.ok()) return OfNode(pid.status());
  SayStarted(context, *config, *pid);
  return {};
}

Status NodeShowStatus(Context& context) {
  ASSIGN_OR_RETURN(const NodeConfig* config, context.ConfigOfRunningNode());
  const auto running = RunningNode(*config);
  if (!running.ok()) return OfNode(running.status());
  if (*running) return context.RunWithNode(PrintStatus);
  if (context.format() == Format::kJson) {
    Print(JsonText({{"state", "stopped"}, {"config", config->file}}));
  }
  return OfNode(NotRunning(*config));
}

}  // namespace atl
