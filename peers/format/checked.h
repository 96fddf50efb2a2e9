// SPDX-License-Identifier: Apache-2.0
//
// An envelope followed by a checksum: how headers, names, locks, leases and root nodes begin. The
// checksum stands at the same place in every version, so damage is told from the unknown.
#pragma once

#include <cstdint>
#include <string_view>

#include "peers/format/envelope.h"
#include "xseg/base/bytes.h"
#include "xseg/base/status.h"

namespace atl {

inline constexpr size_t kCheckedHeaderBytes = kEnvelopeBytes + 4;

// Begins one in an empty encoder; the body follows.
void BeginChecked(Encoder* out, std::string_view magic, const FormatFlags& flags);
// Fills in the checksum over everything, its own place as zeros, and returns the bytes.
Bytes FinishChecked(Encoder* out, uint32_t seed = 0);

// The same for one whose bytes lie at their place already; returns the checksum.
uint32_t SealChecked(MutSpan bytes, uint32_t seed);

struct CheckedBody {
  FormatFlags flags;
  uint32_t checksum = 0;
  Decoder in;  // Over the body.
};
// kCorrupt for anything that was damaged, then kUnsupported as GetEnvelope says.
Result<CheckedBody> OpenChecked(ConstSpan bytes, std::string_view magic, uint32_t seed = 0);

}  // namespace atl
