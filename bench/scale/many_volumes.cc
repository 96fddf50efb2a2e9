// SPDX-License-Identifier: Apache-2.0
//
// Does the same to many volumes of a running node, over one connection to its control socket:
//
//   many_volumes SOCKET create COUNT BYTES   makes v0, v1, ... of so many bytes each
//   many_volumes SOCKET open COUNT           opens v0, v1, ..., as `atoll open` does
//   many_volumes SOCKET close COUNT          gives them back
//   many_volumes SOCKET count                prints how many there are
//
// The first error ends it. What is there already is no error: it goes on where it was ended.
#include <fmt/format.h>

#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "peers/client/remote_atoll.h"
#include "xseg/base/executor.h"
#include "xseg/base/sync.h"

namespace atl {
namespace {

constexpr uint64_t kInFlight = 32;
constexpr uint64_t kMostVolumes = 1'000'000;

struct Work {
  std::string verb;
  uint64_t count = 0;
  uint64_t bytes = 0;
};

std::string NameOf(uint64_t number) { return fmt::format("v{}", number); }

Task<Status> CreateOne(RemoteAtoll* node, Executor* executor, uint64_t number, uint64_t bytes) {
  CreateSpec spec;
  spec.uuid = executor->NewUuid();
  spec.name = NameOf(number);
  spec.size = bytes;
  const auto made = co_await node->Create(spec);
  co_return made.code() == Code::kExists ? Status() : made.status();
}

class Crowd {
 public:
  Crowd(Executor* executor, RemoteAtoll* node, const Work& work)
      : executor_(executor), node_(node), work_(work) {}

  Task<Status> Run() {
    TaskGroup group;
    for (uint64_t i = 0; i < kInFlight; ++i) group.Run(Worker());
    co_await group.Join();
    co_return failed_;
  }

 private:
  Task<void> Worker() {
    while (failed_.ok() && next_ < work_.count) {
      const uint64_t number = next_++;
      const Status status = co_await DoOne(number);
      if (!status.ok()) failed_ = status.With(NameOf(number));
    }
  }
  Task<Status> DoOne(uint64_t number) {
    const ResourceRef ref = ResourceRef::Named(NameOf(number));
    if (work_.verb == "open") return node_->Acquire(ref);
    if (work_.verb == "close") return node_->Release(ref);
    return CreateOne(node_, executor_, number, work_.bytes);
  }

  Executor* executor_;
  RemoteAtoll* node_;
  const Work& work_;
  uint64_t next_ = 0;
  Status failed_;
};

Task<Status> PrintCount(RemoteAtoll* node) {
  uint64_t count = 0;
  ListSpec spec;
  spec.kind = ResourceKind::kVolume;
  for (bool last = false; !last;) {
    CO_ASSIGN_OR_RETURN(const ResourcePage page, co_await node->List(spec));
    count += page.items.size();
    last = page.last || page.items.empty();
    if (!last) spec.after = page.items.back().name;
  }
  fmt::print("{}\n", count);
  co_return Status();
}

Task<Status> Run(Executor* executor, std::string socket, Work work) {
  CO_ASSIGN_OR_RETURN(const auto node, RemoteAtoll::Connect(*executor, socket));
  Status status;
  if (work.verb == "count") {
    status = co_await PrintCount(node.get());
  } else {
    Crowd crowd(executor, node.get(), work);
    status = co_await crowd.Run();
  }
  co_await node->Disconnect();
  co_return status;
}

// False if it is no number, or none that makes sense.
bool ParseNumber(std::string_view text, uint64_t* out) {
  const auto [end, error] = std::from_chars(text.begin(), text.end(), *out);
  return error == std::errc() && end == text.end() && *out > 0;
}

bool ParseWork(const std::vector<std::string>& words, Work* work) {
  if (words.size() < 2) return false;
  work->verb = words[1];
  if (work->verb == "count") return words.size() == 2;
  const bool creates = work->verb == "create";
  if (!creates && work->verb != "open" && work->verb != "close") return false;
  if (words.size() != (creates ? 4u : 3u)) return false;
  if (creates && !ParseNumber(words[3], &work->bytes)) return false;
  return ParseNumber(words[2], &work->count) && work->count <= kMostVolumes;
}

int Main(const std::vector<std::string>& words) {
  Work work;
  if (!ParseWork(words, &work)) {
    fmt::print(stderr,
               "usage: many_volumes SOCKET create COUNT BYTES | open COUNT | close COUNT"
               " | count\n");
    return 2;
  }
  Executor executor;
  const Status status = executor.RunUntilDone(Run(&executor, words[0], work));
  if (status.ok()) return 0;
  fmt::print(stderr, "many_volumes: {}\n", status.ToString());
  return 1;
}

}  // namespace
}  // namespace atl

int main(int argc, char** argv) { return atl::Main({argv + 1, argv + argc}); }
