// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/node_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "peers/client/unix_socket.h"
#include "tools/config/pid_file.h"
#include "xseg/base/fd.h"
#include "xseg/base/units.h"

namespace atl {
namespace {

namespace fs = std::filesystem;

constexpr int kStartTimeoutMs = 120'000;
constexpr int64_t kKillTimeoutNs = 10 * kSecond;
constexpr size_t kShownLogLines = 10;
// Of what the daemon says about its start.
constexpr size_t kMaxReadyBytes = 4096;

struct Launch {
  bool check_only = false;
  std::string daemon;
  std::string config;
  Fd log;
  Fd ready_read;
  Fd ready_write;
};

Result<Launch> Prepare(const NodeConfig& config) {
  Launch launch;
  launch.config = config.file;
  ASSIGN_OR_RETURN(launch.daemon, FindDaemon());
  std::error_code error;
  fs::create_directories(config.state_dir, error);
  if (error) return Status::FromErrno(error.value(), config.state_dir);
  launch.log = Fd(open(config.log_file().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!launch.log.valid()) return Status::FromErrno(errno, config.log_file());
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Status::FromErrno(errno, "pipe");
  launch.ready_read = Fd(ends[0]);
  launch.ready_write = Fd(ends[1]);
  return launch;
}

// In the child: a session of its own, no terminal, and nothing of the caller's streams.
[[noreturn]] void RunChild(const Launch& launch) {
  setsid();
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(launch.log.get(), STDOUT_FILENO);
  dup2(launch.log.get(), STDERR_FILENO);
  fcntl(launch.ready_write.get(), F_SETFD, 0);
  const std::string fd = std::to_string(launch.ready_write.get());
  execl(launch.daemon.c_str(), "atolld", "--config", launch.config.c_str(), "--ready-fd",
        fd.c_str(), launch.check_only ? "--check" : nullptr, static_cast<char*>(nullptr));
  fmt::print(stderr, "{}: cannot be run\n", launch.daemon);
  _exit(127);
}

// What comes through the pipe until its end; kTimeout if that does not come.
Result<std::string> ReadAnswer(int fd) {
  std::string answer;
  while (answer.size() < kMaxReadyBytes) {
    pollfd waiting{fd, POLLIN, 0};
    const int ready = poll(&waiting, 1, kStartTimeoutMs);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return Status(Code::kTimeout, "it does not serve after two minutes");
    std::array<char, 512> bytes;
    const ssize_t got = read(fd, bytes.data(), bytes.size());
    if (got <= 0) break;
    answer.append(bytes.data(), static_cast<size_t>(got));
  }
  return answer.substr(0, answer.find('\n'));
}

void ShowLog(const std::string& path, off_t from) {
  std::ifstream in(path);
  in.seekg(from);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  const size_t first = lines.size() > kShownLogLines ? lines.size() - kShownLogLines : 0;
  for (size_t i = first; i < lines.size(); ++i) fmt::print(stderr, "  {}\n", lines[i]);
}

// The daemon's process when it has said that it is ready.
Result<pid_t> Run(const NodeConfig& config, Launch launch) {
  const off_t log_start = lseek(launch.log.get(), 0, SEEK_END);
  const pid_t child = fork();
  if (child < 0) return Status::FromErrno(errno, "fork");
  if (child == 0) RunChild(launch);
  launch.ready_write.Close();
  const auto answer = ReadAnswer(launch.ready_read.get());
  if (answer.ok() && *answer == "ready") return child;
  if (!answer.ok()) kill(child, SIGTERM);
  constexpr std::string_view kError = "error ";
  if (answer.ok() && answer->starts_with(kError)) {
    waitpid(child, nullptr, 0);
    return Status(Code::kUnavailable, answer->substr(kError.size()));
  }
  if (answer.ok()) waitpid(child, nullptr, 0);
  ShowLog(config.log_file(), log_start);
  return Status(Code::kUnavailable,
                fmt::format("{}; its log is {}",
                            answer.ok() ? "the daemon ended before it served"
                                        : std::string(answer.status().message()),
                            config.log_file()));
}

}  // namespace

Result<std::string> FindDaemon() {
  if (const char* given = std::getenv("ATOLLD"); given != nullptr && *given != '\0')
    return std::string(given);
  std::error_code error;
  const fs::path own = fs::read_symlink("/proc/self/exe", error);
  std::string path = (own.parent_path() / "atolld").string();
  if (access(path.c_str(), X_OK) == 0) return path;
  return Status(Code::kNotFound, path + ": the daemon is not there; $ATOLLD can name it elsewhere");
}

Result<std::optional<pid_t>> RunningNode(const NodeConfig& config) {
  auto holder = PidFile::HolderOf(config.pid_file());
  return holder.code() == Code::kPermission ? NotPermitted(config) : holder;
}

bool HasOrphanedPeers(const NodeConfig& config) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(config.state_dir + "/peers", error)) {
    if (entry.path().extension() == ".sock" && ConnectUnix(entry.path().string()).ok()) return true;
  }
  return false;
}

Status NotPermitted(const NodeConfig& config) {
  struct stat info{};
  const bool seen =
      stat(config.pid_file().c_str(), &info) == 0 || stat(config.state_dir.c_str(), &info) == 0;
  const passwd* owner = seen ? getpwuid(info.st_uid) : nullptr;
  const std::string user = owner != nullptr ? fmt::format("user {}", owner->pw_name)
                           : seen           ? fmt::format("user {}", info.st_uid)
                                            : "the node's own user";
  return {Code::kPermission,
          fmt::format("{}: permission denied; root and {} may", config.state_dir, user)};
}

Status CheckWithDaemon(const NodeConfig& config) {
  ASSIGN_OR_RETURN(Launch launch, Prepare(config));
  launch.check_only = true;
  const auto pid = Run(config, std::move(launch));
  if (!pid.ok()) return pid.status();
  waitpid(*pid, nullptr, 0);
  return {};
}

Result<pid_t> StartDaemon(const NodeConfig& config) {
  ASSIGN_OR_RETURN(Launch launch, Prepare(config));
  return Run(config, std::move(launch));
}

Status BecomeDaemon(const NodeConfig& config) {
  ASSIGN_OR_RETURN(const std::string daemon, FindDaemon());
  execl(daemon.c_str(), "atolld", "--config", config.file.c_str(), static_cast<char*>(nullptr));
  return Status::FromErrno(errno, daemon);
}

Status WaitForEnd(pid_t pid, int64_t timeout_ns) {
  const Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) return errno == ESRCH ? Status() : Status::FromErrno(errno, "pidfd_open");
  pollfd waiting{process.get(), POLLIN, 0};
  int ready;
  do {
    ready = poll(&waiting, 1, static_cast<int>(timeout_ns / kMillisecond));
  } while (ready < 0 && errno == EINTR);
  if (ready > 0) return {};
  return {Code::kTimeout, fmt::format("process {} has not ended", pid)};
}

Status Terminate(pid_t pid) {
  if (kill(pid, SIGTERM) == 0 || errno == ESRCH) return {};
  return Status::FromErrno(errno, fmt::format("process {}", pid));
}

Status Kill(pid_t pid) {
  if (kill(pid, SIGKILL) != 0 && errno != ESRCH) return Status::FromErrno(errno, "kill");
  return WaitForEnd(pid, kKillTimeoutNs);
}

}  // namespace atl
