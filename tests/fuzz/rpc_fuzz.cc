// SPDX-License-Identifier: Apache-2.0
//
// A peer that sends requests which no client would make, and changes them after they were sent, to
// the composer's or a store's server. Each is answered; another client goes on meanwhile; and after
// the peer has gone nothing of it is left. The first byte picks the server. The rest are requests:
//
//   u8 number of the operation    u8 Shape    u8 length of the fields, and the fields
//
// each with what its shape says behind the fields.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "peers/port_ops.h"
#include "peers/port_rpc/peer_port.h"
#include "peers/store/memory/memory_store.h"
#include "peers/store/remote/store_server.h"
#include "peers/volumes/remote/atoll_server.h"
#include "tests/peers/client/memory_atoll.h"
#include "xseg/base/test_env.h"
#include "xseg/inspect.h"
#include "xseg/reclaim.h"

namespace atl {
namespace {

constexpr Geometry kGeometry{.ports = 4, .slots_per_port = 64, .blocks = {256, 16, 8}};
constexpr PeerPortOptions kBuffers{.payload_bytes = kMiB, .bounce_bytes = kMiB};
constexpr size_t kRoom = 4096;

enum Shape : uint8_t {
  kData = 0x01,       // 4 KiB of its own as the data.
  kAnyData = 0x02,    // u64 offset, u32 length: whatever lies there.
  kInMessage = 0x04,  // The fields in a message buffer, which has room for the answer.
  kAnyHead = 0x08,    // 16 bytes: the head.
  kFlags = 0x10,      // u16: the slot's flags.
  kScribble = 0x20,   // u8 number of the slot, u8 offset, u64: over a slot that is out.
  kRun = 0x40,        // Before the next one the server has its turn.
};

// What is served, and another client's work there.
class Service {
 public:
  virtual ~Service() = default;
  virtual void AddTo(RpcServer* server) = 0;
  // Writes and reads again. Others may be allowed to take the place away, but not to hold it up.
  virtual Task<Status> Work(RpcClient* client, const RpcTarget& to) = 0;
  virtual Task<void> Gone(RpcClient* client, const RpcTarget& to, PortIndex port) = 0;
  virtual Task<void> Close() = 0;
};

class Composer final : public Service {
 public:
  explicit Composer(TestEnv* env) : atoll_(*env), server_(env, &atoll_, &NoTrace, 1) {
    for (const char* name : {"a", "b"}) {
      CHECK(env->Run(atoll_.Create({.uuid = env->NewUuid(), .name = name, .size = kMiB})).ok());
    }
  }
  void AddTo(RpcServer* server) override {
    server->Add(VolumeOps{}, &server_);
    server->Add(PortOps{}, &server_);
  }
  Task<Status> Work(RpcClient* client, const RpcTarget& to) override {
    PortOpenOp open;
    open.ref = ResourceRef::Named("b");
    CO_ASSIGN_OR_RETURN(const OpenReply device, co_await client->Call(to, open));
    Bytes data(kRoom, std::byte{++round_});
    Bytes back(kRoom);
    PortWriteOp write;
    write.handle = device.handle;
    CO_RETURN_IF_ERROR(co_await client->Tell(to, write, data));
    PortReadOp read;
    read.handle = device.handle;
    read.sequence = 1;
    CO_RETURN_IF_ERROR(co_await client->Tell(to, read, {}, back));
    CHECK(back == data);
    co_return co_await client->Tell(to, PortCloseOp{device.handle});
  }
  Task<void> Gone(RpcClient* client, const RpcTarget& to, PortIndex port) override {
    CHECK((co_await client->Tell(to, PeerGoneOp{port})).ok());
  }
  Task<void> Close() override { return server_.Shutdown(); }

 private:
  static Task<Result<Report>> NoTrace(std::string, bool) { co_return Report{}; }
  MemoryAtoll atoll_;
  AtollServer server_;
  uint8_t round_ = 0;
};

class AStore final : public Service {
 public:
  explicit AStore(TestEnv* env) : store_(*env), server_(&store_) {}
  void AddTo(RpcServer* server) override { server->Add(StoreOps{}, &server_); }
  Task<Status> Work(RpcClient* client, const RpcTarget& to) override {
    const BlobId blob{Uuid::FromRandom(1, ++round_), 1, 0};
    Bytes data(kRoom, std::byte{round_});
    Bytes back(kRoom);
    CO_RETURN_IF_ERROR(co_await client->Tell(to, StoreAdoptOp{blob}));
    StoreWriteOp write;
    write.blob = blob;
    CO_RETURN_IF_ERROR(co_await client->Tell(to, write, data));
    StoreReadOp read;
    read.blob = blob;
    CO_RETURN_IF_ERROR(co_await client->Tell(to, read, {}, back));
    CHECK(back == data);
    co_return OkStatus();
  }
  Task<void> Gone(RpcClient*, const RpcTarget&, PortIndex) override { co_return; }
  Task<void> Close() override { return store_.Close(); }

 private:
  MemoryStore store_;
  StoreServer server_;
  uint8_t round_ = 0;
};

class World {
 public:
  explicit World(bool store) {
    if (store) {
      service_ = std::make_unique<AStore>(&env_);
    } else {
      service_ = std::make_unique<Composer>(&env_);
    }
    service_->AddTo(&server_->server());
    server_->server().Serve();
    target_ = *honest_->client().Find("server");
    room_ = *hostile_->buffers().Allocate(kRoom);
    data_ = *hostile_->buffers().Allocate(kRoom);
    Work();
  }

  void Send(Decoder* in) {
    const auto op = in->Get<uint8_t>();
    const auto shape = in->Get<uint8_t>();
    const auto length = in->Get<uint8_t>();
    const ConstSpan fields = in->Raw(std::min<size_t>(length, in->remaining()));
    while (hostile_->Collect()) {
    }
    auto request = hostile_->Prepare(op);
    if (!request) return Run();
    WriteHead(shape, fields, in, &*request);
    if ((shape & kData) != 0) request->ReferTo(data_.ref());
    if ((shape & kAnyData) != 0) {
      const auto offset = in->Get<uint64_t>();
      request->ReferTo({offset, in->Get<uint32_t>()});
    }
    if ((shape & kFlags) != 0) request->set_flags(in->Get<uint16_t>());
    hostile_->Submit(std::move(*request), target_.port);
    if ((shape & kRun) != 0) Run();
    if ((shape & kScribble) != 0) Scribble(in);
    if (++sent_ % 16 == 0) Work();
  }

  // It ends as by kill -9, wherever it is, and is cleared away.
  void End() {
    Run();
    Work();
    const PortIndex port = hostile_->index();
    Send(Bytes{});  // Something is under way when it dies.
    hostile_->Vanish();
    room_.Disown();
    data_.Disown();
    hostile_.reset();
    CHECK(Quarantine(*segment_, port, ProofOfDeath::kCallerKnows).ok());
    env_.Run(service_->Gone(&honest_->client(), target_, port));
    Run();
    const auto released = Release(*segment_, port);
    CHECK(released.ok()) << released.status().ToString();
    CHECK(*Abandon(*segment_, port, Code::kUnavailable) == 0);
    Work();
    const InspectOptions strict{.stuck_after_ns = 0, .look_at_processes = false};
    const auto findings = CheckSegment(*segment_, strict);
    CHECK(findings.empty()) << findings.front();
    env_.Run(service_->Close());
    CHECK(server_->server().running() == 0);
  }

 private:
  void Send(const Bytes& nothing) {
    Decoder in(nothing);
    Send(&in);
  }
  void Run() { env_.RunUntilIdleFor(kSecond); }
  void Work() {
    const Status status = env_.Run(service_->Work(&honest_->client(), target_));
    CHECK(sent_ > 0 || status.ok()) << status.ToString();
    CHECK(status.code() != Code::kInternal) << status.ToString();
  }

  void WriteHead(uint8_t shape, ConstSpan fields, Decoder* in, Request* request) {
    const bool in_message = (shape & kInMessage) != 0;
    const MutSpan slot = request->argument_room().subspan(sizeof(RpcHead));
    const MutSpan room = in_message ? room_.bytes() : slot;
    const size_t count = std::min(fields.size(), room.size());
    std::copy_n(fields.begin(), count, room.begin());
    RpcHead head{};
    head.argument_bytes = static_cast<uint32_t>(count);
    if (in_message) {
      head.message_offset = room_.ref().offset;
      head.message_bytes = room_.ref().length;
    }
    if ((shape & kAnyHead) != 0) {
      head.message_offset = in->Get<uint64_t>();
      head.message_bytes = in->Get<uint32_t>();
      head.argument_bytes = in->Get<uint32_t>();
    }
    std::memcpy(request->argument_room().data(), &head, sizeof(head));
    request->set_argument_bytes(sizeof(head) + (in_message ? 0 : count));
  }

  // Anything but the word by which slots are handed over: peers trust each other with that.
  void Scribble(Decoder* in) {
    const auto number = in->Get<uint8_t>() % kGeometry.slots_per_port;
    const auto field = in->Get<uint8_t>() % (kSlotBytes / 8 - 1) + 1;
    const auto value = in->Get<uint64_t>();
    SlotRecord& slot = segment_->slot(segment_->first_slot(hostile_->index()) + number);
    std::memcpy(reinterpret_cast<std::byte*>(&slot) + field * 8, &value, sizeof(value));
  }

  std::unique_ptr<PeerPort> Open(const char* name) {
    return *PeerPort::Open(&env_, segment_.get(), name, kBuffers);
  }

  TestEnv env_;
  std::unique_ptr<Segment> segment_ = *Segment::Create(kGeometry, Uuid::FromRandom(1, 2));
  std::unique_ptr<Service> service_;
  std::unique_ptr<PeerPort> server_ = Open("server");
  std::unique_ptr<PeerPort> honest_ = Open("honest");
  std::unique_ptr<Port> hostile_ = *Port::Claim(segment_.get(), "hostile");
  SharedBuffer room_;
  SharedBuffer data_;
  RpcTarget target_;
  int sent_ = 0;
};

}  // namespace
}  // namespace atl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  spdlog::set_level(spdlog::level::off);
  atl::Decoder in({reinterpret_cast<const std::byte*>(data) + 1, size - 1});
  atl::World world((data[0] & 1) != 0);
  while (in.ok() && in.remaining() > 0) world.Send(&in);
  world.End();
  return 0;
}
