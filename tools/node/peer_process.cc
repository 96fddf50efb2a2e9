// SPDX-License-Identifier: Apache-2.0
#include "tools/node/peer_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

namespace atl {
namespace {

constexpr int64_t kStopNap = 2 * kMillisecond;
constexpr size_t kMaxReadyBytes = 4096;

std::string HowItEnded(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return fmt::format("exited with code {}", info.si_status);
  return fmt::format("was killed by signal {}", info.si_status);
}

void KeepOverExec(int fd) { fcntl(fd, F_SETFD, 0); }

}  // namespace

PeerProcess::~PeerProcess() { CHECK(!runs()) << name_ << " was left running"; }

Task<Status> PeerProcess::Start(Fd heirloom) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) co_return Status::FromErrno(errno, "pipe");
  Fd ready(ends[0]);
  CO_RETURN_IF_ERROR(Fork(Fd(ends[1]), std::move(heirloom)));
  watch_.Run(Reap());
  const Status status = co_await AwaitReady(std::move(ready));
  if (!status.ok()) co_await Stop(0);
  co_return status;
}

Status PeerProcess::Fork(Fd ready_write, Fd heirloom) {
  const Estate& estate = inherited_->estate;
  std::vector<std::string> words = {"atolld",
                                    "--config",
                                    inherited_->config.file,
                                    "--peer",
                                    name_,
                                    "--segment",
                                    estate.segment.InheritSpec(),
                                    "--folder-fd",
                                    std::to_string(estate.folder.get()),
                                    "--ledger-fd",
                                    std::to_string(estate.ledger.get()),
                                    "--stores",
                                    InheritSpecOf(estate.stores),
                                    "--daemon-pid",
                                    std::to_string(getpid()),
                                    "--ready-fd",
                                    std::to_string(ready_write.get())};
  std::vector<int> inherits = DescriptorsOf(estate.stores);
  inherits.insert(inherits.end(), {estate.folder.get(), estate.ledger.get(), ready_write.get()});
  if (heirloom.valid()) {
    words.insert(words.end(), {"--heirloom-fd", std::to_string(heirloom.get())});
    inherits.push_back(heirloom.get());
  }
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) return Status::FromErrno(errno, "fork");
  if (child == 0) RunChild(inherits, arguments.data());
  exited_.Reset();
  ++lives_;
  pid_ = child;
  process_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  CHECK(process_.valid()) << "pidfd_open of a child of ours";
  return {};
}

// Other threads may hold locks of the library: system calls only.
void PeerProcess::RunChild(std::span<const int> inherits, char** arguments) const {
  // A terminal's signals are for the daemon, which ends its peers in order.
  setpgid(0, 0);
  KeepOverExec(inherited_->estate.segment.memory.get());
  for (const Fd& doorbell : inherited_->estate.segment.doorbells) KeepOverExec(doorbell.get());
  for (const int fd : inherits) KeepOverExec(fd);
  execv("/proc/self/exe", arguments);
  _exit(127);
}

void PeerProcess::Adopt(FoundPeer peer) {
  exited_.Reset();
  ++lives_;
  pid_ = peer.pid;
  process_ = std::move(peer.process);
  watch_.Run(Reap());
}

Task<Status> PeerProcess::AwaitReady(Fd ready) {
  std::string said;
  while (said.size() < kMaxReadyBytes && said.find('\n') == std::string::npos) {
    std::array<std::byte, 512> bytes;
    const int got = co_await executor_->ring().Read(ready.get(), bytes, 0);
    if (got <= 0) break;
    said += AsText(ConstSpan(bytes).first(static_cast<size_t>(got)));
  }
  said = said.substr(0, said.find('\n'));
  if (said == "ready") co_return OkStatus();
  constexpr std::string_view kError = "error ";
  if (said.starts_with(kError)) {
    co_return Status(Code::kUnavailable, said.substr(kError.size()));
  }
  co_return Status(Code::kUnavailable, name_ + " ended before it served");
}

Task<void> PeerProcess::Reap() {
  co_await executor_->ring().Poll(process_.get(), POLLIN);
  siginfo_t info{};
  if (waitid(P_PIDFD, static_cast<id_t>(process_.get()), &info, WEXITED) == 0) {
    how_ = HowItEnded(info);
  } else {
    how_ = "has ended";  // How is known to its parent only.
  }
  exited_.Set();
}

Task<void> PeerProcess::Stop(int64_t patience_ns) {
  const int64_t end_ns = executor_->BootNs() + patience_ns;
  const auto is_there = [this, life = lives_] { return life == lives_ && runs(); };
  if (runs()) syscall(SYS_pidfd_send_signal, process_.get(), SIGTERM, nullptr, 0);
  while (is_there() && executor_->BootNs() < end_ns) co_await executor_->Sleep(kStopNap);
  if (!is_there()) co_return;
  if (patience_ns > 0) spdlog::warn("{} does not end: killed", name_);
  syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
  co_await exited_;
}

Task<void> KillPeers(Executor* executor, std::vector<FoundPeer> peers) {
  for (FoundPeer& peer : peers) {
    spdlog::warn("ending {} (pid {}), whose daemon has died", peer.name, peer.pid);
    PeerProcess process(executor, peer.name);
    process.Adopt(std::move(peer));
    co_await process.Stop(0);
  }
}

}  // namespace atl
