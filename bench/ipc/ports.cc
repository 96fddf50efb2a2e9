// SPDX-License-Identifier: Apache-2.0
#include "bench/ipc/ports.h"

#include <memory>
#include <utility>

#include "xseg/base/executor.h"
#include "xseg/base/sync.h"
#include "xseg/port.h"
#include "xseg/port_poller.h"

namespace atl::pingpong {
namespace {

constexpr uint16_t kOp = 1;

std::shared_ptr<Segment> MakeSegment() {
  auto segment = Segment::Create({.ports = 4}, Uuid::FromRandom(1, 2));
  CHECK(segment.ok()) << segment.status().ToString();
  return *std::move(segment);
}

std::unique_ptr<Port> Claim(Segment* segment, const char* name) {
  auto port = Port::Claim(segment, name);
  CHECK(port.ok()) << port.status().ToString();
  return *std::move(port);
}

// Long enough never to sleep, or not at all.
int64_t SpinNs(Waits waits) { return waits == Waits::kSpinning ? 1'000'000'000 : 0; }

void EchoRequests(Port* port, int requests, AdaptiveSpin spin) {
  while (requests > 0) {
    auto request = port->Accept();
    if (!request) {
      port->Wait(spin, -1);
      continue;
    }
    port->Respond(std::move(*request), Code::kOk, 1);
    --requests;
  }
}

void AskRequests(Port* port, PortIndex to, int requests, int in_flight, AdaptiveSpin* spin) {
  int sent = 0;
  for (int answered = 0; answered < requests;) {
    for (; sent < requests && sent - answered < in_flight; ++sent) {
      port->Submit(std::move(*port->Prepare(kOp)), to);
    }
    if (const auto answer = port->Collect()) {
      CHECK(answer->code() == Code::kOk);
      ++answered;
    } else {
      port->Wait(*spin, -1);
    }
  }
}

Task<void> Ask(PortPoller* poller, PortIndex to, int requests) {
  for (int i = 0; i < requests; ++i) {
    Request request = co_await poller->Prepare(kOp);
    const Request answer = co_await poller->Call(std::move(request), to);
    CHECK(answer.code() == Code::kOk);
  }
}

Task<void> AskAll(PortPoller* poller, PortIndex to, int requests, int in_flight) {
  TaskGroup group;
  for (int i = 0; i < in_flight; ++i) {
    const int share = requests / in_flight + (i < requests % in_flight ? 1 : 0);
    group.Run(Ask(poller, to, share));
  }
  co_await group.Join();
}

}  // namespace

Game Ports(int rounds, Waits waits, int in_flight) {
  const auto segment = MakeSegment();
  const int64_t spin_ns = SpinNs(waits);
  return {.echo =
              [=](const auto& ready) {
                const auto port = Claim(segment.get(), "echo");
                ready();
                EchoRequests(port.get(), kRuns * rounds, AdaptiveSpin(spin_ns));
              },
          .ask =
              [=](const auto& play) {
                const auto port = Claim(segment.get(), "ask");
                const PortIndex echo = *Port::Find(*segment, "echo");
                AdaptiveSpin spin(spin_ns);
                play([&] { AskRequests(port.get(), echo, rounds, in_flight, &spin); });
              }};
}

Game Executors(int rounds, Waits waits, int in_flight) {
  const auto segment = MakeSegment();
  const int64_t spin_ns = SpinNs(waits);
  return {.echo =
              [=](const auto& ready) {
                Executor executor({.spin_ns = spin_ns});
                const auto port = Claim(segment.get(), "echo");
                int left = kRuns * rounds;
                PortPoller poller(&executor, port.get(), [&](Request request) {
                  port->Respond(std::move(request), Code::kOk, 1);
                  if (--left == 0) executor.Stop();
                });
                ready();
                executor.Run();
              },
          .ask =
              [=](const auto& play) {
                Executor executor({.spin_ns = spin_ns});
                const auto port = Claim(segment.get(), "ask");
                PortPoller poller(&executor, port.get(), {});
                const PortIndex echo = *Port::Find(*segment, "echo");
                play([&] { executor.RunUntilDone(AskAll(&poller, echo, rounds, in_flight)); });
              }};
}

}  // namespace atl::pingpong
