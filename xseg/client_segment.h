// SPDX-License-Identifier: Apache-2.0
//
// The segment of one outside client (docs/LAYOUT.md, "Client segment"): a sealed memory file of its
// own with request slots, two mailboxes and buffers, shared by the server and that client only. The
// client trusts the server; the server trusts nothing it reads here.
//
//   server: client_session.h         client: client_port.h
//
// It is handed over a Unix socket together with one end of a socket pair, the bell of both sides.
// Why no eventfds: O_NONBLOCK and the counter belong to the eventfd, which both would share. A
// client could clear the flag and then let the server block, in a write by filling the counter or
// in a read by emptying it. The two ends of a socket pair share neither, and a ring to a client
// that has gone raises no signal.
//
// Threads: does not change after it is made.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "xseg/base/bytes.h"
#include "xseg/base/fd.h"
#include "xseg/base/status.h"
#include "xseg/geometry.h"
#include "xseg/mailbox.h"
#include "xseg/memory_file.h"
#include "xseg/slot.h"

namespace atl {

inline constexpr uint64_t kClientMagic = 0x31746E6C436C7441;  // "AtlClnt1".
inline constexpr uint32_t kClientVersion = 1;

struct ClientGeometry {
  uint32_t slots = 128;  // A multiple of 64 up to kMaxSlotsPerPort.
  // How the client divides its buffer area; nothing to the server.
  std::array<uint32_t, kBlockClasses> blocks = {256, 64, 32};
};

struct ClientHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t header_bytes;  // sizeof(ClientHeader).
  uint32_t slots;
  uint32_t slot_bytes;  // kSlotBytes.
  uint32_t blocks[kBlockClasses];
  uint32_t reserved;
  uint64_t area_at;
  uint64_t total_bytes;
  uint32_t reserved2;
  uint32_t checksum;  // CRC-32C of the bytes before it.
};
static_assert(sizeof(ClientHeader) == 64);
static_assert(offsetof(ClientHeader, slots) == 16);
static_assert(offsetof(ClientHeader, blocks) == 24);
static_assert(offsetof(ClientHeader, total_bytes) == 48);
static_assert(offsetof(ClientHeader, area_at) == 40);
static_assert(offsetof(ClientHeader, checksum) == 60);

// The second page.
struct ClientRings {
  HotLine server;    // Bit w of `arrivals`: word w of `requests`.
  Mailbox requests;  // Set by the client.
  HotLine client;    // Bit w of `answers`: word w of `answers` below.
  Mailbox answers;   // Set by the server.
};
static_assert(sizeof(ClientRings) == 256);
static_assert(offsetof(ClientRings, requests) == 64);
static_assert(offsetof(ClientRings, client) == 128);
static_assert(offsetof(ClientRings, answers) == 192);

// The holder of a slot that the server has.
inline constexpr PortIndex kServerHolder = 0;

class ClientSegment {
 public:
  // The server's side.
  static Result<std::unique_ptr<ClientSegment>> Create(const ClientGeometry& geometry);
  // The client's side; any descriptor gives a segment or a Status.
  static Result<std::unique_ptr<ClientSegment>> Attach(Fd memory);

  const ClientGeometry& geometry() const { return geometry_; }
  int memory_fd() const { return memory_.get(); }
  // Gives its memory back, also if the client keeps the file.
  void GiveBack() const;
  ClientRings& rings() const;
  std::span<SlotRecord> slots() const;
  MutSpan area() const { return {mapping_.data() + area_at_, mapping_.size() - area_at_}; }
  // Where each class begins in the area.
  std::array<uint64_t, kBlockClasses> class_at() const;

 private:
  ClientSegment() = default;
  Status Map();

  ClientGeometry geometry_;
  uint64_t area_at_ = 0;
  uint64_t total_bytes_ = 0;
  Fd memory_;
  Mapping mapping_;
};

}  // namespace atl
