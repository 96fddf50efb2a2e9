// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
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

Status OfNode(Status status) { return status.With("node"); }

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
  return {Code::kUnavailable, fmt::format("no node is running for config {}", config.file)};
}

Task<Status> AskToStop(Context& context) { co_return co_await context.node().Stop(); }

Task<Status> RestartOnePeer(Context& context) {
  const std::string peer = context.Value("PEER");
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

// Over the socket, which proves that it is the node; by signal if it does not listen.
Status StopProcess(Context& context, pid_t pid, int64_t timeout_ns, bool may_kill) {
  if (const Status asked = context.RunWithNode(AskToStop); !asked.ok()) kill(pid, SIGTERM);
  const Status ended = WaitForEnd(pid, timeout_ns);
  if (ended.ok() || !may_kill) {
    return ended.code() == Code::kTimeout
               ? Status(Code::kTimeout, fmt::format("it has not ended in {} s (pid {}); --kill "
                                                    "ends it at once",
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

Row StatusRow(const NodeStatus& status) {
  return {
      TextCell("state", "running"),
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
  if (context.format() == Format::kJson) co_return Status();
  std::vector<Row> rows;
  for (const PeerState& peer : status.peers) rows.push_back(PeerRow(peer));
  Print("\n" + RenderList(context.format(), PeerRow({}), rows));
  co_return Status();
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
  const std::string folder = fs::absolute(context.Value("state")).lexically_normal().string();
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
  if (const auto pid = RunningNode(*config)) {
    return OfNode(Status(Code::kBusy,
                         fmt::format("{}: is running already (pid {})", config->state_dir, *pid)));
  }
  if (context.Flag("foreground")) return OfNode(BecomeDaemon(*config));
  const auto pid = StartDaemon(*config);
  if (!pid.ok()) return OfNode(pid.status());
  SayStarted(context, *config, *pid);
  return {};
}

Status NodeStop(Context& context) {
  ASSIGN_OR_RETURN(const int64_t timeout_ns, TimeoutNs(context));
  ASSIGN_OR_RETURN(const NodeConfig* config, context.Config());
  const auto pid = RunningNode(*config);
  if (!pid) return OfNode(NotRunning(*config));
  RETURN_IF_ERROR(OfNode(StopProcess(context, *pid, timeout_ns, context.Flag("kill"))));
  Json json{{"state", "stopped"}, {"pid", *pid}};
  Print(RenderSaid(context.format(), fmt::format("node is stopped (it was pid {})", *pid), json));
  return {};
}

Status NodeRestart(Context& context) {
  if (context.Has("PEER")) return context.RunWithNode(RestartOnePeer);
  ASSIGN_OR_RETURN(const NodeConfig* config, context.Config());
  if (const auto pid = RunningNode(*config)) {
    RETURN_IF_ERROR(OfNode(StopProcess(context, *pid, kStopTimeoutSeconds * kSecond, false)));
  }
  const auto pid = StartDaemon(*config);
  if (!pid.ok()) return OfNode(pid.status());
  SayStarted(context, *config, *pid);
  return {};
}

Status NodeShowStatus(Context& context) {
  ASSIGN_OR_RETURN(const NodeConfig* config, context.Config());
  if (RunningNode(*config)) return context.RunWithNode(PrintStatus);
  if (context.format() == Format::kJson) {
    Print(JsonText({{"state", "stopped"}, {"config", config->file}}));
  }
  return OfNode(NotRunning(*config));
}

}  // namespace atl
