// SPDX-License-Identifier: Apache-2.0
#include "bench/engine/client.h"

#include <cstdio>
#include <memory>
#include <vector>

#include "kernel/local/local_client.h"
#include "xseg/base/stamp_clock.h"

struct EngineClient {
  std::unique_ptr<atl::local::LocalClient> local;
  atl::SharedBuffer memory;  // Goes before `local`.
  std::vector<atl::Request> prepared;
  std::vector<void*> cookies;  // By the number of the slot.
};

namespace {

atl::local::Op OpOf(EngineOp op) {
  switch (op) {
    case kEngineRead:
      return atl::local::kOpRead;
    case kEngineWrite:
      return atl::local::kOpWrite;
    case kEngineFlush:
      return atl::local::kOpFlush;
    case kEngineDiscard:
      return atl::local::kOpDiscard;
  }
  return atl::local::kOpFlush;
}

unsigned Take(EngineClient* client, unsigned most, EngineDone* done) {
  unsigned count = 0;
  while (count < most) {
    const auto answer = client->local->Collect();
    if (!answer) break;
    const atl::Status status = atl::local::LocalClient::Outcome(*answer);
    done[count++] = {client->cookies[answer->number()], atl::RowOf(status.code()).posix_errno};
    if (!status.ok()) std::fprintf(stderr, "fio: atoll: %s\n", status.ToString().c_str());
  }
  return count;
}

}  // namespace

extern "C" {

EngineClient* EngineConnect(const char* socket, const char* volume, int read_only, char* why,
                            size_t room) {
  const auto mode = read_only != 0 ? atl::local::Mode::kReadOnly : atl::local::Mode::kReadWrite;
  auto local = atl::local::LocalClient::Connect(socket, {volume, mode});
  if (!local.ok()) {
    std::snprintf(why, room, "%s", local.status().ToString().c_str());
    return nullptr;
  }
  auto client = std::make_unique<EngineClient>();
  client->local = *std::move(local);
  client->cookies.resize(client->local->port().slots());
  return client.release();
}

void EngineDisconnect(EngineClient* client) { delete client; }

uint64_t EngineVolumeSize(const EngineClient* client) { return client->local->facts().size; }

size_t EngineMostMemory(void) { return atl::kMaxBufferBytes; }

void* EngineAllocate(EngineClient* client, size_t bytes) {
  if (bytes == 0 || bytes > atl::kMaxBufferBytes) return nullptr;
  auto memory = client->local->port().buffers().Allocate(bytes);
  if (!memory) return nullptr;
  client->memory = std::move(*memory);
  return client->memory.bytes().data();
}

int EnginePrepare(EngineClient* client, EngineOp op, uint64_t offset, void* buffer, uint64_t length,
                  void* cookie) {
  auto request = client->local->Prepare(OpOf(op), {offset, length});
  if (!request) return 1;
  if (op == kEngineRead || op == kEngineWrite) {
    const auto* area = client->local->port().segment().area().data();
    request->ReferTo({static_cast<uint64_t>(static_cast<std::byte*>(buffer) - area),
                      static_cast<uint32_t>(length)});
  }
  client->cookies[request->number()] = cookie;
  client->prepared.push_back(std::move(*request));
  return 0;
}

void EngineCommit(EngineClient* client) {
  for (atl::Request& request : client->prepared) client->local->Submit(std::move(request));
  client->prepared.clear();
}

int EngineCollect(EngineClient* client, unsigned least, unsigned most, int64_t timeout_ns,
                  EngineDone* done) {
  unsigned count = Take(client, most, done);
  if (count >= least) return static_cast<int>(count);
  const int64_t end_ns = timeout_ns < 0 ? INT64_MAX : atl::StampNowNs() + timeout_ns;
  while (count < least) {
    const int64_t left_ns = timeout_ns < 0 ? -1 : end_ns - atl::StampNowNs();
    if (timeout_ns >= 0 && left_ns <= 0) break;
    if (!client->local->Wait(left_ns).ok()) return -1;
    count += Take(client, most - count, done + count);
  }
  return static_cast<int>(count);
}

}  // extern "C"
