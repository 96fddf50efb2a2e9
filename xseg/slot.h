// SPDX-License-Identifier: Apache-2.0
//
// A request slot in shared memory, byte by byte (docs/LAYOUT.md, "Slot"), and its state word.
//
//            Prepare              Submit               Accept              Respond
//   free  ----------> prepared ----------> submitted ----------> accepted ----------> answered
//    ^                   ^  |                  |                                         |
//    |      drop         |  |     withdraw     |                                         |
//    +-------------------+--+------------------+<----------------------------------------+
//                                                             Collect, drop
//
// The port that owns a slot is given by the slot's place in the table and never changes. The word
// says who holds it: state, holder port and a sequence number that grows with each Prepare, in one
// atomic word, so every hand-over is one store or one compare-and-swap and a process that is killed
// leaves either the state before it or the one after.
//
//   - free, prepared, answered: the owner may read and write the rest of the slot;
//   - accepted: the holder may;
//   - submitted: nobody; the holder takes it by CAS, and reclaim (reclaim.h) may withdraw it by
//   CAS.
//
// Ordering: whoever hands a slot over stores the word with release, whoever takes it loads it with
// acquire; so all other fields, arguments and the buffer's bytes are seen by the next holder. The
// fields of the first line are relaxed atomics only because an inspector reads them at any time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "xseg/base/relaxed.h"

namespace atl {

// Which port: its place in the port table.
using PortIndex = uint16_t;
inline constexpr PortIndex kNoPort = 0xFFFF;

inline constexpr size_t kCacheLine = 64;
inline constexpr size_t kSlotBytes = 256;
inline constexpr size_t kInlineArgumentBytes = 192;

enum class SlotState : uint8_t {
  kFree = 0,
  kPrepared = 1,
  kSubmitted = 2,
  kAccepted = 3,
  kAnswered = 4,
};
inline constexpr int kSlotStates = 5;

// The state word: state in bits 0..7, zero in 8..15, holder in 16..31, sequence in 32..63.
struct SlotWord {
  SlotState state = SlotState::kFree;
  PortIndex holder = kNoPort;
  uint32_t sequence = 0;

  constexpr uint64_t Pack() const {
    return static_cast<uint64_t>(state) | static_cast<uint64_t>(holder) << 16 |
           static_cast<uint64_t>(sequence) << 32;
  }
  static constexpr SlotWord Unpack(uint64_t word) {
    return {static_cast<SlotState>(word & 0xFF), static_cast<PortIndex>(word >> 16),
            static_cast<uint32_t>(word >> 32)};
  }
  friend constexpr bool operator==(const SlotWord&, const SlotWord&) = default;
};

// Bits of `flags` that belong to this layer; the others are the higher layer's.
inline constexpr uint16_t kFlagReplayed = 0x8000;  // An earlier holder died with it: may be done.

// Stamps after the first are differences to it, in units of 16 ns, up to 68 s.
inline constexpr int64_t kStampUnitNs = 16;

struct alignas(kCacheLine) SlotRecord {
  std::atomic<uint64_t> word;
  Relaxed<uint64_t> trace;           // Follows one request of a client through all hops.
  Relaxed<uint16_t> op;              // What is asked; the higher layer's number.
  Relaxed<uint16_t> flags;           //
  Relaxed<uint16_t> argument_bytes;  // How much of `arguments` is used.
  Relaxed<uint8_t> code;             // Answer: a Code.
  Relaxed<uint8_t> reserved0;        // 0.
  Relaxed<uint64_t> buffer_offset;   // From the start of the buffer area.
  Relaxed<uint32_t> buffer_length;   // 0: no buffer.
  Relaxed<uint32_t> reserved1;       // 0.
  Relaxed<int64_t> result;           // Answer: the higher layer's value.
  Relaxed<int64_t> submitted_ns;     // CLOCK_BOOTTIME.
  Relaxed<uint32_t> accepted_after;  // kStampUnitNs after submitted_ns.
  Relaxed<uint32_t> answered_after;  // Likewise.
  std::byte arguments[kInlineArgumentBytes];

  SlotWord LoadWord() const { return SlotWord::Unpack(word.load(std::memory_order_acquire)); }
  void StoreWord(SlotWord to) { word.store(to.Pack(), std::memory_order_release); }
  bool ExchangeWord(SlotWord from, SlotWord to) {
    uint64_t expected = from.Pack();
    return word.compare_exchange_strong(expected, to.Pack(), std::memory_order_acq_rel,
                                        std::memory_order_relaxed);
  }
};
static_assert(sizeof(SlotRecord) == kSlotBytes);
static_assert(offsetof(SlotRecord, word) == 0);
static_assert(offsetof(SlotRecord, trace) == 8);
static_assert(offsetof(SlotRecord, op) == 16);
static_assert(offsetof(SlotRecord, flags) == 18);
static_assert(offsetof(SlotRecord, argument_bytes) == 20);
static_assert(offsetof(SlotRecord, code) == 22);
static_assert(offsetof(SlotRecord, reserved0) == 23);
static_assert(offsetof(SlotRecord, buffer_offset) == 24);
static_assert(offsetof(SlotRecord, buffer_length) == 32);
static_assert(offsetof(SlotRecord, reserved1) == 36);
static_assert(offsetof(SlotRecord, result) == 40);
static_assert(offsetof(SlotRecord, submitted_ns) == 48);
static_assert(offsetof(SlotRecord, accepted_after) == 56);
static_assert(offsetof(SlotRecord, answered_after) == 60);
static_assert(offsetof(SlotRecord, arguments) == 64);

}  // namespace atl
