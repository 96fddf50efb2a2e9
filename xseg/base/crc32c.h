// SPDX-License-Identifier: Apache-2.0
//
// CRC-32C (Castagnoli; RFC 3720, appendix B.4), the checksum of every record, node, journal batch
// and message here. Uses the SSE4.2 instruction where the processor has it.
#pragma once

#include <cstdint>

#include "xseg/base/bytes.h"

namespace atl {

// Continues `seed`, the checksum of the bytes before these; 0 begins.
uint32_t Crc32c(ConstSpan bytes, uint32_t seed = 0);

namespace internal {
// The portable form, for machines without the instruction and for the test that compares both.
uint32_t Crc32cTable(ConstSpan bytes, uint32_t seed);
}  // namespace internal

}  // namespace atl
