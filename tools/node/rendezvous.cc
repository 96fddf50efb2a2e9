// SPDX-License-Identifier: Apache-2.0
#include "tools/node/rendezvous.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>

#include "peers/client/unix_socket.h"
#include "tools/config/version.h"
#include "xseg/descriptor_passing.h"

namespace atl {
namespace {

constexpr uint64_t kMagic = 0x31726565506C7441;  // "AtlPeer1".
constexpr int kPatienceMs = 2000;
constexpr int kEndPatienceMs = 10'000;

// The one message, with the descriptors: memory, folder, ledger, doorbells, remains of stores.
constexpr size_t kFixed = 3;
struct Greeting {
  uint64_t magic;
  uint64_t doorbells;
  std::array<char, 32> version;
  std::array<char, 128> name;
  std::array<char, 8192> stores;  // CountsOf their remains.
};
static_assert(sizeof(Greeting) == 8368);

std::string FolderOf(const std::string& state_dir) { return state_dir + "/peers"; }

std::string PathOf(const std::string& state_dir, pid_t pid) {
  return fmt::format("{}/{}.sock", FolderOf(state_dir), pid);
}

template <size_t kSize>
void Put(std::array<char, kSize>* out, const std::string& text) {
  const size_t length = std::min(text.size(), kSize - 1);
  std::memcpy(out->data(), text.data(), length);
}
template <size_t kSize>
std::string Get(const std::array<char, kSize>& from) {
  return {from.data(), strnlen(from.data(), kSize)};
}

bool IsOurs(uid_t uid) { return uid == 0 || uid == geteuid(); }

// It listens and does not answer: it is stopped, or out of descriptors. What takes its place must
// be alone.
Status End(const std::string& path) {
  const pid_t pid = std::atoi(std::filesystem::path(path).stem().c_str());
  const Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) return {};
  spdlog::warn("{} does not answer (pid {}): killed", path, pid);
  syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
  pollfd waiting{process.get(), POLLIN, 0};
  if (poll(&waiting, 1, kEndPatienceMs) == 1) return {};
  return {Code::kBusy, path + ": a process that does not answer, and does not end when killed"};
}

Result<FoundPeer> Ask(const std::string& path, Estate* estate) {
  ASSIGN_OR_RETURN(const Fd socket, ConnectUnix(path));
  const timeval patience{.tv_sec = kPatienceMs / 1000, .tv_usec = 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  ASSIGN_OR_RETURN(const PeerCredentials who, CredentialsOf(socket.get()));
  if (!IsOurs(who.uid)) return Status(Code::kPermission, path + ": another user's process");
  Greeting greeting{};
  const MutSpan bytes(reinterpret_cast<std::byte*>(&greeting), sizeof(greeting));
  ASSIGN_OR_RETURN(std::vector<Fd> fds, ReceiveDescriptors(socket.get(), bytes));
  if (greeting.magic != kMagic || fds.size() < kFixed + greeting.doorbells) {
    return Status(Code::kInvalid, path + ": no peer of a node listens there");
  }
  FoundPeer peer{.name = Get(greeting.name), .version = Get(greeting.version), .pid = who.pid};
  // It lives: it has just answered, and keeps the connection open until we end it.
  peer.process = Fd(static_cast<int>(syscall(SYS_pidfd_open, who.pid, 0)));
  if (!peer.process.valid()) return Status::FromErrno(errno, "pidfd_open");
  if (estate->segment.memory.valid()) return peer;
  estate->segment.memory = std::move(fds[0]);
  estate->folder = std::move(fds[1]);
  estate->ledger = std::move(fds[2]);
  const auto doorbells = std::make_move_iterator(fds.begin() + kFixed);
  const auto stores = doorbells + static_cast<ptrdiff_t>(greeting.doorbells);
  estate->segment.doorbells.assign(doorbells, stores);
  std::vector<Fd> rest(stores, std::make_move_iterator(fds.end()));
  ASSIGN_OR_RETURN(estate->stores, RemainsFrom(Get(greeting.stores), std::move(rest)));
  return peer;
}

std::vector<std::string> SocketsOf(const std::string& state_dir) {
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(FolderOf(state_dir), error)) {
    if (entry.path().extension() == ".sock") paths.push_back(entry.path().string());
  }
  return paths;
}

}  // namespace

Result<std::unique_ptr<Rendezvous>> Rendezvous::Listen(Executor* executor,
                                                       const std::string& state_dir,
                                                       const std::string& peer,
                                                       const Estate* estate) {
  const std::string folder = FolderOf(state_dir);
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return Status::FromErrno(errno, folder);
  }
  std::string path = PathOf(state_dir, getpid());
  ASSIGN_OR_RETURN(Fd socket, ListenUnix(path));
  std::unique_ptr<Rendezvous> rendezvous(
      new Rendezvous(executor, std::move(path), peer, std::move(socket), estate));
  rendezvous->accepting_.Run(rendezvous->AcceptAll());
  return rendezvous;
}

Task<void> Rendezvous::AcceptAll() {
  while (!stopping_) {
    const Fd socket(co_await executor_->ring().Accept(socket_.get()));
    if (stopping_) break;
    if (socket.valid()) {
      Answer(socket.get());
    } else {
      co_await executor_->Sleep(100 * kMillisecond);
    }
  }
}

void Rendezvous::Answer(int socket) const {
  const auto who = CredentialsOf(socket);
  if (!who.ok() || !IsOurs(who->uid)) return;
  Greeting greeting{.magic = kMagic};
  Put(&greeting.version, Version());
  Put(&greeting.name, peer_);
  greeting.doorbells = estate_->segment.doorbells.size();
  Put(&greeting.stores, CountsOf(estate_->stores));
  std::vector<int> fds = {estate_->segment.memory.get(), estate_->folder.get(),
                          estate_->ledger.get()};
  for (const Fd& doorbell : estate_->segment.doorbells) fds.push_back(doorbell.get());
  const std::vector<int> stores = DescriptorsOf(estate_->stores);
  fds.insert(fds.end(), stores.begin(), stores.end());
  const ConstSpan bytes(reinterpret_cast<const std::byte*>(&greeting), sizeof(greeting));
  // It fits into the buffer of a fresh socket.
  const Status sent = SendDescriptors(socket, bytes, fds);
  if (!sent.ok()) spdlog::warn("to the next daemon: {}", sent.ToString());
}

Task<void> Rendezvous::Stop() {
  stopping_ = true;
  shutdown(socket_.get(), SHUT_RDWR);
  co_await accepting_.Join();
  unlink(path_.c_str());
}

void RemoveRendezvous(const std::string& state_dir, pid_t pid) {
  unlink(PathOf(state_dir, pid).c_str());
}

Result<std::vector<FoundPeer>> FindPeers(const std::string& state_dir, Estate* estate) {
  std::vector<FoundPeer> peers;
  for (const std::string& path : SocketsOf(state_dir)) {
    auto peer = Ask(path, estate);
    if (peer.ok()) {
      peers.push_back(*std::move(peer));
    } else if (peer.code() == Code::kPermission) {
      return peer.status();
    } else {
      // Nobody listens: its process has died.
      const bool died = peer.code() == Code::kNotFound ||
                        peer.status().message().ends_with(std::strerror(ECONNREFUSED));
      if (!died) RETURN_IF_ERROR(End(path));
      unlink(path.c_str());
    }
  }
  return peers;
}

}  // namespace atl
