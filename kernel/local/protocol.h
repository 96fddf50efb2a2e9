// SPDX-License-Identifier: Apache-2.0
//
// How a program of this host uses a volume through shared memory (docs/LAYOUT.md, "Local clients").
//
//   connect to STATE/local.sock
//   client: Greeting, then the name of the resource
//   server: Answer, then a text that says why not
//   server, if the code is kOk: the client segment (client_session.h, Offer); the socket is closed
//
// From then on the client asks through its segment, by request slots. The payload of a request is
// its buffer, which is the client's own memory, used where it lies:
//
//   op           arguments       buffer                flags
//   read         RangeArguments  what is read          none
//   write        RangeArguments  what is written       fua
//   flush        none            none                  none
//   discard      RangeArguments  none                  fua
//   write zeroes RangeArguments  none                  fua, no hole, fast only
//
// Of a read or write the length in the arguments is that of the buffer. What they mean, and the
// order in which they take effect, is told in peers/client/device.h. The answer has a Code; if that
// is not kOk, a text of at most kInlineArgumentBytes stands in the place of the arguments.
//
// Integers are little-endian. Whatever is reserved is 0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "xseg/base/status.h"
#include "xseg/base/units.h"
#include "xseg/base/uuid.h"
#include "xseg/slot.h"

namespace atl::local {

enum Op : uint16_t {
  kOpRead = 1,
  kOpWrite = 2,
  kOpFlush = 3,
  kOpDiscard = 4,
  kOpWriteZeroes = 5,
};
inline constexpr uint16_t kLastOp = kOpWriteZeroes;

// Of a slot.
inline constexpr uint16_t kFlagFua = 1;     // Durable when it is answered.
inline constexpr uint16_t kFlagNoHole = 2;  // Later writes there shall not fail for want of space.
inline constexpr uint16_t kFlagFastOnly = 4;  // kUnsupported rather than slower than a write.

struct RangeArguments {
  uint64_t offset;
  uint64_t length;
};
static_assert(sizeof(RangeArguments) == 16 && sizeof(RangeArguments) <= kInlineArgumentBytes);

inline constexpr uint64_t kGreetingMagic = 0x316C636F4C6C7441;  // "AtlLocl1".
inline constexpr uint32_t kProtocolVersion = 1;
inline constexpr uint32_t kMaxNameInGreeting = 200;
inline constexpr uint32_t kMaxAnswerText = 512;

enum class Mode : uint8_t { kReadWrite = 0, kReadOnly = 1 };

struct Greeting {
  uint64_t magic;
  uint32_t version;
  uint32_t name_bytes;  // 1 to kMaxNameInGreeting; they follow.
  uint8_t mode;         // A Mode.
  uint8_t reserved[15];
};
static_assert(sizeof(Greeting) == 32);
static_assert(offsetof(Greeting, version) == 8);
static_assert(offsetof(Greeting, name_bytes) == 12);
static_assert(offsetof(Greeting, mode) == 16);

inline constexpr uint32_t kAnswerReadOnly = 1;  // Of `flags`.

struct Answer {
  uint64_t magic;       // kGreetingMagic.
  uint32_t version;     // That the server speaks.
  uint32_t code;        // A Code. Unless it is kOk the fields from `flags` on are 0.
  uint32_t text_bytes;  // 0 to kMaxAnswerText; they follow.
  uint32_t flags;
  uint64_t size;
  uint32_t logical_block;
  uint32_t physical_block;
  uint32_t max_request;  // Bytes of one read or write.
  uint32_t reserved;
  uint8_t uuid[16];
};
static_assert(sizeof(Answer) == 64);
static_assert(offsetof(Answer, code) == 12);
static_assert(offsetof(Answer, text_bytes) == 16);
static_assert(offsetof(Answer, flags) == 20);
static_assert(offsetof(Answer, size) == 24);
static_assert(offsetof(Answer, logical_block) == 32);
static_assert(offsetof(Answer, max_request) == 40);
static_assert(offsetof(Answer, uuid) == 48);

}  // namespace atl::local
