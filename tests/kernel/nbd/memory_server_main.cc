// SPDX-License-Identifier: Apache-2.0
//
// nbd_memory_server SOCKET SIZE_MIB: serves the export "disk" from memory until it is told to end.
#include <signal.h>

#include <cstdio>
#include <cstdlib>

#include "kernel/nbd/server.h"
#include "tests/kernel/nbd/memory_device.h"

namespace {
atl::Executor* running = nullptr;
void OnSignal(int) { running->Stop(); }
}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s SOCKET SIZE_MIB\n", argv[0]);
    return 2;
  }
  atl::Executor executor;
  running = &executor;
  signal(SIGTERM, OnSignal);
  signal(SIGINT, OnSignal);
  atl::MemoryAtoll atoll(&executor);
  atoll.Add("disk", std::strtoull(argv[2], nullptr, 10) * atl::kMiB);
  atl::nbd::ServerOptions options;
  options.unix_path = argv[1];
  atl::nbd::NbdServer server(&executor, &atoll, options);
  const atl::Status status = executor.RunUntilDone(server.Start());
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  executor.Run();
  executor.RunUntilDone(server.Stop(atl::StopMode::kNow));
  for (const auto& row : server.Stats()) {
    std::printf("%s: %lu reads, %lu writes, %lu others, %lu errors, p50 %ld ns, p99 %ld ns\n",
                row.object.c_str(), row.reads, row.writes, row.others, row.errors,
                row.Latency().PercentileNs(0.5), row.Latency().PercentileNs(0.99));
  }
  return 0;
}
