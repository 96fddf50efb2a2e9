// SPDX-License-Identifier: Apache-2.0
//
// What every durable structure begins with: which format it has and which features it needs. Who
// meets an unknown incompat flag refuses the thing, an unknown read-only-compat flag opens it for
// reading only, an unknown compat flag is ignored and kept. Only version and incompat flags may
// change how the bytes after the envelope are laid out. See docs/FORMAT.md, "Envelope".
#pragma once

#include <cstdint>
#include <string_view>

#include "xseg/base/bytes.h"
#include "xseg/base/status.h"

namespace atl {

inline constexpr size_t kEnvelopeBytes = 20;
// A name in a record is checked for its length only; which bytes it may have is the rule of the
// operations that make names.
inline constexpr size_t kMaxStoredName = 200;

struct FormatFlags {
  uint32_t compat = 0;
  uint32_t read_only_compat = 0;
  uint32_t incompat = 0;
  friend bool operator==(const FormatFlags&, const FormatFlags&) = default;
};
// The flags that this program understands: the same, none, for every structure so far.
inline constexpr FormatFlags kKnownFlags{};
// What carries `flags` may be read and must not be changed by this program.
constexpr bool IsReadOnlyHere(const FormatFlags& flags, const FormatFlags& known = kKnownFlags) {
  return (flags.read_only_compat & ~known.read_only_compat) != 0;
}

// Puts magic (4 characters), version and flags; everything after it is the structure's own.
void PutEnvelope(Encoder* out, std::string_view magic, uint16_t version, const FormatFlags& flags);
// kCorrupt if the magic differs; kUnsupported, naming version or flag, if this program cannot
// understand it. `known` are the flags that it understands.
Result<FormatFlags> GetEnvelope(Decoder* in, std::string_view magic, uint16_t version,
                                const FormatFlags& known);

}  // namespace atl
