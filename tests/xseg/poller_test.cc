// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "tests/xseg/segment_fixture.h"
#include "xseg/base/sync.h"
#include "xseg/client_poller.h"
#include "xseg/port_poller.h"

namespace atl {
namespace {

Task<void> DoubleLater(Executor* executor, Port* port, Request request) {
  co_await executor->Sleep(10'000);
  port->Respond(std::move(request), Code::kOk, request.op() * 2);
}

// A peer on a thread of its own that answers with twice the op.
class Doubler {
 public:
  explicit Doubler(Segment* segment, bool at_once = true) {
    std::atomic<bool> ready{false};
    thread_ = std::thread([this, segment, at_once, &ready] {
      Executor executor;
      auto port = ClaimOrDie(*segment, "doubler");
      PortPoller poller(&executor, port.get(), [&](Request request) {
        if (at_once) {
          port->Respond(std::move(request), Code::kOk, request.op() * 2);
        } else {
          Spawn(DoubleLater(&executor, port.get(), std::move(request)));
        }
      });
      index = port->index();
      executor_ = &executor;
      ready = true;
      executor.Run();
    });
    while (!ready) std::this_thread::yield();
  }
  ~Doubler() {
    executor_->Stop();
    thread_.join();
  }
  PortIndex index = 0;

 private:
  Executor* executor_ = nullptr;
  std::thread thread_;
};

Task<int64_t> Ask(PortPoller* poller, PortIndex to, uint16_t op) {
  Request request = co_await poller->Prepare(op);
  Request answer = co_await poller->Call(std::move(request), to);
  co_return answer.result();
}

Task<int64_t> AskOneAfterTheOther(PortPoller* poller, PortIndex to, int count) {
  int64_t sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await Ask(poller, to, 3);
  co_return sum;
}

TEST(PortPoller, ACallSuspendsUntilTheAnswerIsThere) {
  auto segment = MakeSegment();
  Doubler doubler(segment.get());
  Executor executor;
  auto port = ClaimOrDie(*segment, "caller");
  PortPoller poller(&executor, port.get(), {});
  EXPECT_EQ(executor.RunUntilDone(AskOneAfterTheOther(&poller, doubler.index, 3000)), 18'000);
}

Task<void> AskInto(PortPoller* poller, PortIndex to, uint16_t op, int64_t* sum) {
  *sum += co_await Ask(poller, to, op);
}

Task<int64_t> AskAllAtOnce(PortPoller* poller, PortIndex to, int count) {
  TaskGroup group;
  int64_t sum = 0;
  for (int i = 0; i < count; ++i) group.Run(AskInto(poller, to, 1, &sum));
  co_await group.Join();
  co_return sum;
}

TEST(PortPoller, MoreCallersThanSlotsWaitInLine) {
  auto segment = MakeSegment();
  Doubler doubler(segment.get(), false);
  Executor executor;
  auto port = ClaimOrDie(*segment, "caller");
  PortPoller poller(&executor, port.get(), {});
  EXPECT_EQ(executor.RunUntilDone(AskAllAtOnce(&poller, doubler.index, 5000)), 10'000);
}

TEST(PortPoller, APortThatOnlySendsAnswersUnsupported) {
  auto segment = MakeSegment();
  Executor executor;
  auto port = ClaimOrDie(*segment, "caller");
  PortPoller poller(&executor, port.get(), {});
  auto ask_self = [&]() -> Task<Code> {
    Request request = co_await poller.Prepare(1);
    Request answer = co_await poller.Call(std::move(request), port->index());
    co_return answer.code();
  };
  EXPECT_EQ(executor.RunUntilDone(ask_self()), Code::kUnsupported);
}

Task<bool> JustSleep(Executor* executor, int64_t ns) {
  co_await executor->Sleep(ns);
  co_return true;
}

// A doorbell, and nothing else.
class PipePoller final : public Poller {
 public:
  explicit PipePoller(int fd) : fd_(fd) {}
  bool Poll() override { return false; }
  bool PrepareSleep() override { return true; }
  void Woken() override {}
  int doorbell_fd() const override { return fd_; }

 private:
  int fd_;
};

TEST(Executor, LetsGoOfTheDoorbellOfAPollerThatWasRemoved) {
  signal(SIGPIPE, SIG_IGN);
  Executor executor;
  for (int round = 0; round < 3; ++round) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0);
    const Fd write_end(ends[1]);
    {
      const Fd read_end(ends[0]);
      PipePoller poller(read_end.get());
      executor.AddPoller(&poller);
      executor.RunUntilDone(JustSleep(&executor, 2'000'000));
      executor.RemovePoller(&poller);
    }
    executor.RunUntilDone(JustSleep(&executor, 2'000'000));
    // Nobody can read any more: the ring has dropped its reference too.
    EXPECT_EQ(write(write_end.get(), "x", 1), -1);
    EXPECT_EQ(errno, EPIPE);
  }
}

TEST(PortPoller, AnIdleExecutorUsesNoCpu) {
  auto segment = MakeSegment();
  Doubler doubler(segment.get());
  Executor executor;
  auto port = ClaimOrDie(*segment, "caller");
  PortPoller poller(&executor, port.get(), {});
  rusage before;
  getrusage(RUSAGE_SELF, &before);
  executor.RunUntilDone(JustSleep(&executor, 300'000'000));
  rusage after;
  getrusage(RUSAGE_SELF, &after);
  const auto us = [](const rusage& r) {
    return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1'000'000 + r.ru_utime.tv_usec +
           r.ru_stime.tv_usec;
  };
  EXPECT_LT(us(after) - us(before), 60'000);
  EXPECT_GE(segment->metrics(port->index()).sleeps.Load(), 1u);
}

Task<int64_t> AskServer(ClientPoller* poller, ClientPort* port, int count) {
  int64_t sum = 0;
  for (int i = 0; i < count; ++i) {
    Request request = std::move(*port->Prepare(2));
    Request answer = co_await poller->Call(std::move(request));
    sum += answer.result();
  }
  co_return sum;
}

TEST(ClientPoller, AClientAndItsServerMeetOnTwoExecutors) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const Fd server_end(ends[0]);
  const Fd client_end(ends[1]);
  std::atomic<Executor*> server{nullptr};
  std::thread thread([&] {
    Executor executor;
    auto session = std::move(*ClientSession::Create({}));
    CHECK(session->Offer(server_end.get()).ok());
    const auto serve = [&](ClientRequest request) {
      session->Respond(std::move(request), Code::kOk, request.op() * 2);
    };
    ClientSessionPoller poller(&executor, session.get(), serve, [](Status) {});
    server = &executor;
    executor.Run();
  });
  auto port = std::move(*ClientPort::Receive(client_end.get()));
  {
    Executor executor;
    ClientPoller poller(&executor, port.get());
    EXPECT_EQ(executor.RunUntilDone(AskServer(&poller, port.get(), 2000)), 8000);
  }
  while (server == nullptr) std::this_thread::yield();
  server.load()->Stop();
  thread.join();
}

TEST(ClientPoller, AClientThatMisbehavesIsReportedOnce) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const Fd server_end(ends[0]);
  const Fd client_end(ends[1]);
  Executor executor;
  auto session = std::move(*ClientSession::Create({.max_op = 3}));
  ASSERT_TRUE(session->Offer(server_end.get()).ok());
  auto port = std::move(*ClientPort::Receive(client_end.get()));
  int broken = 0;
  ClientSessionPoller poller(
      &executor, session.get(), [](ClientRequest) {},
      [&](Status status) { broken += status.ok() ? 0 : 1; });
  for (int i = 0; i < 5; ++i) port->Submit(std::move(*port->Prepare(4)));
  executor.RunUntilDone(JustSleep(&executor, 5'000'000));
  EXPECT_EQ(broken, 1);
}

}  // namespace
}  // namespace atl
