// SPDX-License-Identifier: Apache-2.0
//
// A row of the port table in shared memory (docs/LAYOUT.md, "Port"), and its control word.
//
//           Claim           (name written)            Close, nothing pending
//   free ----------> claiming ----------> active ------------------------------> free
//    ^                  |                  |  |                                    ^
//    |                  |  owner dies      |  | Close, requests wait               |
//    |                  v                  v  v                                    |
//    |            quarantined <------------+  vacant ------------------------------+
//    |                  |                       ^  |  Abandon
//    |                  +-----------------------+  +--Claim (same name)--> claiming
//    |                         Release
//
// The control word holds state, pid and incarnation together, so a process that is killed while it
// claims leaves a word that says who it was.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "xseg/base/process.h"
#include "xseg/mailbox.h"

namespace atl {

enum class PortState : uint8_t {
  kFree = 0,
  kClaiming = 1,     // Being filled in.
  kActive = 2,       //
  kQuarantined = 3,  // The owner is dead; nothing of it may be reused yet.
  kVacant = 4,       // Without an owner, but others wait for it under this name.
};
inline constexpr int kPortStates = 5;

// The control word: state in bits 0..7, pid in 8..31 (pids have at most 22 bits), incarnation in
// 32..63. The incarnation grows with each claim.
struct PortControl {
  PortState state = PortState::kFree;
  uint32_t pid = 0;
  uint32_t incarnation = 0;

  constexpr uint64_t Pack() const {
    return static_cast<uint64_t>(state) | static_cast<uint64_t>(pid & 0xFFFFFF) << 8 |
           static_cast<uint64_t>(incarnation) << 32;
  }
  static constexpr PortControl Unpack(uint64_t word) {
    return {static_cast<PortState>(word & 0xFF), static_cast<uint32_t>(word >> 8) & 0xFFFFFF,
            static_cast<uint32_t>(word >> 32)};
  }
};

inline constexpr size_t kPortNameBytes = 56;  // 1 to 55 bytes and a zero.

struct alignas(kCacheLine) PortRecord {
  HotLine hot;
  Mailbox answers;  // Over this port's slots; set by whoever answers.
  std::atomic<uint64_t> control;
  Relaxed<uint64_t> start_ticks;  // Of the owner's process (process.h).
  Relaxed<int64_t> claimed_ns;    // CLOCK_BOOTTIME.
  Relaxed<uint64_t> reserved[5];
  Relaxed<uint64_t> name[kPortNameBytes / 8];
  Relaxed<uint64_t> reserved2;

  PortControl LoadControl() const {
    return PortControl::Unpack(control.load(std::memory_order_acquire));
  }
  bool ExchangeControl(PortControl from, PortControl to) {
    uint64_t expected = from.Pack();
    return control.compare_exchange_strong(expected, to.Pack(), std::memory_order_acq_rel);
  }
  ProcessId owner() const { return {LoadControl().pid, start_ticks.Load()}; }
  // Up to the first zero; anything that is not printable ASCII becomes '?'.
  std::string LoadName() const;
  void StoreName(std::string_view text);
};
static_assert(sizeof(PortRecord) == 256);
static_assert(offsetof(PortRecord, hot) == 0);
static_assert(offsetof(PortRecord, answers) == 64);
static_assert(offsetof(PortRecord, control) == 128);
static_assert(offsetof(PortRecord, start_ticks) == 136);
static_assert(offsetof(PortRecord, claimed_ns) == 144);
static_assert(offsetof(PortRecord, name) == 192);
static_assert(offsetof(PortRecord, reserved2) == 248);

}  // namespace atl
