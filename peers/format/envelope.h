// SPDX-License-Identifier: Apache-2.0
//
// What every durable structure begins with: which format it has and which features it needs. Who
// meets an unknown incompat flag refuses the thing, an unknown read-only-compat flag opens it for
// reading only, an unknown compat flag is ignored and kept. See docs/FORMAT.md, "Envelope".
#pragma once

#include <cstdint>
#include <string_view>

#include "xseg/base/bytes.h"
#include "xseg/base/status.h"

namespace atl {

struct FormatFlags {
  uint32_t compat = 0;
  uint32_t read_only_compat = 0;
  uint32_t incompat = 0;
};

// Puts magic (4 characters), version and flags; everything after it is the structure's own.
void PutEnvelope(Encoder* out, std::string_view magic, uint16_t version, const FormatFlags& flags);
// kCorrupt if the magic differs; kUnsupported, naming version or flag, if this program cannot
// understand it. `known` are the flags that it understands.
Result<FormatFlags> GetEnvelope(Decoder* in, std::string_view magic, uint16_t version,
                                const FormatFlags& known);

}  // namespace atl
