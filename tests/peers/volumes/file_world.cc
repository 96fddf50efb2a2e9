// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/volumes/file_world.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "peers/client/control_session.h"
#include "peers/client/unix_socket.h"
#include "peers/store/file/file_store.h"
#include "tests/peers/volumes/node_parts.h"

namespace atl {
namespace {

// A life: of `incarnation`, after the one of `before`, which is dead.
struct Life {
  std::string folder;
  Uuid incarnation;
  Uuid before;
};

// There is no more to this node than its volumes.
class NoControl final : public NodeControl {
 public:
  Task<Result<NodeStatus>> GetStatus() override { co_return None(); }
  Task<Status> Stop() override { co_return None(); }
  Task<Status> RestartPeer(std::string) override { co_return None(); }
  Task<Result<Report>> GetReport(ReportSpec) override { co_return None(); }

 private:
  static Status None() { return {Code::kUnsupported, "this node has volumes only"}; }
};

Task<void> Turn() { co_await Yield{}; }

// Serves one connection of `listening` until its client goes, then stops in order.
Status Live(int listening, const Life& life) {
  Executor executor;
  const auto run = [&executor](auto task) { return executor.RunUntilDone(std::move(task)); };
  FileStoreOptions options;
  options.name = "default";
  options.path = life.folder + "/store";
  options.create = true;
  options.reserve_bytes = kMiB;
  ASSIGN_OR_RETURN(auto store, FileStore::Open(executor, options));
  NodeIdentity identity;
  identity.incarnation = life.incarnation;
  identity.node = "n";
  NodeParts parts(&executor, std::move(store), std::move(identity), run, {.flushes_before_log = 2});
  if (!life.before.is_zero()) {
    RETURN_IF_ERROR(run(parts.atoll().BuryPredecessor(life.before)));
  }
  NoControl control;
  const ControlHost host{executor, parts.atoll(), control};
  ControlSession session(host, Fd(accept4(listening, nullptr, nullptr, SOCK_CLOEXEC)));
  run(session.Run());
  return run(parts.atoll().Shutdown());
}

[[noreturn]] void LiveAndExit(int listening, const Life& life) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const Status status = Live(listening, life);
  if (!status.ok()) std::fprintf(stderr, "the node: %s\n", status.ToString().c_str());
  // Nothing of the test that this process was forked from is to be ended here.
  _exit(status.ok() ? 0 : 1);
}

}  // namespace

FileWorld::~FileWorld() {
  Kill();
  Disconnect();
}

void FileWorld::Disconnect() {
  if (remote_) Drive(remote_->Disconnect());
  remote_.reset();
}

void FileWorld::Start() {
  Disconnect();
  const Life life{folder_.path(), executor_.NewUuid(), incarnation_};
  const std::string socket = folder_.path() + "/node";
  const auto listening = ListenUnix(socket);
  CHECK(listening.ok()) << listening.status().ToString();
  process_ = fork();
  CHECK(process_ >= 0);
  if (process_ == 0) LiveAndExit(listening->get(), life);
  incarnation_ = life.incarnation;
  auto remote = RemoteAtoll::Connect(executor_, socket);
  CHECK(remote.ok()) << remote.status().ToString();
  remote_ = *std::move(remote);
}

Status FileWorld::Stop() {
  Disconnect();
  int status = 0;
  CHECK(waitpid(process_, &status, 0) == process_);
  process_ = 0;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return {Code::kIo, "the node did not stop in order"};
}

void FileWorld::Kill() {
  if (process_ == 0) return;
  kill(process_, SIGKILL);
  int status = 0;
  CHECK(waitpid(process_, &status, 0) == process_);
  process_ = 0;
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "the node died by itself";
}

// Until an answer has come, so that what is said and what is kept are looked at in the moment in
// which they may differ; or until some time within a request or an operation.
void FileWorld::LetRun(uint64_t random, const TaskGroup& group) {
  const uint64_t left = random % 2 == 0 ? random / 2 % (group.running() + 1) : 0;
  const int64_t end_ns = executor_.BootNs() + static_cast<int64_t>(random % 1500) * kMicrosecond;
  while (group.running() > left && executor_.BootNs() < end_ns) Drive(Turn());
}

void FileWorld::Drive(Task<void> task) {
  executor_.RunUntilDone(std::move(task));
  executor_.scheduler().RunReady();  // The end of what ran the task.
}

}  // namespace atl
