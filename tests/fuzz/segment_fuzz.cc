// SPDX-License-Identifier: Apache-2.0
//
// Shared memory of which others write every byte. The first byte of the input picks what is done:
//
//   0  attaches to a segment, or to a client segment, with a header that was changed
//   1  looks at a segment that was changed: the report, the check, and what both print
//   2  changes a segment in between of what reclaim and a port's owner do to it
//   3  is a client that writes into its segment at will, beside one that keeps to the rules
//
// The rest are steps of twelve bytes, which are patches of a segment that is well-formed, so that
// what stands behind the first checks is reached too.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "tools/node/segment_report.h"
#include "xseg/base/bytes.h"
#include "xseg/base/crc32c.h"
#include "xseg/client_port.h"
#include "xseg/client_session.h"
#include "xseg/inspect.h"
#include "xseg/port.h"
#include "xseg/reclaim.h"

namespace atl {
namespace {

constexpr Geometry kGeometry{.ports = 4, .slots_per_port = 64, .blocks = {64, 8, 4}};
constexpr uint64_t kLargestFile = 16 * kMiB;

struct Step {
  uint8_t what = 0;
  uint8_t index = 0;
  uint8_t field = 0;
  uint8_t width = 0;
  uint64_t value = 0;
};

Step NextStep(Decoder* in) {
  Step step;
  step.what = in->Get<uint8_t>();
  step.index = in->Get<uint8_t>();
  step.field = in->Get<uint8_t>();
  step.width = in->Get<uint8_t>();
  step.value = in->Get<uint64_t>();
  return step;
}

// `item` bytes at a time from `at` on: writes into number `index` of `count`.
void Patch(MutSpan raw, uint64_t at, uint64_t item, uint64_t count, const Step& step) {
  const uint64_t width = 1ull << (step.width % 4);
  const uint64_t field = step.field % item / width * width;
  std::memcpy(raw.data() + at + step.index % count * item + field, &step.value, width);
}

void PatchSegment(const Segment& segment, const Step& step) {
  const SegmentLayout& at = segment.layout();
  const uint64_t ports = kGeometry.ports;
  switch (step.what % 6) {
    case 0:
      return Patch(segment.raw(), at.ports_at, sizeof(PortRecord), ports, step);
    case 1:
      return Patch(segment.raw(), at.slots_at, sizeof(SlotRecord), segment.slot_count(), step);
    case 2:
      return Patch(segment.raw(), at.mailboxes_at, sizeof(Mailbox), ports * ports, step);
    case 3:
      return Patch(segment.raw(), at.metrics_at, 256, ports * sizeof(PortMetrics) / 256, step);
    case 4:
      return Patch(segment.raw(), at.block_words_at, 4, 64 + 8 + 4,
                   {.index = step.index, .width = 2, .value = step.value});
    default:
      return Patch(segment.raw(), at.hints_at, kCacheLine, kBlockClasses, step);
  }
}

// A segment in which something is going on, and what it was before anybody wrote into it.
class World {
 public:
  World() {
    for (const char* name : {"client", "server"}) ports_.push_back(*Port::Claim(segment(), name));
    Port& client = *ports_[0];
    Port& server = *ports_[1];
    for (uint16_t op = 0; op < kBlockClasses; ++op) {
      Request request = std::move(*client.Prepare(op));
      request.Carry(std::move(*client.buffers().Allocate(4096u << (4 * op))));
      client.Submit(std::move(request), server.index());
    }
    server.Respond(std::move(*server.Accept()), Code::kIo, 7);
    accepted_ = std::move(*server.Accept());
    prepared_ = std::move(*client.Prepare(9));
    const MutSpan used = Used();
    before_.assign(used.begin(), used.end());
  }
  Segment* segment() const { return segment_.get(); }
  const Segment& view() const { return *view_; }
  void Restore() const { std::copy(before_.begin(), before_.end(), Used().begin()); }

 private:
  // All but the buffers.
  MutSpan Used() const {
    return segment_->raw().first(segment_->layout().hints_at + kBlockClasses * kCacheLine);
  }

  std::unique_ptr<Segment> segment_ = *Segment::Create(kGeometry, Uuid::FromRandom(1, 2));
  std::unique_ptr<Segment> view_ =
      *Segment::AttachToInspect(Fd(fcntl(segment_->fds().memory.get(), F_DUPFD_CLOEXEC, 0)));
  std::vector<std::unique_ptr<Port>> ports_;
  Request accepted_;
  Request prepared_;
  Bytes before_;
};

World& TheWorld() {
  static World* const world = new World();
  world->Restore();
  return *world;
}

// --- 0: headers.

template <typename Header, typename Attach>
void TryHeader(Header header, Decoder* in, bool seal, Attach attach) {
  const MutSpan bytes = std::as_writable_bytes(std::span(&header, 1));
  uint64_t file_bytes = header.total_bytes;
  while (in->remaining() >= 12) Patch(bytes, 0, sizeof(Header), 1, NextStep(in));
  if (seal) {
    if (header.total_bytes <= kLargestFile) file_bytes = header.total_bytes;
    header.checksum = Crc32c(ConstSpan(bytes).first(offsetof(Header, checksum)));
  }
  auto file = CreateSealedFile("fuzz", file_bytes);
  if (!file.ok()) return;
  [[maybe_unused]] const ssize_t put = pwrite(file->get(), &header, sizeof(header), 0);
  attach(*std::move(file));
}

void TryHeaders(bool of_client, bool seal, Decoder* in) {
  if (of_client) {
    const auto segment = *ClientSegment::Create({.slots = 64, .blocks = {4, 1, 1}});
    ClientHeader header;
    CHECK(pread(segment->memory_fd(), &header, sizeof(header), 0) == sizeof(header));
    return TryHeader(header, in, seal, [](Fd file) {
      const auto attached = ClientSegment::Attach(std::move(file));
      if (!attached.ok()) return;
      for (SlotRecord& slot : (*attached)->slots()) CHECK(slot.LoadWord() == SlotWord::Unpack(0));
      if (!(*attached)->area().empty()) CHECK((*attached)->area().back() == std::byte{0});
    });
  }
  SegmentHeader header;
  std::memcpy(&header, TheWorld().segment()->raw().data(), sizeof(header));
  TryHeader(header, in, seal, [](Fd file) {
    const auto attached = Segment::AttachToInspect(std::move(file));
    if (!attached.ok()) return;
    CHECK(Inspect(**attached, {}).ports.empty());
    CHECK(CheckSegment(**attached, {}).empty());
  });
}

// --- 1: looking at it.

void ExpectPrintable(std::string_view text, std::string_view also) {
  for (const char c : text) CHECK((c >= ' ' && c <= '~') || also.find(c) != also.npos) << text;
}

// As JSON only if asked to: that is most of the time that it takes.
void LookAt(const Segment& segment, bool processes, bool json) {
  const InspectOptions options{.stuck_after_ns = 0, .look_at_processes = processes, .limit = 100};
  const SegmentReport report = Inspect(segment, options);
  CHECK(report.ports.size() <= kGeometry.ports && report.stuck.size() <= options.limit);
  const auto findings = CheckSegment(segment, options);
  CHECK(findings.size() <= options.limit);
  for (const std::string& finding : findings) {
    CHECK(!finding.empty());
    ExpectPrintable(finding, "");
  }
  if (json) CHECK(nlohmann::json::accept(ToJson(report).dump()));
  for (const Report& text : {ReportSegment(segment, json), CheckSegmentFor(segment, json)}) {
    CHECK(!text.text.empty());
    ExpectPrintable(text.text, "\n");
  }
}

// --- 2: working on it.

// What a peer does with it that has just come. What it has taken it gives back before anything is
// changed: it trusts other peers with that (segment.h).
void UsePort(Port& port, const Step& step) {
  for (Request& request : port.Replay()) port.Respond(std::move(request), Code::kOk, 1);
  while (auto request = port.Accept()) {
    const auto data = port.segment().Resolve(request->buffer());
    if (data.ok() && !data->empty()) data->front() = data->back();
    request->SetArguments(request->arguments());
    port.Respond(std::move(*request), Code::kOk, request->accepted_ns());
  }
  while (auto answer = port.Collect()) CHECK(answer->arguments().size() <= kInlineArgumentBytes);
  auto buffer = port.buffers().Allocate(1 + step.value % (2 * kMiB));
  auto request = port.Prepare(step.field);
  if (!request) return;
  if (buffer) request->Carry(std::move(*buffer));
  port.Submit(std::move(*request), step.index % kGeometry.ports);
}

void WorkOn(const Segment& segment, const Step& step) {
  const auto port = static_cast<PortIndex>(step.index % (kGeometry.ports + 1));
  switch (step.field % 4) {
    case 0:
      (void)Quarantine(segment, port, ProofOfDeath::kCallerKnows);
      break;
    case 1:
      (void)Release(segment, port);
      break;
    case 2:
      (void)Abandon(segment, port, Code::kUnavailable);
      break;
    default:
      (void)PortsOfTheDead(segment);
      break;
  }
}

void ChangeAndWork(World& world, Decoder* in) {
  Segment* const segment = world.segment();
  constexpr std::array<const char*, 3> kNames = {"client", "server", "new"};
  while (in->remaining() >= 12) {
    const Step step = NextStep(in);
    if ((step.what & 0x80) == 0) {
      PatchSegment(*segment, step);
    } else if ((step.what & 0x40) == 0) {
      WorkOn(*segment, step);
    } else if (const auto port = Port::Claim(segment, kNames[step.index % 3]); port.ok()) {
      UsePort(**port, step);
      (*port)->Vanish();
    }
  }
}

// --- 3: clients.

// A session, its client, and what the server has in service.
struct Pair {
  std::unique_ptr<ClientSession> session;
  std::unique_ptr<ClientPort> client;
  std::vector<ClientRequest> held;
  PortTraffic traffic{};

  Pair() {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    const Fd server_end(ends[0]);
    const Fd client_end(ends[1]);
    session = *ClientSession::Create({.geometry = {.slots = 64, .blocks = {16, 2, 1}},
                                      .max_op = 9,
                                      .max_buffer_bytes = 64 * kKiB,
                                      .metrics = &traffic});
    CHECK(session->Offer(server_end.get()).ok());
    client = *ClientPort::Receive(client_end.get());
  }
  Status Poll() {
    bool any = false;
    return session->Poll([this](ClientRequest request) { held.push_back(std::move(request)); },
                         &any);
  }
  void Serve() {
    const MutSpan area = client->segment().area();
    for (ClientRequest& request : held) {
      CHECK(request.op() <= 9 && request.buffer().size() <= 64 * kKiB);
      CHECK(request.buffer().size() <= area.size());
      CHECK((request.flags() & kFlagReplayed) == 0);
      for (std::byte& byte : request.buffer()) byte ^= std::byte{0xFF};
      session->Respond(std::move(request), Code::kOk, request.op(), request.arguments());
    }
    held.clear();
    CHECK(session->in_service() == 0);
  }
};

void PatchClient(ClientSegment& segment, const Step& step) {
  auto* const rings = reinterpret_cast<std::byte*>(&segment.rings());
  const MutSpan all(rings, kPageBytes + 64 * kSlotBytes + kPageBytes);
  switch (step.what % 4) {
    case 0:
      return Patch(all, 0, sizeof(ClientRings), 1, step);
    case 1:  // Slots, and what lies behind the last one.
      return Patch(all, kPageBytes, kSlotBytes, 64 + 16, step);
    case 2:
      return segment.rings().requests.Post(step.index + 256u * (step.field & 1));
    default:
      return segment.rings().server.RaiseArrival(step.index % 64);
  }
}

// One that keeps to the rules is served whatever the other one does.
void ServeHonest(Pair& pair, uint8_t letter) {
  auto buffer = pair.client->buffers().Allocate(512);
  std::ranges::fill(buffer->bytes(), std::byte{letter});
  auto request = pair.client->Prepare(letter % 10);
  request->SetArguments(AsBytes("honest"));
  request->Carry(std::move(*buffer));
  pair.client->Submit(std::move(*request));
  CHECK(pair.Poll().ok());
  pair.Serve();
  auto answer = pair.client->Collect();
  CHECK(answer && answer->code() == Code::kOk && answer->result() == letter % 10);
  CHECK(AsText(answer->arguments()) == "honest");
  CHECK(answer->TakeBuffer().bytes()[511] == (std::byte{letter} ^ std::byte{0xFF}));
}

void BeClients(Decoder* in) {
  Pair hostile;
  Pair honest;
  Status status;
  for (uint8_t letter = 0; in->remaining() >= 12; ++letter) {
    const Step step = NextStep(in);
    if ((step.what & 0x80) == 0) {
      PatchClient(hostile.client->segment(), step);
      continue;
    }
    const Status now = hostile.Poll();
    CHECK(status.ok() || now.code() == Code::kInvalid) << "it is not cut off any more";
    status = now;
    if ((step.what & 1) == 0) hostile.Serve();
    if (hostile.session->PrepareSleep()) hostile.session->Woken();
    if (letter < 16) ServeHonest(honest, letter);
  }
  ServeHonest(honest, 77);
  hostile.Serve();
}

void Fuzz(uint8_t pick, Decoder* in) {
  const bool first = (pick & 0x40) != 0;
  const bool second = (pick & 0x80) != 0;
  switch (pick & 3) {
    case 0:
      return TryHeaders(first, second, in);
    case 1: {
      World& world = TheWorld();
      while (in->remaining() >= 12) PatchSegment(*world.segment(), NextStep(in));
      return LookAt(world.view(), first, second);
    }
    case 2:
      return ChangeAndWork(TheWorld(), in);
    default:
      return BeClients(in);
  }
}

}  // namespace
}  // namespace atl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  atl::Decoder in({reinterpret_cast<const std::byte*>(data) + 1, size - 1});
  atl::Fuzz(data[0], &in);
  return 0;
}
